/** One VM: what it is, does and has, and what can be done with it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Link, useParams } from "@tanstack/react-router";
import { type ReactNode, Suspense, lazy, useEffect, useRef, useState } from "react";
import { blob } from "~/api/client";
import { useObject, useLiveState } from "~/api/live";
import { type Vm, isUp, path, vmAddresses, vmPhase } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button, Conditions, Empty, Facts, Labels, Meter, Panel, Phase, ProgressLine, useNow } from "~/design/basics";
import { Icon } from "~/design/Icon";
import { MetricCharts } from "~/design/MetricCharts";
import { Menu } from "~/design/overlays";
import { TabLinks } from "~/design/Tabs";
import { Page } from "~/shell/Page";
import { bytes, lasting, moment } from "~/words/format";
import { useWord } from "~/words/states";
import { EventList } from "./parts/EventList";
import { Devices } from "./vm/Devices";
import { Clone } from "./vm/Copies";
import { Export } from "./vm/Export";
import { Settings } from "./vm/Settings";
import { Snapshots } from "./vm/Snapshots";
import { useOffers, usePower } from "./vm/power";

const Terminal = lazy(() => import("./vm/Terminal"));
const Display = lazy(() => import("./vm/Display"));

function cliOf(tab: string, vm: Vm): string[] {
  const name = vm.meta.name;
  switch (tab) {
    case "console": return [`tabane vm console ${name}`, `tabane vm exec ${name} -- uname -a`];
    case "display": return [`tabane vm screenshot ${name} -o ${name}.png`, `tabane vm vnc ${name}`];
    case "devices": return [`tabane vm attach ${name} --as data --size 20GiB`, `tabane vm plug ${name} --network default`];
    case "snapshots": return [`tabane snapshot tree ${name}`, `tabane snapshot create ${name} NAME --memory`];
    // It follows what is typed there.
    case "settings": return [];
    case "events": return [`tabane event list --about vm/${name} --watch`];
    default: return [`tabane vm get ${name}`, isUp(vm) ? `tabane vm shutdown ${name}` : `tabane vm start ${name} --wait agent`];
  }
}

export function VmPage() {
  const { t } = useLingui();
  const { name, tab } = useParams({ from: "/shell/vms/$name/{-$tab}" });
  const vm = useObject("vm", name);
  const { synced } = useLiveState();
  const { change } = useMay();
  const tabs = [
    { id: "overview", name: t`Overview` },
    { id: "devices", name: t`Devices` },
    { id: "snapshots", name: t`Snapshots` },
    ...(change ? [{ id: "console", name: t`Console` }, { id: "display", name: t`Display` }] : []),
    ...(change ? [{ id: "settings", name: t`Settings` }] : []),
    { id: "events", name: t`Events` },
  ];
  const at = tabs.find((entry) => entry.id === tab)?.id ?? "overview";
  if (!vm) {
    return (
      <Page title={name} titleText={name} back={{ to: "/vms", name: t`VMs` }} cli={[`tabane vm get ${name}`]}>
        {synced ? <Empty icon="vm" title={<Trans>There is no VM {name}.</Trans>}><Link to="/vms" className="link"><Trans>To the list</Trans></Link></Empty> : null}
      </Page>
    );
  }
  return (
    <Page title={name} titleText={name} back={{ to: "/vms", name: t`VMs` }} badge={<Phase phase={vmPhase(vm)} />} cli={cliOf(at, vm)} actions={<Power vm={vm} />}>
      <TabLinks label={t`Parts of the VM`} to="/vms/$name/{-$tab}" name={name} tabs={tabs} at={at} />
      <Suspense fallback={<p className="flex justify-center gap-2 py-10 text-muted"><Icon name="spinner" /><Trans>Loading…</Trans></p>}>
        {at === "overview" ? <Overview vm={vm} /> : null}
        {at === "devices" ? <Devices vm={vm} /> : null}
        {at === "snapshots" ? <Snapshots vm={vm} /> : null}
        {at === "console" ? <Terminal key={name} vm={vm} /> : null}
        {at === "display" ? <Display key={name} vm={vm} /> : null}
        {at === "settings" ? <Settings key={name} vm={vm} /> : null}
        {at === "events" ? <Panel flush><EventList about={{ kind: "vm", name }} limit={300} /></Panel> : null}
      </Suspense>
    </Page>
  );
}

function Power({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const offers = useOffers();
  const { ask, dialog, may } = usePower();
  const [copying, setCopying] = useState<"clone" | "export">();
  if (!may) return null;
  const first = offers.filter((o) => ["start", "resume", "shutdown"].includes(o.action) && o.fits(vm));
  const rest = offers.filter((o) => !["start", "resume", "shutdown"].includes(o.action));
  return (
    <>
      {first.map((offer, i) => (
        <Button key={offer.action} icon={offer.icon} look={i === 0 && offer.action !== "shutdown" ? "primary" : "secondary"} onPress={() => ask(offer.action, [vm])}>{offer.name}</Button>
      ))}
      <Menu name={t`More actions`} entries={[
        { id: "clone", name: t`Clone`, icon: "clone", onAction: () => setCopying("clone") },
        { id: "export", name: t`Export`, icon: "download", onAction: () => setCopying("export") },
        ...rest.map((o) => ({ id: o.action, name: o.name, icon: o.icon, danger: o.danger ?? false, isDisabled: !o.fits(vm), onAction: () => ask(o.action, [vm]) })),
      ]} />
      {copying === "clone" ? <Clone vm={vm} onClose={() => setCopying(undefined)} /> : null}
      {copying === "export" ? <Export vm={vm} onClose={() => setCopying(undefined)} /> : null}
      {dialog}
    </>
  );
}

function Overview({ vm }: { vm: Vm }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const now = useNow();
  const { spec, status, meta } = vm;
  const guest = status?.guest;
  const addresses = vmAddresses(vm);
  const firstDisk = useObject("disk", spec.disks?.find((d) => d.disk)?.disk ?? undefined);
  const image = spec.boot_image ?? firstDisk?.spec.image;
  return (
    <div className="grid gap-3 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)] items-start">
      <div className="grid gap-3 min-w-0">
        {status?.arrival?.progress ? <Panel title={<Trans>Moving to another host</Trans>}><ProgressLine progress={status.arrival.progress} label={t`Move`} /></Panel> : null}
        <MetricCharts kind="vms" name={meta.name} memoryBytes={spec.memory_bytes} />
        <Panel title={<Trans>Recent events</Trans>} flush><EventList about={{ kind: "vm", name: meta.name }} limit={8} /></Panel>
      </div>
      <div className="grid gap-3 min-w-0">
        <Picture vm={vm} />
        <Panel title={<Trans>VM</Trans>}>
          <Facts facts={[
            [t`Host`, spec.host ? <Link to="/hosts/$name" params={{ name: spec.host }} className="link">{spec.host}</Link> : <Trans>not placed yet</Trans>],
            [t`CPUs`, spec.cpus],
            [t`Memory`, bytes(spec.memory_bytes)],
            [t`Address`, addresses.length ? <span className="font-mono text-xs">{addresses.map((a) => <span key={a} className="block">{a}</span>)}</span> : "–"],
            [t`Image`, image ?? "–"],
            ...(isUp(vm) ? [[t`Running for`, lasting(status?.started_at, now, i18n.locale)] as [string, string]] : []),
            ...(status?.pinned ? [
              [t`Accelerator`, `${status.pinned.accel.toUpperCase()} · QEMU ${status.pinned.qemu_version}`] as [string, string],
              [t`Machine`, <code key="machine">{status.pinned.machine} / {status.pinned.cpu_model}</code>] as [string, ReactNode],
            ] : []),
            [t`After a crash`, word(spec.on_crash ?? "restart")],
            ...(status?.last_exit ? [[t`Last end`, status.last_exit] as [string, string]] : []),
            [t`Created`, moment(meta.created_at, i18n.locale)],
            [t`Labels`, meta.labels && Object.keys(meta.labels).length ? <Labels labels={meta.labels} /> : "–"],
          ]} />
        </Panel>
        <Panel title={<Trans>Guest</Trans>}>
          {guest?.agent ? (
            <div className="grid gap-3">
              <Facts facts={[[t`System`, guest.os ?? "–"], [t`Kernel`, guest.kernel ?? "–"], [t`Host name`, guest.hostname ?? "–"]]} />
              {(guest.file_systems ?? []).filter((f) => f.size_bytes).map((f) => (
                <Meter key={f.mount_point} name={f.mount_point} used={f.used_bytes ?? 0} total={f.size_bytes ?? 0} told={`${bytes(f.used_bytes)} / ${bytes(f.size_bytes)}`} />
              ))}
            </div>
          ) : <p className="text-muted">{isUp(vm) ? <Trans>The guest agent has not answered yet.</Trans> : <Trans>The VM does not run.</Trans>}</p>}
        </Panel>
        <Panel title={<Trans>Conditions</Trans>}><Conditions conditions={status?.conditions} /></Panel>
      </div>
    </div>
  );
}

const PICTURE_EVERY_MS = 10_000;

/** A small picture of the display, taken anew now and then while somebody looks. */
function Picture({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const { change } = useMay();
  const [url, setUrl] = useState<string>();
  const kept = useRef<string>(undefined);
  const name = vm.meta.name;
  const running = change && ["running", "paused"].includes(vmPhase(vm));
  useEffect(() => {
    if (!running) return;
    const stop = new AbortController();
    const take = async () => {
      if (document.hidden) return;
      try {
        const picture = await blob(path("vm", name, "screenshot"), { signal: stop.signal });
        const next = URL.createObjectURL(picture);
        if (kept.current) URL.revokeObjectURL(kept.current);
        kept.current = next;
        setUrl(next);
      } catch {
        // Without a picture the rest of the page is as good.
      }
    };
    void take();
    const timer = setInterval(() => void take(), PICTURE_EVERY_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
      if (kept.current) URL.revokeObjectURL(kept.current);
      kept.current = undefined;
      setUrl(undefined);
    };
  }, [running, name]);
  if (!running || !url) return null;
  return (
    <Link to="/vms/$name/{-$tab}" params={{ name, tab: "display" }} className="block rounded-lg border border-line overflow-hidden bg-black">
      <img src={url} alt={t`Picture of the display of ${name}`} className="w-full max-h-56 object-contain" />
    </Link>
  );
}
