/** Snapshots of a VM as a tree: each stands on the one that the VM stood on when it was taken. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { patch, post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Snapshot, type Vm, isUp, path, snapshotPhase, unmet } from "~/api/objects";
import { useMay } from "~/api/session";
import { Ago, Badge, Button, Empty, Panel, Phase, useNow } from "~/design/basics";
import { Checkbox, NumberField, Select, TextField } from "~/design/fields";
import { Cli, quoted } from "~/design/Cli";
import { Icon } from "~/design/Icon";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { bytes } from "~/words/format";
import { useWord } from "~/words/states";
import { Clone } from "./Copies";
import { Export } from "./Export";

interface Node {
  snapshot: Snapshot;
  depth: number;
}

/** Parents before their children, older ones first; one whose parent is gone stands at the root. */
export function treeOf(snapshots: readonly Snapshot[]): Node[] {
  const names = new Set(snapshots.map((s) => s.meta.name));
  const children = new Map<string, Snapshot[]>();
  for (const s of snapshots) {
    const parent = s.status?.parent && names.has(s.status.parent) ? s.status.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), s]);
  }
  const nodes: Node[] = [];
  const walk = (parent: string, depth: number) => {
    const own = (children.get(parent) ?? []).toSorted((a, b) => ((a.meta.created_at ?? "") < (b.meta.created_at ?? "") ? -1 : 1));
    for (const snapshot of own) {
      nodes.push({ snapshot, depth });
      walk(snapshot.meta.name, depth + 1);
    }
  };
  walk("", 0);
  return nodes;
}

type Ask = "revert" | "delete" | "clone" | "export" | "edit";
type Asked = { what: "take" } | { what: Ask; snapshot: Snapshot };

/** As `SNAPSHOTS_MAX` of tabane-model has it. */
const SNAPSHOTS_MAX = 32;
const NEARLY = 28;
const DAY_MS = 86_400_000;

export function Snapshots({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const { change } = useMay();
  const all = useObjects("snapshot");
  const name = vm.meta.name;
  const nodes = useMemo(() => treeOf(all.filter((s) => s.spec.vm === name)), [all, name]);
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  const depth = nodes.find((n) => n.snapshot.meta.name === vm.status?.snapshot)?.depth ?? -1;
  return (
    <>
      <Panel flush title={<Trans>Snapshots</Trans>} actions={
        <>
          {nodes.length ? <Used snapshots={nodes.map((n) => n.snapshot)} /> : null}
          {change ? <Button small look="primary" icon="snapshot" isDisabled={nodes.length >= SNAPSHOTS_MAX} onPress={() => setAsked({ what: "take" })}><Trans>Take a snapshot</Trans></Button> : null}
        </>
      }>
        {nodes.length === 0 ? <Empty icon="snapshot" title={<Trans>There are no snapshots of this VM.</Trans>} /> : (
          <ul className="divide-y divide-line/70">
            {nodes.map((node) => <Line key={node.snapshot.meta.name} node={node} here={vm.status?.snapshot === node.snapshot.meta.name} onAsk={change ? (what) => setAsked({ what, snapshot: node.snapshot }) : undefined} />)}
            <li className="flex items-center gap-2 px-4 h-10 text-muted" style={indent(depth + 1)}>
              <span className="text-accent"><Icon name="right" size={12} /></span><Trans>The VM now</Trans>
            </li>
          </ul>
        )}
      </Panel>
      {asked?.what === "take" ? <Take vm={vm} taken={nodes.map((n) => n.snapshot.meta.name)} onClose={close} /> : null}
      {asked?.what === "edit" ? <Edit snapshot={asked.snapshot} onClose={close} /> : null}
      {asked?.what === "revert" ? <Revert vm={vm} snapshot={asked.snapshot} onClose={close} /> : null}
      {asked?.what === "clone" ? <Clone vm={vm} snapshot={asked.snapshot.meta.name} onClose={close} /> : null}
      {asked?.what === "export" ? <Export vm={vm} snapshot={asked.snapshot.meta.name} onClose={close} /> : null}
      {asked?.what === "delete" ? (
        <Confirm title={t`Delete the snapshot ${asked.snapshot.meta.name}?`} action={t`Delete`} onClose={close} onConfirm={() => remove(path("snapshot", asked.snapshot.meta.name))}>
          <p><Trans>What it held is merged into what stands on it, also while the VM runs. The VM itself stays as it is now.</Trans></p>
        </Confirm>
      ) : null}
    </>
  );
}

/** How many there are of those that there can be, and what they take. */
function Used({ snapshots }: { snapshots: Snapshot[] }) {
  const { t } = useLingui();
  const count = snapshots.length;
  const space = snapshots.reduce((sum, s) => sum + (s.status?.used_bytes ?? 0) + (s.status?.memory_bytes ?? 0), 0);
  const told = t`${count} of at most ${SNAPSHOTS_MAX}`;
  const tone = count >= SNAPSHOTS_MAX ? "bg-bad" : count >= NEARLY ? "bg-warn" : "bg-accent";
  return (
    <span className="flex items-center gap-2 text-xs text-muted">
      <span role="meter" aria-label={t`Snapshots`} aria-valuemin={0} aria-valuemax={SNAPSHOTS_MAX} aria-valuenow={count} aria-valuetext={told} className="w-16 h-1.5 rounded-full bg-idle-soft overflow-hidden max-sm:hidden">
        <span className={`block h-full rounded-full ${tone}`} style={{ width: `${(count / SNAPSHOTS_MAX) * 100}%` }} />
      </span>
      <span className={`whitespace-nowrap ${count >= SNAPSHOTS_MAX ? "text-bad" : ""}`}>{told}</span>
      <span className="whitespace-nowrap">{bytes(space)}</span>
    </span>
  );
}

/** Less of it where there is little room, and never so much that nothing is left for the words. */
const indent = (depth: number) => ({ paddingLeft: `calc(16px + min(${depth * 22}px, ${depth * 2.5}vw, 40%))` });

function Line({ node: { snapshot, depth }, here, onAsk }: { node: Node; here: boolean; onAsk: ((what: Ask) => void) | undefined }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const now = useNow();
  const { status, spec, meta } = snapshot;
  const phase = snapshotPhase(snapshot);
  const said = unmet(status?.conditions).find((c) => c.message)?.message;
  const busy = phase !== "ready";
  return (
    <li className="grid grid-cols-[auto_minmax(0,1fr)_auto] items-center gap-x-3 px-4 py-2" style={indent(depth)}>
      <span className="text-muted"><Icon name="snapshot" /></span>
      <span className="min-w-0">
        <span className="font-medium wrap-anywhere mr-2">{meta.name}</span>
        <Phase phase={phase} />{" "}
        {here ? <Badge tone="good"><Trans>the VM stands on it</Trans></Badge> : null}
        <span className="block text-xs text-muted">
          <Ago at={status?.taken_at ?? meta.created_at} now={now} locale={i18n.locale} /> · {word(status?.consistency ?? "crash")} · {bytes(status?.used_bytes)}
          {spec.memory ? <> · <Trans>with memory ({bytes(status?.memory_bytes)})</Trans></> : null}
          {spec.expires_at ? <> · <Trans>goes at {new Date(spec.expires_at).toLocaleString(i18n.locale)}</Trans></> : null}
        </span>
        {spec.note ? <span className="block">{spec.note}</span> : null}
        {said ? <span className="block text-bad">{said}</span> : null}
      </span>
      {onAsk ? (
        <Menu name={t`Actions for ${meta.name}`} entries={[
          { id: "revert", name: t`Revert to it`, icon: "reset", isDisabled: busy, onAction: () => onAsk("revert") },
          { id: "clone", name: t`Clone`, icon: "clone", isDisabled: busy, onAction: () => onAsk("clone") },
          { id: "export", name: t`Export`, icon: "download", isDisabled: busy, onAction: () => onAsk("export") },
          { id: "edit", name: t`Note and expiry`, icon: "edit", onAction: () => onAsk("edit") },
          { id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => onAsk("delete") },
        ]} />
      ) : null}
    </li>
  );
}

function stamp(): string {
  return new Date().toISOString().slice(0, 16).replace("T", "-").replace(":", "");
}

function Take({ vm, taken, onClose }: { vm: Vm; taken: string[]; onClose: () => void }) {
  const { t } = useLingui();
  const up = isUp(vm);
  const base = `${vm.meta.name}-${stamp()}`;
  const [name, setName] = useState(taken.includes(base) ? `${base}-${taken.length}` : base);
  const [note, setNote] = useState("");
  const [memory, setMemory] = useState(false);
  const [quiesce, setQuiesce] = useState("auto");
  const [days, setDays] = useState(0);
  const { busy, problem, submit, fault } = useForm(async () => {
    const expires = days > 0 ? { expires_at: new Date(Date.now() + days * DAY_MS).toISOString() } : {};
    await post(path("snapshot"), { meta: { name }, spec: { vm: vm.meta.name, memory, quiesce, ...(note ? { note } : {}), ...expires } });
    onClose();
  });
  return (
    <Dialog title={t`Take a snapshot of ${vm.meta.name}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name`} value={name} onChange={setName} mono isRequired autoFocus />
        <TextField label={t`Note`} value={note} onChange={setNote} fault={fault("spec.note")} />
        {up ? <Checkbox isSelected={memory} onChange={setMemory}><Trans>With the memory: a revert goes on where the guest was</Trans></Checkbox> : null}
        <div className="grid gap-4 sm:grid-cols-2">
          <Select label={t`File systems`} value={quiesce} onChange={setQuiesce} choices={[
            { id: "auto", name: t`Freeze if the agent can` }, { id: "required", name: t`Freeze, or take none` }, { id: "off", name: t`Do not freeze` },
          ]} />
          <NumberField label={t`Goes after`} unit={t`days`} value={days} onChange={setDays} min={0} hint={t`0 means never.`} />
        </div>
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Take it`} busy={busy} />
      </form>
    </Dialog>
  );
}

/** What is not the content of a snapshot can be changed as often as one likes. */
function Edit({ snapshot, onClose }: { snapshot: Snapshot; onClose: () => void }) {
  const { t, i18n } = useLingui();
  const now = useNow();
  const { meta: { name }, spec } = snapshot;
  const [note, setNote] = useState(spec.note ?? "");
  const [expiry, setExpiry] = useState("keep");
  const [days, setDays] = useState(7);
  const present = spec.expires_at ? t`at ${new Date(spec.expires_at).toLocaleString(i18n.locale)}` : t`never`;
  const { busy, problem, submit, fault } = useForm(async () => {
    const expires = expiry === "keep" ? {} : { expires_at: expiry === "never" ? null : new Date(Date.now() + days * DAY_MS).toISOString() };
    await patch(path("snapshot", name), { spec: { note, ...expires } });
    onClose();
  });
  const command = ["tabane snapshot set", name, ...(note === (spec.note ?? "") ? [] : ["--note", quoted(note)]), ...(expiry === "keep" ? [] : ["--expires", expiry === "never" ? "never" : `${days}d`])].join(" ");
  return (
    <Dialog title={t`Note and expiry of ${name}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Note`} value={note} onChange={setNote} autoFocus fault={fault("spec.note")} />
        <div className="grid gap-4 sm:grid-cols-2">
          <Select label={t`It goes`} value={expiry} onChange={setExpiry} choices={[{ id: "keep", name: present, told: t`as it is now` }, { id: "after", name: t`after some days` }, ...(spec.expires_at ? [{ id: "never", name: t`never` }] : [])]} />
          {expiry === "after" ? (
            <NumberField label={t`Days from now`} value={days} onChange={(v) => setDays(Math.max(1, Math.round(v)))} min={1} max={3650} fault={fault("spec.expires_at")} hint={new Date(now + days * DAY_MS).toLocaleString(i18n.locale, { dateStyle: "medium", timeStyle: "short" })} />
          ) : null}
        </div>
        {problem ? <ProblemNote problem={problem} /> : null}
        <Cli commands={[command]} />
        <FormEnd onCancel={onClose} submit={t`Change`} busy={busy} />
      </form>
    </Dialog>
  );
}

function Revert({ vm, snapshot, onClose }: { vm: Vm; snapshot: Snapshot; onClose: () => void }) {
  const { t } = useLingui();
  const [disksOnly, setDisksOnly] = useState(false);
  const name = vm.meta.name;
  return (
    <Confirm title={t`Revert ${name} to ${snapshot.meta.name}?`} name={name} action={t`Revert`} onClose={onClose}
      onConfirm={async () => void (await post(path("vm", name, "revert"), { snapshot: snapshot.meta.name, disks_only: disksOnly }))}>
      <p><Trans>What the VM did since then is lost. Take a snapshot first if you may want it back.</Trans></p>
      {snapshot.spec.memory ? <div className="mt-2"><Checkbox isSelected={disksOnly} onChange={setDisksOnly}><Trans>Start from the disks alone, without the saved memory</Trans></Checkbox></div> : null}
    </Confirm>
  );
}
