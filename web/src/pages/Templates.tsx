/** Templates: images that are made of VMs, without what is one machine's own. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Image, imagePhase, isTemplate, path } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button, Empty, ProgressLine } from "~/design/basics";
import { Cli } from "~/design/Cli";
import { type Column, DataTable } from "~/design/DataTable";
import { Checkbox, Select, Switch, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { ImageState } from "./parts/ImageState";
import { STEPS, type Step, useSteps } from "./parts/steps";

/** The snapshot is needed for the copy alone; by then it has been made. */
const SNAPSHOT_KEPT_MS = 24 * 3_600_000;

/** A snapshot that goes by itself; its name. */
async function take(vm: string, note: string): Promise<string> {
  const now = new Date();
  const stamp = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  const name = `${vm.slice(0, 36)}-template-${stamp}`;
  const expires_at = new Date(now.getTime() + SNAPSHOT_KEPT_MS).toISOString();
  await post(path("snapshot"), { meta: { name }, spec: { vm, note, expires_at } });
  return name;
}

type Asked = { what: "make" } | { what: "report" | "delete"; image: Image };

export function Templates() {
  const { t } = useLingui();
  const all = useObjects("image");
  const templates = useMemo(() => all.filter(isTemplate), [all]);
  const { change } = useMay();
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  const columns = useMemo<Column<Image>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(8rem,1.5fr)", by: (i) => i.meta.name, cell: (i) => <span className="font-medium">{i.meta.name}</span> },
      { id: "phase", name: t`State`, width: "minmax(7rem,1.4fr)", by: imagePhase, cell: (i) => <ImageState image={i} /> },
      { id: "os", name: t`System`, width: "minmax(6rem,1.2fr)", wide: true, by: (i) => i.status?.os ?? i.spec.os ?? "", cell: (i) => i.status?.os ?? i.spec.os ?? "–" },
      { id: "cpus", name: t`CPUs`, width: "4.5rem", wide: true, right: true, by: (i) => i.spec.defaults?.cpus ?? 0, cell: (i) => i.spec.defaults?.cpus ?? "–" },
      { id: "memory", name: t`Memory`, width: "6rem", wide: true, right: true, by: (i) => i.spec.defaults?.memory_bytes ?? 0, cell: (i) => bytes(i.spec.defaults?.memory_bytes ?? undefined) },
      { id: "size", name: t`Stored`, width: "6.5rem", wide: true, right: true, by: (i) => i.status?.size_bytes ?? 0, cell: (i) => bytes(i.status?.size_bytes) },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (i) => (
          <Menu name={t`Actions for ${i.meta.name}`} entries={[
            { id: "report", name: t`What was taken out`, icon: "audit", onAction: () => setAsked({ what: "report", image: i }) },
            ...(change ? [{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked({ what: "delete", image: i }) } as const] : []),
          ]} />
        ),
      },
    ],
    [t, change],
  );
  const making = templates.filter((i) => i.status?.progress && imagePhase(i) !== "ready");
  const make = change ? <Button look="primary" icon="plus" onPress={() => setAsked({ what: "make" })}><Trans>Make a template</Trans></Button> : null;
  return (
    <Page title={t`Templates`} titleText={t`Templates`} actions={make}
      cli={["tabane template list", "tabane template create NAME --vm VM", "tabane vm create NAME --template TEMPLATE --count 20"]}>
      {making.length > 0 ? (
        <section className="grid gap-3 rounded-lg border border-line bg-surface p-4">
          {making.map((i) => (
            <div key={i.meta.name}><span className="font-medium">{i.meta.name}</span><ProgressLine progress={i.status?.progress} label={t`Progress of ${i.meta.name}`} /></div>
          ))}
        </section>
      ) : null}
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Templates`} rows={templates} columns={columns} keyOf={(i) => i.meta.name}
          empty={<Empty icon="template" title={<Trans>There are no templates yet. Set up a VM as you like it, and make one of it.</Trans>}>{make}</Empty>} />
      </section>
      {asked?.what === "make" ? <Make onClose={close} /> : null}
      {asked?.what === "report" ? <Report image={asked.image} onClose={close} /> : null}
      {asked?.what === "delete" ? (
        <Confirm title={t`Delete the template ${asked.image.meta.name}?`} name={asked.image.meta.name} action={t`Delete`} onClose={close} onConfirm={() => remove(path("image", asked.image.meta.name))}>
          <p><Trans>VMs that were made from it stay as they are.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function Report({ image, onClose }: { image: Image; onClose: () => void }) {
  const { t } = useLingui();
  const words = useSteps();
  const done = image.status?.generalised ?? [];
  return (
    <Dialog title={t`What was taken out of ${image.meta.name}`} onClose={onClose}>
      {done.length === 0 ? <p className="text-muted"><Trans>Nothing: the disk was copied as it was.</Trans></p> : (
        <dl className="grid gap-x-4 gap-y-1 sm:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
          {done.map((d) => (
            <div key={d.step} className="contents">
              <dt className="text-muted">{words[d.step as Step]}</dt>
              <dd>{d.result}</dd>
            </div>
          ))}
        </dl>
      )}
    </Dialog>
  );
}

function Make({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const vms = useObjects("vm");
  const words = useSteps();
  const choices = vms.filter((vm) => vm.spec.host && (vm.spec.disks ?? []).length > 0);
  const [source, setSource] = useState<string | null>(null);
  const [name, setName] = useState("");
  const [users, setUsers] = useState("");
  const [clean, setClean] = useState(true);
  const [skip, setSkip] = useState<Step[]>([]);
  const removed = users.split(/[\s,]+/).filter(Boolean);
  const vm = choices.find((v) => v.meta.name === source);
  const disk = vm?.spec.disks?.[0]?.name;
  const { busy, problem, submit } = useForm(async () => {
    if (!vm || !disk) return;
    const snapshot = await take(vm.meta.name, `for the template ${name}`);
    const generalise = clean ? { generalise: { skip, remove_users: removed } } : {};
    await post(path("image"), { meta: { name }, spec: { source: { snapshot: { snapshot, disk, ...generalise } } } });
    onClose();
  });
  const command = [
    "tabane template create", name || "NAME", "--vm", source ?? "VM",
    ...(clean ? [...skip.flatMap((s) => ["--skip", s]), ...removed.flatMap((u) => ["--remove-user", u])] : ["--no-generalise"]),
  ].join(" ");
  return (
    <Dialog title={t`Make a template`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <p className="text-muted"><Trans>A copy is made of the VM's first disk. The VM stays as it is, and may go on running.</Trans></p>
        <div className="grid gap-4 sm:grid-cols-2">
          <Select label={t`VM`} value={source} onChange={(v) => { setSource(v); if (!name) setName(`${v}-template`); }} placeholder={t`Choose a VM`} choices={choices.map((v) => ({ id: v.meta.name, name: v.meta.name }))} />
          <TextField label={t`Name of the template`} value={name} onChange={setName} mono isRequired />
        </div>
        <Switch isSelected={clean} onChange={setClean}><Trans>Take out what is this machine's own (Linux)</Trans></Switch>
        {clean ? (
          <>
            <fieldset className="grid gap-1 max-h-56 overflow-y-auto rounded border border-line p-3">
              <legend className="px-1 text-xs text-muted"><Trans>What is taken out</Trans></legend>
              {STEPS.filter((step) => step !== "users").map((step) => (
                <Checkbox key={step} isSelected={!skip.includes(step)} onChange={(on) => setSkip(on ? skip.filter((s) => s !== step) : [...skip, step])}>{words[step]}</Checkbox>
              ))}
            </fieldset>
            <TextField label={t`Users to remove, with their home folders (optional)`} value={users} onChange={setUsers} mono placeholder="ada, bob" />
          </>
        ) : <p className="text-muted"><Trans>Generalise it inside the guest first: by sysprep in Windows.</Trans></p>}
        {problem ? <ProblemNote problem={problem} /> : null}
        <Cli commands={[command]} />
        <FormEnd onCancel={onClose} submit={t`Make it`} busy={busy} isDisabled={!vm || !name} />
      </form>
    </Dialog>
  );
}
