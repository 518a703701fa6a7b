/** The same servers by layer: hardware below, the hypervisor on it, guests above. Each layer is managed apart. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import { useObjects } from "~/api/live";
import { type Host, type Vm, hostPhase, isUp, unmet, vmPhase } from "~/api/objects";
import { Badge, Empty, Meter, Phase } from "~/design/basics";
import { Icon, type IconName } from "~/design/Icon";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { type Tone, toneOf } from "~/words/states";

/** A host with thousands of guests shows that many of them. */
const GUESTS_SHOWN = 120;

export function Layers() {
  const { t } = useLingui();
  const [hosts, vms] = [useObjects("host"), useObjects("vm")];
  const byHost = useMemo(() => {
    const map = new Map<string, Vm[]>();
    for (const vm of vms) {
      const host = vm.spec.host ?? "";
      const list = map.get(host);
      if (list) list.push(vm);
      else map.set(host, [vm]);
    }
    return map;
  }, [vms]);
  const homeless = byHost.get("") ?? [];
  return (
    <Page title={t`Layers`} titleText={t`Layers`} cli={["tabane host list", "tabane vm list", "tabane doctor"]}>
      {hosts.length === 0 ? <Empty icon="host" title={<Trans>There are no hosts yet.</Trans>} /> : null}
      <div className="grid gap-3 xl:grid-cols-2 items-start">
        {hosts.map((host) => <Stack key={host.meta.name} host={host} vms={byHost.get(host.meta.name) ?? []} />)}
      </div>
      {homeless.length ? <section className="rounded-lg border border-line bg-surface p-4"><Layer icon="vm" name={t`Guests without a host`}><Guests vms={homeless} /></Layer></section> : null}
    </Page>
  );
}

function Layer({ icon, name, state, children }: { icon: IconName; name: string; state?: ReactNode; children: ReactNode }) {
  return (
    <div>
      <h3 className="flex items-center gap-2 text-xs text-muted mb-2"><Icon name={icon} />{name}<span className="ml-auto">{state}</span></h3>
      {children}
    </div>
  );
}

function Stack({ host, vms }: { host: Host; vms: Vm[] }) {
  const { t } = useLingui();
  const status = host.status;
  const phase = hostPhase(host);
  const bad = unmet(status?.conditions);
  const running = vms.filter((vm) => vmPhase(vm) === "running").length;
  const given = vms.filter(isUp).reduce((sum, vm) => sum + vm.spec.memory_bytes, 0);
  const memory = status?.memory_bytes ?? 0;
  const used = memory - (status?.memory_free_bytes ?? 0);
  return (
    <section aria-label={host.meta.name} className="rounded-lg border border-line bg-surface overflow-hidden">
      <header className="flex items-center gap-2 px-4 h-11 border-b border-line">
        <h2 className="text-sm"><Link to="/hosts/$name" params={{ name: host.meta.name }} className="hover:underline">{host.meta.name}</Link></h2>
        <Phase phase={phase} />
      </header>
      <div className="p-4 border-b border-line">
        <Layer icon="vm" name={t`Guests`} state={<Trans>{running} of {vms.length} running</Trans>}><Guests vms={vms} /></Layer>
      </div>
      <div className="p-4 border-b border-line bg-sunken/60">
        <Layer icon="layers" name={t`Hypervisor`} state={<Badge tone={status?.accel?.kvm ? "good" : "warn"}>{status?.accel?.kvm ? "KVM" : "TCG"}</Badge>}>
          <div className="grid gap-2">
            <p>QEMU {status?.qemu_version ?? "–"} · {status?.machine ?? "–"} · Tabane {status?.version || "–"}</p>
            <p className="text-xs text-muted">{status?.accel?.reason}</p>
            <Meter name={t`Memory given to guests`} used={given} total={memory} told={`${bytes(given)} / ${bytes(memory)}`} />
          </div>
        </Layer>
      </div>
      <div className="p-4 bg-sunken">
        <Layer icon="host" name={t`Hardware`} state={bad.length ? <Badge tone="warn">{bad.length}</Badge> : <Badge tone={phase === "unreachable" ? "bad" : "good"}>{phase === "unreachable" ? <Trans>no word from it</Trans> : <Trans>in order</Trans>}</Badge>}>
          <div className="grid gap-2">
            <p>{status?.cpu_model || "–"} · <Plural value={status?.cpus ?? 0} one="# CPU" other="# CPUs" /> · {bytes(memory)}</p>
            <Meter name={t`Memory in use`} used={used} total={memory} told={`${bytes(used)} / ${bytes(memory)}`} />
            {Object.entries((status?.pools ?? {}) as Record<string, { capacity_bytes: number; free_bytes: number }>).map(([name, pool]) => (
              <Meter key={name} name={t`Pool ${name}`} used={pool.capacity_bytes - pool.free_bytes} total={pool.capacity_bytes} told={`${bytes(pool.capacity_bytes - pool.free_bytes)} / ${bytes(pool.capacity_bytes)}`} />
            ))}
            {bad.map((c) => <p key={c.kind} className="text-warn">{c.message}</p>)}
          </div>
        </Layer>
      </div>
    </section>
  );
}

const DOTS: Record<Tone, string> = { good: "bg-good", warn: "bg-warn", bad: "bg-bad", busy: "bg-busy animate-pulse", idle: "bg-line-strong" };

function Guests({ vms }: { vms: Vm[] }) {
  if (vms.length === 0) return <p className="text-muted"><Trans>None.</Trans></p>;
  return (
    <ul className="flex flex-wrap gap-1.5">
      {vms.slice(0, GUESTS_SHOWN).map((vm) => (
        <li key={vm.meta.name}>
          <Link to="/vms/$name/{-$tab}" params={{ name: vm.meta.name }} preload={false} title={vmPhase(vm)}
            className="inline-flex items-center gap-1.5 rounded-md border border-line bg-surface px-2 h-7 text-xs hover:border-line-strong">
            <span aria-hidden className={`size-2 rounded-full ${DOTS[toneOf(vmPhase(vm))]}`} />
            {vm.meta.name}
            <span className="sr-only">{vmPhase(vm)}</span>
          </Link>
        </li>
      ))}
      {vms.length > GUESTS_SHOWN ? <li className="text-muted self-center">… {vms.length - GUESTS_SHOWN}</li> : null}
    </ul>
  );
}
