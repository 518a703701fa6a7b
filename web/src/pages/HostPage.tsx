/** One physical server: what it has, what it runs, and whether it takes more. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Link, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { patch, remove } from "~/api/client";
import { useLiveState, useObject, useObjects } from "~/api/live";
import { hostPhase, path, vmPhase } from "~/api/objects";
import { useMay } from "~/api/session";
import { Ago, Button, Conditions, Empty, Facts, Meter, Panel, Phase, useNow } from "~/design/basics";
import { MetricCharts } from "~/design/MetricCharts";
import { Confirm, Menu, attempt } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { EventList } from "./parts/EventList";

export function HostPage() {
  const { t, i18n } = useLingui();
  const { name } = useParams({ from: "/shell/hosts/$name" });
  const host = useObject("host", name);
  const vms = useObjects("vm");
  const { synced } = useLiveState();
  const { administer } = useMay();
  const now = useNow();
  const [asked, setAsked] = useState<"drain" | "remove">();
  const mine = useMemo(() => vms.filter((vm) => vm.spec.host === name), [vms, name]);
  if (!host) {
    return (
      <Page title={name} titleText={name} back={{ to: "/hosts", name: t`Hosts` }} cli={[`tabane host get ${name}`]}>
        {synced ? <Empty icon="host" title={<Trans>There is no host {name}.</Trans>} /> : null}
      </Page>
    );
  }
  const { status, spec } = host;
  const memory = status?.memory_bytes ?? 0;
  const set = (change: { cordoned?: boolean; drain?: boolean }) => attempt(() => patch(path("host", name), { spec: change }));
  const closed = Boolean(spec.cordoned) || Boolean(spec.drain);
  return (
    <Page title={name} titleText={name} back={{ to: "/hosts", name: t`Hosts` }} badge={<Phase phase={hostPhase(host)} />}
      cli={[`tabane host get ${name}`, closed ? `tabane host uncordon ${name}` : `tabane host drain ${name}`]}
      actions={administer ? (
        <>
          {closed ? <Button icon="play" look="primary" onPress={() => void set({ cordoned: false, drain: false })}><Trans>Take VMs again</Trans></Button>
            : <Button icon="pause" onPress={() => void set({ cordoned: true })}><Trans>Cordon</Trans></Button>}
          <Menu name={t`More actions`} entries={[
            { id: "drain", name: t`Drain`, icon: "drain", isDisabled: Boolean(spec.drain), onAction: () => setAsked("drain") },
            { id: "remove", name: t`Remove`, icon: "trash", danger: true, onAction: () => setAsked("remove") },
          ]} />
        </>
      ) : null}>
      <div className="grid gap-3 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)] items-start">
        <div className="grid gap-3 min-w-0">
          <MetricCharts kind="hosts" name={name} memoryBytes={memory} />
          <Panel flush title={<Trans>VMs of this host</Trans>}>
            {mine.length === 0 ? <p className="p-4 text-muted"><Trans>It has none.</Trans></p> : (
              <ul className="divide-y divide-line/70 max-h-96 overflow-auto" tabIndex={0} aria-label={t`VMs of this host`}>
                {mine.slice(0, 500).map((vm) => (
                  <li key={vm.meta.name} className="flex items-center gap-3 px-4 h-10">
                    <Link to="/vms/$name/{-$tab}" params={{ name: vm.meta.name }} className="font-medium hover:underline mr-auto truncate">{vm.meta.name}</Link>
                    <span className="text-muted max-sm:hidden"><Plural value={vm.spec.cpus} one="# CPU" other="# CPUs" /> · {bytes(vm.spec.memory_bytes)}</span>
                    <Phase phase={vmPhase(vm)} />
                  </li>
                ))}
              </ul>
            )}
          </Panel>
          <Panel flush title={<Trans>Recent events</Trans>}><EventList about={{ kind: "host", name }} limit={8} /></Panel>
        </div>
        <div className="grid gap-3 min-w-0">
          <Panel title={<Trans>Capacity</Trans>}>
            <div className="grid gap-4">
              <Meter name={t`Memory in use`} used={memory - (status?.memory_free_bytes ?? 0)} total={memory} told={`${bytes(memory - (status?.memory_free_bytes ?? 0))} / ${bytes(memory)}`} />
              {Object.entries((status?.pools ?? {}) as Record<string, { capacity_bytes: number; free_bytes: number }>).map(([pool, use]) => (
                <Meter key={pool} name={t`Pool ${pool}`} used={use.capacity_bytes - use.free_bytes} total={use.capacity_bytes} told={`${bytes(use.capacity_bytes - use.free_bytes)} / ${bytes(use.capacity_bytes)}`} />
              ))}
            </div>
          </Panel>
          <Panel title={<Trans>Server</Trans>}>
            <Facts facts={[
              [t`Processor`, status?.cpu_model || "–"],
              [t`CPUs`, status?.cpus],
              [t`Memory`, bytes(memory)],
              [t`Addresses`, <span key="a" className="font-mono text-xs">{(status?.addresses ?? []).join(", ") || "–"}</span>],
              [t`Accelerator`, <>{status?.accel?.kvm ? "KVM" : "TCG"} <span className="text-muted">{status?.accel?.reason}</span></>],
              ["QEMU", status?.qemu_version ?? "–"],
              [t`Machine`, <code key="m">{status?.machine ?? "–"}</code>],
              [t`Agent`, status?.version || "–"],
              [t`Heard of`, <Ago key="h" at={status?.heard_at} now={now} locale={i18n.locale} />],
            ]} />
          </Panel>
          <Panel title={<Trans>Conditions</Trans>}><Conditions conditions={status?.conditions} /></Panel>
        </div>
      </div>
      {asked === "drain" ? (
        <Confirm title={t`Drain ${name}?`} action={t`Drain`} onClose={() => setAsked(undefined)} onConfirm={async () => void (await patch(path("host", name), { spec: { drain: true } }))}>
          <p><Trans>Each VM is shut down, moved with its disks, and started on another host. The host takes no new VMs until it is told to.</Trans></p>
        </Confirm>
      ) : null}
      {asked === "remove" ? (
        <Confirm title={t`Remove ${name}?`} name={name} action={t`Remove`} onClose={() => setAsked(undefined)} onConfirm={() => remove(path("host", name))}>
          <p><Trans>The server forgets this host. Only a host without VMs can be removed.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}
