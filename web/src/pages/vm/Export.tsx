/** A VM as a file for another place: made by its host, downloaded by the browser, and followed here to its end. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { address, get, post, remove } from "~/api/client";
import { type Vm, path } from "~/api/objects";
import type { components } from "~/api/schema";
import { Button } from "~/design/basics";
import { Cli } from "~/design/Cli";
import { Checkbox, Select } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { Dialog, FormEnd, ProblemNote, useForm } from "~/design/overlays";
import { bytes, percent } from "~/words/format";

type State = components["schemas"]["ExportState"];

/** One that was cut short goes by itself after this time. */
const KEPT_MS = 24 * 3_600_000;
const LOOK_MS = 700;

function useFormats(): { id: string; name: string; told: string }[] {
  const { t } = useLingui();
  return [
    { id: "ova", name: t`OVA: the whole VM in one file`, told: t`for VMware, VirtualBox, oVirt, Tabane` },
    { id: "qcow2", name: t`qcow2: one disk`, told: t`for QEMU, KVM, OpenStack; compressed` },
    { id: "vhdx", name: t`VHDX: one disk`, told: t`for Hyper-V` },
    { id: "vmdk", name: t`VMDK: one disk`, told: t`for VMware, VirtualBox; compressed` },
    { id: "raw", name: t`raw: one disk`, told: t`for everything; as large as the disk` },
  ];
}

interface Begun {
  id: string;
  file: string;
  /** A snapshot that was taken for this alone. */
  own?: string;
}

export function Export({ vm, snapshot, onClose }: { vm: Vm; snapshot?: string; onClose: () => void }) {
  const { t } = useLingui();
  const [begun, setBegun] = useState<Begun>();
  return (
    <Dialog title={t`Export ${vm.meta.name}`} onClose={onClose}>
      {begun ? <Course begun={begun} onClose={onClose} onAgain={() => setBegun(undefined)} /> : <Ask vm={vm} {...(snapshot ? { snapshot } : {})} onBegun={setBegun} onClose={onClose} />}
    </Dialog>
  );
}

function Ask({ vm, snapshot, onBegun, onClose }: { vm: Vm; snapshot?: string; onBegun: (begun: Begun) => void; onClose: () => void }) {
  const { t } = useLingui();
  const name = vm.meta.name;
  const disks = vm.spec.disks ?? [];
  const formats = useFormats();
  const [format, setFormat] = useState("ova");
  const [disk, setDisk] = useState(disks[0]?.name ?? null);
  const [ovf2, setOvf2] = useState(false);
  const whole = format === "ova";
  const { busy, problem, submit } = useForm(async () => {
    const own = snapshot ? undefined : `${name.slice(0, 40)}-export-${Date.now().toString(36)}`;
    if (own) {
      const spec = { vm: name, note: "for an export", expires_at: new Date(Date.now() + KEPT_MS).toISOString() };
      await post(path("snapshot"), { meta: { name: own }, spec }, { query: { wait: "ready", timeout_s: 600 } });
    }
    const id = crypto.randomUUID();
    const file = whole || disks.length < 2 ? `${name}.${format}` : `${name}-${disk}.${format}`;
    // The browser's own download: it writes to disk at once, however large the file is.
    const link = document.createElement("a");
    link.href = address(path("snapshot", snapshot ?? own ?? "", "export"), { format, disk: whole || !disk ? undefined : disk, ovf2: whole && ovf2, watch: id });
    link.download = file;
    link.click();
    onBegun({ id, file, ...(own ? { own } : {}) });
  });
  const command = [
    "tabane vm export", name, ...(whole ? [] : ["--format", format]), ...(!whole && disk ? ["--disk", disk] : []), ...(whole && ovf2 ? ["--ovf2"] : []),
    ...(snapshot ? ["--snapshot", snapshot] : []), "-o", `${name}.${format}`,
  ].join(" ");
  return (
    <form onSubmit={submit} className="grid gap-4">
      <p className="text-muted">{snapshot ? <Trans>As the VM was at the snapshot {snapshot}.</Trans> : <Trans>From a snapshot, so the VM goes on running. The snapshot is taken for this, and goes afterwards.</Trans>}</p>
      <Select label={t`Format`} value={format} onChange={setFormat} choices={formats} hint={formats.find((f) => f.id === format)?.told} />
      {whole ? <Checkbox isSelected={ovf2} onChange={setOvf2}><Trans>OVF 2.0 in place of 1.1, which more systems read</Trans></Checkbox>
        : disks.length > 1 ? <Select label={t`Disk`} value={disk} onChange={setDisk} choices={disks.map((d) => ({ id: d.name, name: d.name }))} /> : null}
      {problem ? <ProblemNote problem={problem} /> : null}
      {busy ? <p role="status" className="flex items-center gap-2 text-muted"><Icon name="spinner" /><Trans>A snapshot is taken…</Trans></p> : null}
      <Cli commands={[command]} />
      <FormEnd onCancel={onClose} submit={t`Export`} busy={busy} />
    </form>
  );
}

function Course({ begun, onClose, onAgain }: { begun: Begun; onClose: () => void; onAgain: () => void }) {
  const { t } = useLingui();
  const { data } = useQuery({
    queryKey: ["export", begun.id],
    queryFn: ({ signal }) => get<State>(`/v1/exports/${begun.id}`, { signal }),
    refetchInterval: (query) => (["done", "failed"].includes(query.state.data?.phase ?? "") ? false : LOOK_MS),
  });
  const phase = data?.phase ?? "waiting";
  const { own } = begun;
  useEffect(() => {
    // It has its end by itself, should this not get through.
    if (own && phase === "done") void remove(path("snapshot", own)).catch(() => {});
  }, [own, phase]);
  const length = data?.length_bytes ?? 0;
  const sent = data?.sent_bytes ?? 0;
  const fraction = phase === "sending" && length > 0 ? sent / length : phase === "done" ? 1 : (data?.fraction ?? 0);
  const told = phase === "sending" ? t`The browser downloads it: ${bytes(sent)} of ${bytes(length)}` : t`The host makes the file…`;
  const value = Math.round(fraction * 100);
  return (
    <div className="grid gap-4">
      <p className="font-mono text-xs wrap-anywhere">{begun.file}</p>
      {phase === "failed" && data?.problem ? <ProblemNote problem={data.problem} /> : phase === "done" ? (
        <p role="status" className="flex items-center gap-2"><span className="text-good"><Icon name="check" /></span><Trans>{bytes(length)} were sent, and are what the host has made.</Trans></p>
      ) : (
        <div role="status">
          <div role="progressbar" aria-label={t`Export of ${begun.file}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value} aria-valuetext={`${told} ${value} %`} className="h-1.5 rounded-full bg-busy-soft overflow-hidden">
            <div className="h-full rounded-full bg-busy transition-[width] duration-300" style={{ width: `${Math.max(2, value)}%` }} />
          </div>
          <div className="flex gap-2 text-xs text-muted mt-1"><span className="mr-auto">{told}</span>{percent(fraction)}</div>
        </div>
      )}
      {phase === "done" || phase === "failed" ? null : <p className="text-muted"><Trans>This may be closed: the download goes on.</Trans></p>}
      <div className="flex justify-end gap-2">
        {phase === "failed" ? <Button onPress={onAgain}><Trans>Try again</Trans></Button> : null}
        <Button look="primary" onPress={onClose}><Trans>Close</Trans></Button>
      </div>
    </div>
  );
}
