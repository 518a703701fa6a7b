/** Disks and nics of a VM; both can be added and taken while it runs. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { patch } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Disk, type Vm, diskPhase, path } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button, Empty, Panel, Phase } from "~/design/basics";
import { NumberField, Select, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, ProblemNote, say, useForm } from "~/design/overlays";
import { bytes } from "~/words/format";
import { useWord } from "~/words/states";

const GIB = 2 ** 30;
type VmDisk = NonNullable<Vm["spec"]["disks"]>[number];
type Nic = NonNullable<Vm["spec"]["nics"]>[number];
type Asked = { what: "attach" | "plug" } | { what: "detach"; disk: VmDisk } | { what: "unplug"; nic: Nic } | { what: "grow"; disk: Disk };

/** Writes the VM only if nobody else did since it was read. */
const write = (vm: Vm, spec: Partial<Vm["spec"]>) => patch(path("vm", vm.meta.name), { spec }, { headers: { "If-Match": `"${vm.meta.revision}"` } });

export function Devices({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const { change } = useMay();
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  const disks = vm.spec.disks ?? [];
  const nics = vm.spec.nics ?? [];
  return (
    <div className="grid gap-3 xl:grid-cols-2 items-start">
      <Panel flush title={<Trans>Disks</Trans>} actions={change ? <Button small icon="plus" onPress={() => setAsked({ what: "attach" })}><Trans>Attach</Trans></Button> : null}>
        {disks.length === 0 ? <Empty icon="disk" title={<Trans>It has no disks.</Trans>} /> : (
          <ul className="divide-y divide-line/70">
            {disks.map((disk) => <DiskLine key={disk.name} vm={vm} disk={disk} onGrow={(d) => setAsked({ what: "grow", disk: d })} onDetach={() => setAsked({ what: "detach", disk })} />)}
          </ul>
        )}
      </Panel>
      <Panel flush title={<Trans>Nics</Trans>} actions={change ? <Button small icon="plus" onPress={() => setAsked({ what: "plug" })}><Trans>Plug in</Trans></Button> : null}>
        {nics.length === 0 ? <Empty icon="network" title={<Trans>It has no nics.</Trans>} /> : (
          <ul className="divide-y divide-line/70">
            {nics.map((nic) => {
              const told = vm.status?.nics?.find((n) => n.name === nic.name);
              const addresses = [...new Set([...(told?.addresses ?? []), ...(nic.address ? [nic.address] : [])])];
              return (
                <li key={nic.name} className="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2.5">
                  <span className="min-w-0 flex-1 basis-52">
                    <span className="font-medium">{nic.name}</span> <span className="text-muted">· {nic.network}</span>
                    <span className="block font-mono text-xs text-muted break-all">{nic.mac ?? told?.mac} {addresses.join(", ")}</span>
                    {(nic.forwards ?? []).map((f) => (
                      <span key={`${f.protocol}${f.host_port}`} className="block text-xs text-muted">{f.protocol ?? "tcp"} {f.host_address ?? "127.0.0.1"}:{f.host_port} → {f.guest_port}</span>
                    ))}
                  </span>
                  {change ? <Button small onPress={() => setAsked({ what: "unplug", nic })} aria-label={t`Unplug ${nic.name}`}><Trans>Unplug</Trans></Button> : null}
                </li>
              );
            })}
          </ul>
        )}
      </Panel>
      {asked?.what === "attach" ? <Attach vm={vm} onClose={close} /> : null}
      {asked?.what === "plug" ? <Plug vm={vm} onClose={close} /> : null}
      {asked?.what === "grow" ? <Grow disk={asked.disk} onClose={close} /> : null}
      {asked?.what === "detach" ? (
        <Confirm title={t`Detach ${asked.disk.name} from ${vm.meta.name}?`} action={t`Detach`} onClose={close}
          onConfirm={async () => void (await write(vm, { disks: disks.filter((d) => d.name !== asked.disk.name) }))}>
          <p><Trans>The disk {asked.disk.disk ?? asked.disk.name} is kept and can be attached again.</Trans></p>
        </Confirm>
      ) : null}
      {asked?.what === "unplug" ? (
        <Confirm title={t`Unplug ${asked.nic.name} from ${vm.meta.name}?`} action={t`Unplug`} onClose={close}
          onConfirm={async () => void (await write(vm, { nics: nics.filter((n) => n.name !== asked.nic.name) }))}>
          <p><Trans>The guest loses this connection, and its address may be given to others.</Trans></p>
        </Confirm>
      ) : null}
    </div>
  );
}

function DiskLine({ vm, disk, onGrow, onDetach }: { vm: Vm; disk: VmDisk; onGrow: (disk: Disk) => void; onDetach: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const { change } = useMay();
  const object = useObjects("disk").find((d) => d.meta.name === disk.disk);
  const told = vm.status?.disks?.find((d) => d.name === disk.name);
  const size = told?.size_bytes || object?.status?.size_bytes || disk.size_bytes;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2.5">
      <span className="min-w-0 flex-1 basis-52">
        <span className="font-medium">{disk.name}</span>{" "}
        <span className="text-muted">· {bytes(size)}{told ? <> · <Trans>{bytes(told.used_bytes)} used</Trans></> : null}</span>
        <span className="block text-xs text-muted break-all">
          {disk.disk}{object?.spec.image ? ` · ${object.spec.image} (${word(object.spec.clone ?? "linked")})` : ""}{object ? ` · ${object.spec.pool}` : ""}
        </span>
      </span>
      {object ? <Phase phase={diskPhase(object)} /> : null}
      {change && object ? <Button small onPress={() => onGrow(object)} aria-label={t`Let ${disk.name} grow`}><Trans>Grow</Trans></Button> : null}
      {change ? <Button small onPress={onDetach} aria-label={t`Detach ${disk.name}`}><Trans>Detach</Trans></Button> : null}
    </li>
  );
}

function freeName(base: string, taken: string[]): string {
  for (let i = 0; ; i++) {
    const name = i === 0 && base === "data" ? base : `${base}${i}`;
    if (!taken.includes(name)) return name;
  }
}

function Attach({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const { t } = useLingui();
  const disks = vm.spec.disks ?? [];
  const free = useObjects("disk").filter((d) => !d.spec.vm && !d.meta.deleted_at && (!d.spec.host || d.spec.host === vm.spec.host));
  const [name, setName] = useState(freeName("data", disks.map((d) => d.name)));
  const [from, setFrom] = useState("new");
  const [size, setSize] = useState(20);
  const { busy, problem, submit, fault } = useForm(async () => {
    const disk: VmDisk = from === "new" ? { name, size_bytes: Math.round(size * GIB) } : { name, disk: from };
    await write(vm, { disks: [...disks, disk] });
    say(<Trans>{name} is being attached.</Trans>);
    onClose();
  });
  const at = `spec.disks[${disks.length}]`;
  return (
    <Dialog title={t`Attach a disk to ${vm.meta.name}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name inside the VM`} value={name} onChange={setName} mono isRequired fault={fault(`${at}.name`)} hint={t`Also the serial number that the guest sees.`} />
        <Select label={t`Disk`} value={from} onChange={setFrom}
          choices={[{ id: "new", name: t`A new, empty one` }, ...free.map((d) => ({ id: d.meta.name, name: d.meta.name, told: bytes(d.status?.size_bytes ?? d.spec.size_bytes) }))]} />
        {from === "new" ? <NumberField label={t`Size`} unit="GiB" value={size} onChange={setSize} min={0.01} fault={fault(`${at}.size_bytes`)} /> : null}
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Attach`} busy={busy} />
      </form>
    </Dialog>
  );
}

function Plug({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const { t } = useLingui();
  const nics = vm.spec.nics ?? [];
  const networks = useObjects("network");
  const [network, setNetwork] = useState<string | null>(networks[0]?.meta.name ?? null);
  const [name, setName] = useState(freeName("nic", nics.map((n) => n.name)));
  const { busy, problem, submit, fault } = useForm(async () => {
    await write(vm, { nics: [...nics, { name, network: network ?? "" }] });
    say(<Trans>{name} is being plugged in.</Trans>);
    onClose();
  });
  return (
    <Dialog title={t`Plug a nic into ${vm.meta.name}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <Select label={t`Network`} value={network} onChange={setNetwork} choices={networks.map((n) => ({ id: n.meta.name, name: n.meta.name, told: n.spec.cidr ?? n.spec.kind ?? "" }))} />
        <TextField label={t`Name`} value={name} onChange={setName} mono isRequired fault={fault(`spec.nics[${nics.length}]`)} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Plug in`} busy={busy} isDisabled={network === null} />
      </form>
    </Dialog>
  );
}

export function Grow({ disk, onClose }: { disk: Disk; onClose: () => void }) {
  const { t } = useLingui();
  const present = (disk.status?.size_bytes || disk.spec.size_bytes || GIB) / GIB;
  const [size, setSize] = useState(Math.ceil(present * 2));
  const { busy, problem, submit, fault } = useForm(async () => {
    await patch(path("disk", disk.meta.name), { spec: { size_bytes: Math.round(size * GIB) } });
    onClose();
  });
  return (
    <Dialog title={t`Let ${disk.meta.name} grow`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <NumberField label={t`Size`} unit="GiB" value={size} onChange={setSize} min={Math.ceil(present * 100) / 100} fault={fault("spec.size_bytes")} hint={t`Disks grow, also while their VM runs; they never shrink.`} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Grow`} busy={busy} />
      </form>
    </Dialog>
  );
}
