/** Disks, nics and CD drives of a VM: what can be added, taken, changed and limited, most of it while it runs. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { patch } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Disk, type Vm, diskPhase, path } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button, Empty, Panel, Phase } from "~/design/basics";
import { NumberField, Select, TextField } from "~/design/fields";
import { attempt, Confirm, Dialog, FormEnd, ProblemNote, say, useForm } from "~/design/overlays";
import { bytes } from "~/words/format";
import { useWord } from "~/words/states";

const GIB = 2 ** 30;
type VmDisk = NonNullable<Vm["spec"]["disks"]>[number];
type Nic = NonNullable<Vm["spec"]["nics"]>[number];
type Asked = { what: "attach" | "plug" } | { what: "detach"; disk: VmDisk } | { what: "unplug"; nic: Nic } | { what: "grow"; disk: Disk } | { what: "limit"; of: Limited } | { what: "boot" };

/** A disk or a nic, by its place in the spec. */
type Limited = { list: "disks" | "nics"; at: number };

/** Writes the VM only if nobody else did since it was read. */
const write = (vm: Vm, spec: Partial<Vm["spec"]>) => patch(path("vm", vm.meta.name), { spec }, { headers: { "If-Match": `"${vm.meta.revision}"` } });

export function Devices({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const { change } = useMay();
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  const disks = vm.spec.disks ?? [];
  const nics = vm.spec.nics ?? [];
  // Networks that live inside of QEMU know no limits.
  const user = new Set(useObjects("network").filter((n) => (n.spec.kind ?? "user") === "user").map((n) => n.meta.name));
  return (
    <div className="grid gap-3 xl:grid-cols-2 items-start">
      <Panel flush title={<Trans>Disks</Trans>} actions={change ? <Button small icon="plus" onPress={() => setAsked({ what: "attach" })}><Trans>Attach</Trans></Button> : null}>
        {disks.length === 0 ? <Empty icon="disk" title={<Trans>It has no disks.</Trans>} /> : (
          <ul className="divide-y divide-line/70">
            {disks.map((disk) => <DiskLine key={disk.name} vm={vm} disk={disk} onGrow={(d) => setAsked({ what: "grow", disk: d })} onLimit={() => setAsked({ what: "limit", of: { list: "disks", at: disks.indexOf(disk) } })} onDetach={() => setAsked({ what: "detach", disk })} />)}
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
                    <LimitsOf limits={nic.limits} />
                    {(nic.forwards ?? []).map((f) => (
                      <span key={`${f.protocol}${f.host_port}`} className="block text-xs text-muted">{f.protocol ?? "tcp"} {f.host_address ?? "127.0.0.1"}:{f.host_port} → {f.guest_port}</span>
                    ))}
                  </span>
                  {change && !user.has(nic.network) ? <Button small onPress={() => setAsked({ what: "limit", of: { list: "nics", at: nics.indexOf(nic) } })} aria-label={t`Limit ${nic.name}`}><Trans>Limit</Trans></Button> : null}
                  {change ? <Button small onPress={() => setAsked({ what: "unplug", nic })} aria-label={t`Unplug ${nic.name}`}><Trans>Unplug</Trans></Button> : null}
                </li>
              );
            })}
          </ul>
        )}
      </Panel>
      <Drives vm={vm} onBoot={() => setAsked({ what: "boot" })} />
      {asked?.what === "limit" ? <Limit vm={vm} of={asked.of} onClose={close} /> : null}
      {asked?.what === "boot" ? <Boot vm={vm} onClose={close} /> : null}
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

function DiskLine({ vm, disk, onGrow, onLimit, onDetach }: { vm: Vm; disk: VmDisk; onGrow: (disk: Disk) => void; onLimit: () => void; onDetach: () => void }) {
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
          {disk.disk}{object?.spec.image ? ` · ${object.spec.image} (${word(object.spec.clone ?? "linked")})` : ""}{object ? ` · ${object.spec.pool}` : ""}{disk.bus === "sata" ? " · SATA" : ""}
        </span>
        <LimitsOf limits={disk.limits} />
      </span>
      {object ? <Phase phase={diskPhase(object)} /> : null}
      {change && object ? <Button small onPress={() => onGrow(object)} aria-label={t`Let ${disk.name} grow`}><Trans>Grow</Trans></Button> : null}
      {change ? <Button small onPress={onLimit} aria-label={t`Limit ${disk.name}`}><Trans>Limit</Trans></Button> : null}
      {change ? <Button small onPress={onDetach} aria-label={t`Detach ${disk.name}`}><Trans>Detach</Trans></Button> : null}
    </li>
  );
}

/** CD drives with what is in them, and the order of booting. */
function Drives({ vm, onBoot }: { vm: Vm; onBoot: () => void }) {
  const { t } = useLingui();
  const { change } = useMay();
  const [into, setInto] = useState<string>();
  const drives = vm.spec.cdroms ?? [];
  const runs = Boolean(vm.status?.pid);
  const names = [...(vm.spec.disks ?? []), ...drives, ...(vm.spec.nics ?? [])].map((d) => d.name);
  const order = vm.spec.boot?.length ? vm.spec.boot : [...(vm.spec.disks ?? []), ...drives].map((d) => d.name);
  const put = (name: string, image?: string) => write(vm, { cdroms: drives.map((d) => (d.name === name ? { name, ...(image ? { image } : {}) } : d)) });
  return (
    <Panel flush title={<Trans>CD drives</Trans>} actions={change && !runs ? <Button small icon="plus" onPress={() => attempt(() => write(vm, { cdroms: [...drives, { name: freeName("cd", names) }] }))}><Trans>Add a drive</Trans></Button> : null}>
      {drives.length === 0 ? <Empty icon="image" title={<Trans>It has no CD drives.</Trans>}>{runs ? <Trans>Drives are added while the VM is off.</Trans> : null}</Empty> : (
        <ul className="divide-y divide-line/70">
          {drives.map((drive) => {
            const inside = vm.status?.cdroms?.find((d) => d.name === drive.name);
            const late = runs && inside && inside.image !== drive.image;
            return (
              <li key={drive.name} className="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2.5">
                <span className="min-w-0 flex-1 basis-52">
                  <span className="font-medium">{drive.name}</span> <span className="text-muted">· {drive.image ?? <Trans>empty</Trans>}</span>
                  {late ? <span className="block text-xs text-muted"><Trans>It is being changed.</Trans></span> : null}
                </span>
                {change ? <Button small onPress={() => setInto(drive.name)} aria-label={t`Insert a CD into ${drive.name}`}><Trans>Insert</Trans></Button> : null}
                {change && drive.image ? <Button small onPress={() => attempt(() => put(drive.name), <Trans>{drive.name} is being emptied.</Trans>)} aria-label={t`Eject the CD of ${drive.name}`}><Trans>Eject</Trans></Button> : null}
                {change && !runs ? <Button small onPress={() => attempt(() => write(vm, { cdroms: drives.filter((d) => d.name !== drive.name) }))} aria-label={t`Remove ${drive.name}`}><Trans>Remove</Trans></Button> : null}
              </li>
            );
          })}
        </ul>
      )}
      <p className="flex items-center gap-3 border-t border-line/70 px-4 py-2.5 text-xs">
        <span className="min-w-0 flex-1"><span className="text-muted"><Trans>Boots from</Trans></span> <span className="font-mono">{order.join(", ") || "–"}</span></span>
        {change ? <Button small onPress={onBoot}><Trans>Change the order</Trans></Button> : null}
      </p>
      {into ? <Insert drive={into} put={put} onClose={() => setInto(undefined)} /> : null}
    </Panel>
  );
}

function Insert({ drive, put, onClose }: { drive: string; put: (name: string, image?: string) => Promise<unknown>; onClose: () => void }) {
  const { t } = useLingui();
  const cds = useObjects("image").filter((i) => i.status?.cdrom && !i.meta.deleted_at);
  const [image, setImage] = useState<string | null>(cds[0]?.meta.name ?? null);
  const { busy, problem, submit } = useForm(async () => {
    await put(drive, image ?? undefined);
    say(<Trans>{image} is being put into {drive}.</Trans>);
    onClose();
  });
  return (
    <Dialog title={t`Insert a CD into ${drive}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <Select label={t`CD`} value={image} onChange={setImage} placeholder={t`Import an ISO first`} hint={t`A guest that uses the CD that is in is asked to let go of it, and loses it after some seconds.`}
          choices={cds.map((i) => ({ id: i.meta.name, name: i.meta.name, told: bytes(i.status?.size_bytes) }))} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Insert`} busy={busy} isDisabled={image === null} />
      </form>
    </Dialog>
  );
}

// Its forms do without the browser's validation: a field that the server has refused would keep them from being sent again.
function Boot({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const { t } = useLingui();
  const [order, setOrder] = useState((vm.spec.boot ?? []).join(", "));
  const names = [...(vm.spec.disks ?? []), ...(vm.spec.cdroms ?? []), ...(vm.spec.nics ?? [])].map((d) => d.name).join(", ");
  const { busy, problem, submit, fault } = useForm(async () => {
    await write(vm, { boot: order.split(/[\s,]+/).filter(Boolean) });
    say(<Trans>The order holds from the next start on.</Trans>);
    onClose();
  });
  return (
    <Dialog title={t`What ${vm.meta.name} boots from`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Names, the first one first`} value={order} onChange={setOrder} mono fault={fault("spec.boot")} placeholder="cd0, root" hint={t`It has ${names}. Left empty: disks, then CDs. A nic boots from the network.`} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Change`} busy={busy} />
      </form>
    </Dialog>
  );
}

type AnyLimits = Partial<Record<string, number | null>>;

/** The limits of a disk or nic in one line, if it has any. */
function LimitsOf({ limits }: { limits: AnyLimits | null | undefined }) {
  const { t } = useLingui();
  const words: Record<string, string> = {
    iops: t`requests`, read_iops: t`reads`, write_iops: t`writes`, bytes_per_s: t`all`, read_bytes_per_s: t`read`, write_bytes_per_s: t`written`, receive_bytes_per_s: t`received`, send_bytes_per_s: t`sent`,
  };
  const told = Object.entries(words).flatMap(([name, word]) => {
    const value = limits?.[name];
    return value ? [`${word} ${name.endsWith("iops") ? value : bytes(value)}/s`] : [];
  });
  return told.length ? <span className="block text-xs text-muted"><Trans>At most {told.join(", ")}</Trans></span> : null;
}

const MIB = 2 ** 20;

/** Of a disk requests and bandwidth together, of a nic each way; 0 is no limit. */
function Limit({ vm, of, onClose }: { vm: Vm; of: Limited; onClose: () => void }) {
  const { t } = useLingui();
  const disk = of.list === "disks" ? vm.spec.disks?.[of.at] : undefined;
  const nic = of.list === "nics" ? vm.spec.nics?.[of.at] : undefined;
  const name = (disk ?? nic)?.name ?? "";
  const [iops, setIops] = useState(disk?.limits?.iops ?? 0);
  const [first, setFirst] = useState((disk?.limits?.bytes_per_s ?? nic?.limits?.receive_bytes_per_s ?? 0) / MIB);
  const [second, setSecond] = useState((nic?.limits?.send_bytes_per_s ?? 0) / MIB);
  const rate = (field: string, mib: number) => (mib > 0 ? { [field]: Math.round(mib * MIB) } : {});
  const { busy, problem, submit, fault } = useForm(async () => {
    if (disk) {
      // Limits of reads or writes alone stay, unless one of both takes their place.
      const { read_iops, write_iops, read_bytes_per_s, write_bytes_per_s } = disk.limits ?? {};
      const limits = {
        ...(iops > 0 ? { iops: Math.round(iops) } : { read_iops: read_iops ?? null, write_iops: write_iops ?? null }),
        ...(first > 0 ? rate("bytes_per_s", first) : { read_bytes_per_s: read_bytes_per_s ?? null, write_bytes_per_s: write_bytes_per_s ?? null }),
      };
      await write(vm, { disks: (vm.spec.disks ?? []).map((d, i) => (i === of.at ? { ...d, limits } : d)) });
    } else {
      const limits = { ...rate("receive_bytes_per_s", first), ...rate("send_bytes_per_s", second) };
      await write(vm, { nics: (vm.spec.nics ?? []).map((n, i) => (i === of.at ? { ...n, limits } : n)) });
    }
    onClose();
  });
  const at = `spec.${of.list}[${of.at}].limits`;
  return (
    <Dialog title={t`Limit ${name}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        {disk ? <NumberField label={t`Requests a second`} value={iops} onChange={setIops} min={0} fault={fault(`${at}.iops`)} hint={t`0 is no limit. It holds at once, also while the VM runs.`} /> : null}
        <NumberField label={disk ? t`Bandwidth` : t`What the guest gets`} unit="MiB/s" value={first} onChange={setFirst} min={0} fault={fault(`${at}.${disk ? "bytes_per_s" : "receive_bytes_per_s"}`)} {...(disk ? {} : { hint: t`0 is no limit. What is more than that is dropped.` })} />
        {nic ? <NumberField label={t`What the guest sends`} unit="MiB/s" value={second} onChange={setSecond} min={0} fault={fault(`${at}.send_bytes_per_s`)} /> : null}
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Limit`} busy={busy} />
      </form>
    </Dialog>
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
