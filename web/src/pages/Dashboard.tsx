/** How the whole is: what there is, how much of it is used, what wants attention, what is under way. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { useObjects } from "~/api/live";
import { hostPhase, isUp, vmPhase } from "~/api/objects";
import { useMay } from "~/api/session";
import { ButtonLink, Meter, Panel, Phase, ProgressLine } from "~/design/basics";
import { Icon, type IconName } from "~/design/Icon";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { useWord } from "~/words/states";
import { EventList, Subject } from "./parts/EventList";
import { useAlerts, useTasks } from "./parts/useTasks";

const SHOWN = 8;

export function Dashboard() {
  const { t } = useLingui();
  const { change } = useMay();
  return (
    <Page title={t`Dashboard`} titleText={t`Dashboard`} cli={["tabane vm list", "tabane host list", "tabane event list --watch"]}
      actions={change ? <ButtonLink to="/vms/new" look="primary" icon="plus"><Trans>Create a VM</Trans></ButtonLink> : null}>
      <Counts />
      <div className="grid gap-3 lg:grid-cols-2 items-start">
        <div className="grid gap-3 min-w-0"><Alerts /><Capacity /></div>
        <div className="grid gap-3 min-w-0"><Tasks /><Panel flush title={<Trans>Recent events</Trans>} actions={<Link to="/events" className="link text-xs"><Trans>All events</Trans></Link>}><EventList limit={SHOWN} /></Panel></div>
      </div>
    </Page>
  );
}

function Count({ to, search, icon, name, value, told }: { to: string; search?: Record<string, string>; icon: IconName; name: string; value: number; told: ReactNode }) {
  return (
    <Link to={to} {...(search ? { search: search as never } : {})} className="flex items-center gap-3 rounded-lg border border-line bg-surface px-3 sm:px-4 py-3 min-w-0 hover:border-line-strong">
      <span className="grid place-items-center size-9 shrink-0 rounded-lg bg-accent-soft text-accent"><Icon name={icon} size={18} /></span>
      <span className="min-w-0">
        <span className="block text-xl font-semibold leading-6">{value.toLocaleString()}</span>
        <span className="block text-muted truncate">{name} · {told}</span>
      </span>
    </Link>
  );
}

function Counts() {
  const { t } = useLingui();
  const [vms, hosts, images, disks] = [useObjects("vm"), useObjects("host"), useObjects("image"), useObjects("disk")];
  const running = useMemo(() => vms.filter((vm) => vmPhase(vm) === "running").length, [vms]);
  const ready = hosts.filter((h) => hostPhase(h) === "ready").length;
  const stored = useMemo(() => disks.reduce((sum, d) => sum + (d.status?.used_bytes ?? 0), 0), [disks]);
  return (
    <div className="grid gap-3 grid-cols-2 xl:grid-cols-4">
      <Count to="/vms" icon="vm" name={t`VMs`} value={vms.length} told={<Trans>{running} running</Trans>} />
      <Count to="/hosts" icon="host" name={t`Hosts`} value={hosts.length} told={<Trans>{ready} ready</Trans>} />
      <Count to="/images" icon="image" name={t`Images`} value={images.length} told={bytes(images.reduce((sum, i) => sum + (i.status?.size_bytes ?? 0), 0))} />
      <Count to="/disks" icon="disk" name={t`Disks`} value={disks.length} told={bytes(stored)} />
    </div>
  );
}

function Capacity() {
  const { t } = useLingui();
  const [vms, hosts, pools] = [useObjects("vm"), useObjects("host"), useObjects("pool")];
  const use = useMemo(() => {
    let [cpus, memory] = [0, 0];
    for (const vm of vms) {
      if (!isUp(vm)) continue;
      cpus += vm.spec.cpus;
      memory += vm.spec.memory_bytes;
    }
    return { cpus, memory };
  }, [vms]);
  const sum = (of: (h: (typeof hosts)[number]) => number) => hosts.reduce((total, h) => total + of(h), 0);
  const cpus = sum((h) => h.status?.cpus ?? 0);
  const memory = sum((h) => h.status?.memory_bytes ?? 0);
  const taken = sum((h) => (h.status?.memory_bytes ?? 0) - (h.status?.memory_free_bytes ?? 0));
  return (
    <Panel title={<Trans>Capacity</Trans>}>
      <div className="grid gap-4">
        <Meter name={t`CPUs given to running VMs`} used={use.cpus} total={cpus} told={t`${use.cpus} of ${cpus}`} calm />
        <Meter name={t`Memory given to running VMs`} used={use.memory} total={memory} told={`${bytes(use.memory)} / ${bytes(memory)}`} />
        <Meter name={t`Memory in use on the hosts`} used={taken} total={memory} told={`${bytes(taken)} / ${bytes(memory)}`} />
        {pools.map((pool) => {
          const parts = Object.values(pool.status?.hosts ?? {}) as { capacity_bytes: number; free_bytes: number }[];
          const capacity = parts.reduce((total, p) => total + p.capacity_bytes, 0);
          const free = parts.reduce((total, p) => total + p.free_bytes, 0);
          return <Meter key={pool.meta.name} name={t`Pool ${pool.meta.name}`} used={capacity - free} total={capacity} told={`${bytes(capacity - free)} / ${bytes(capacity)}`} />;
        })}
      </div>
    </Panel>
  );
}

function Alerts() {
  const word = useWord();
  const alerts = useAlerts();
  return (
    <Panel flush title={<Trans>Wants attention</Trans>}>
      {alerts.length === 0 ? <p className="flex items-center gap-2 p-4 text-good"><Icon name="check" /><Trans>Everything is as it should be.</Trans></p> : (
        <ul className="divide-y divide-line/70">
          {alerts.slice(0, SHOWN).map((a) => (
            <li key={`${a.kind}/${a.name}/${a.condition?.kind}`} className="flex items-baseline gap-3 px-4 py-2">
              <Phase phase={a.phase} />
              <span className="min-w-0 wrap-anywhere"><Subject kind={a.kind} name={a.name} /> {a.condition ? <span className="text-muted">{a.condition.kind === "ready" ? null : <>{word(a.condition.kind)}: </>}{a.condition.message || word(a.condition.reason)}</span> : null}</span>
            </li>
          ))}
        </ul>
      )}
      {alerts.length > SHOWN ? <p className="px-4 py-2 text-muted"><Plural value={alerts.length - SHOWN} one="and # more" other="and # more" /></p> : null}
    </Panel>
  );
}

function Tasks() {
  const { t } = useLingui();
  const tasks = useTasks();
  return (
    <Panel flush title={<Trans>Under way</Trans>}>
      {tasks.length === 0 ? <p className="p-4 text-muted"><Trans>No work is under way.</Trans></p> : (
        <ul className="divide-y divide-line/70">
          {tasks.slice(0, SHOWN).map((task) => (
            <li key={`${task.kind}/${task.name}`} className="flex items-center gap-3 px-4 py-2">
              <span className="min-w-0 truncate mr-auto"><Subject kind={task.kind} name={task.name} /></span>
              <ProgressLine progress={task.progress} label={t`Progress of ${task.name}`} />
              <Phase phase={task.phase} />
            </li>
          ))}
        </ul>
      )}
      {tasks.length > SHOWN ? <p className="px-4 py-2 text-muted"><Plural value={tasks.length - SHOWN} one="and # more" other="and # more" /></p> : null}
    </Panel>
  );
}
