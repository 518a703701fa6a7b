/** The plan of an import: what would be made, and what is up to whoever imports. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useId } from "react";
import type { Choices, Plan } from "~/api/importing";
import { useObjects } from "~/api/live";
import { Panel } from "~/design/basics";
import { Checkbox, Select, Switch, TextField } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { bytes } from "~/words/format";
import { useNoteWords } from "./words";

interface Props {
  plan: Plan;
  choices: Choices;
  onChange: (change: Partial<Choices>) => void;
  /** As it is typed. */
  name: string;
  onName: (name: string) => void;
  nameFault: string | undefined;
  isDisabled: boolean;
}

const FIRMWARE: Record<string, string> = { bios: "BIOS", uefi: "UEFI", "uefi-secure-boot": "UEFI, Secure Boot" };

export function PlanForm({ plan, choices, onChange, name, onName, nameFault, isDisabled }: Props) {
  const { t } = useLingui();
  const pools = useObjects("pool");
  const { spec } = plan.vm;
  const configurations = plan.configurations ?? [];
  const facts: [string, string][] = [
    [t`System`, plan.os ?? t`not stated`],
    [t`CPUs`, String(spec.cpus)],
    [t`Memory`, bytes(spec.memory_bytes)],
    [t`Firmware`, FIRMWARE[spec.firmware ?? "bios"] ?? String(spec.firmware)],
  ];
  return (
    <>
      <Panel title={<Trans>The VM</Trans>}>
        <div className="grid gap-4">
          <dl className="grid grid-cols-2 sm:grid-cols-4 gap-x-4 gap-y-2">
            {facts.map(([term, value]) => <div key={term} className="min-w-0"><dt className="text-xs text-muted">{term}</dt><dd className="break-words">{value}</dd></div>)}
          </dl>
          <div className="grid gap-4 sm:grid-cols-2 lg:grid-cols-3">
            <TextField label={t`Name`} value={name} onChange={onName} mono isRequired isDisabled={isDisabled} fault={nameFault} />
            {configurations.length > 1 ? (
              <Select label={t`Configuration`} value={plan.configuration ?? null} onChange={(configuration) => onChange({ configuration })} isDisabled={isDisabled}
                choices={configurations.map((c) => ({ id: c.id, name: c.id, ...(c.label ? { told: c.label } : {}) }))} />
            ) : null}
            {pools.length > 1 ? (
              <Select label={t`Pool of the disks`} value={choices.pool ?? ""} onChange={(pool) => onChange({ pool: pool || null })} isDisabled={isDisabled}
                choices={[{ id: "", name: t`the default` }, ...pools.map((pool) => ({ id: pool.meta.name, name: pool.meta.name }))]} />
            ) : null}
          </div>
          <div className="flex flex-wrap gap-x-6 gap-y-1">
            <Switch isSelected={choices.start ?? false} onChange={(start) => onChange({ start })} isDisabled={isDisabled}><Trans>Start it at once</Trans></Switch>
            {plan.nics.some((nic) => nic.mac) ? (
              <Switch isSelected={choices.keep_macs ?? false} onChange={(keep_macs) => onChange({ keep_macs })} isDisabled={isDisabled}><Trans>Keep the MAC addresses: the VM that it was made from must be gone</Trans></Switch>
            ) : null}
          </div>
        </div>
      </Panel>
      <div className="grid gap-3 xl:grid-cols-2 items-start">
        <Disks plan={plan} />
        <Nics plan={plan} choices={choices} onChange={onChange} isDisabled={isDisabled} />
      </div>
      <Notes plan={plan} />
    </>
  );
}

function Disks({ plan }: { plan: Plan }) {
  return (
    <Panel flush title={<Trans>Disks</Trans>}>
      {plan.disks.length === 0 ? <p className="p-4 text-muted"><Trans>The package has no disks.</Trans></p> : (
        <ul className="divide-y divide-line/70">
          {plan.disks.map((disk) => (
            <li key={disk.name} className="flex flex-wrap items-baseline gap-x-4 gap-y-1 px-4 py-2.5">
              <span className="min-w-0 flex-1 basis-52">
                <span className="font-medium">{disk.name}</span>
                <span className="block text-xs text-muted break-all">
                  {disk.content ? <>{disk.content.file} · {bytes(disk.content.file_bytes)}</> : <Trans>blank</Trans>}
                </span>
              </span>
              <span className="text-right">
                {bytes(disk.capacity_bytes)}
                <span className="block text-xs text-muted">{[disk.label, disk.bus === "unknown" ? "" : disk.bus].filter(Boolean).join(" · ")}</span>
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Nics({ plan, choices, onChange, isDisabled }: Pick<Props, "plan" | "choices" | "onChange" | "isDisabled">) {
  const { t } = useLingui();
  const networks = useObjects("network");
  // Nics of one network of theirs go together.
  const choose = (theirs: string | null | undefined, network: string) => {
    const others = (choices.networks ?? []).filter((c) => (c.theirs ?? undefined) !== (theirs ?? undefined));
    onChange({ networks: [...others, { ...(theirs ? { theirs } : {}), network }] });
  };
  return (
    <Panel flush title={<Trans>Nics</Trans>}>
      {plan.nics.length === 0 ? <p className="p-4 text-muted"><Trans>The package has no nics.</Trans></p> : (
        <ul className="divide-y divide-line/70">
          {plan.nics.map((nic) => (
            <li key={nic.name} className="grid gap-x-4 gap-y-2 items-center px-4 py-2.5 grid-cols-[minmax(0,1fr)_minmax(9rem,auto)]">
              <span className="min-w-0">
                <span className="font-medium">{nic.name}</span>
                <span className="block text-xs text-muted break-words">{[nic.theirs, nic.model, nic.mac].filter(Boolean).join(" · ")}</span>
                {nic.by_default ? <span className="block text-xs text-warn"><Trans>There is no network "{nic.theirs ?? ""}" here.</Trans></span> : null}
              </span>
              <Select label={t`Network of ${nic.name}`} value={nic.network} onChange={(network) => choose(nic.theirs, network)} isDisabled={isDisabled}
                choices={networks.map((network) => ({ id: network.meta.name, name: network.meta.name }))} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Notes({ plan }: { plan: Plan }) {
  const words = useNoteWords();
  const left = plan.left_out ?? [];
  const notes = plan.notes ?? [];
  if (left.length + notes.length === 0) return null;
  return (
    <Panel title={<Trans>To know before</Trans>}>
      <ul className="grid gap-1.5">
        {notes.map((note) => <li key={note} className="flex gap-2"><span className="text-warn pt-0.5"><Icon name="alert" /></span>{words[note]}</li>)}
        {left.map((what, i) => <li key={i} className="flex gap-2"><span className="text-muted pt-0.5"><Icon name="info" /></span><span className="min-w-0 break-words"><Trans>Left out:</Trans> {what}</span></li>)}
      </ul>
    </Panel>
  );
}

export function Licences({ licences, agreed, onAgree, isDisabled }: { licences: string[]; agreed: boolean; onAgree: (agreed: boolean) => void; isDisabled: boolean }) {
  const { t } = useLingui();
  const id = useId();
  return (
    <Panel title={<span id={id}><Trans>Licence of the package</Trans></span>}>
      <div className="grid gap-3">
        {licences.map((licence, i) => (
          <pre key={i} tabIndex={0} aria-label={t`Text of the licence`} className="max-h-56 overflow-auto whitespace-pre-wrap break-words rounded-md border border-line bg-sunken p-3 text-xs">{licence}</pre>
        ))}
        {isDisabled ? null : <Checkbox isSelected={agreed} onChange={onAgree}><Trans>I agree to it</Trans></Checkbox>}
      </div>
    </Panel>
  );
}
