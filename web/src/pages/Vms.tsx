/** All VMs: found by words and labels, chosen by the dozen, told what to do. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useDeferredValue, useMemo, useState } from "react";
import { useObjects } from "~/api/live";
import { type Vm, vmAddresses, vmPhase } from "~/api/objects";
import { Button, ButtonLink, Empty, Labels, Phase } from "~/design/basics";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { quoted } from "~/design/Cli";
import { Menu } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { useWord } from "~/words/states";
import { PackageDrop } from "./parts/PackageDrop";
import { useOffers, usePower } from "./vm/power";

/** All words have to be found; `key=value` and `key` in labels, others anywhere. */
export function finder(text: string): (vm: Vm) => boolean {
  const words = text.toLowerCase().split(/[\s,]+/).filter(Boolean);
  if (words.length === 0) return () => true;
  return (vm) => {
    const labels = Object.entries(vm.meta.labels ?? {}).map(([k, v]) => `${k}=${v}`.toLowerCase());
    const rest = [vm.meta.name, vm.spec.host ?? "", vm.status?.guest?.os ?? "", ...vmAddresses(vm), ...labels].join("\n").toLowerCase();
    return words.every((word) => (word.includes("=") ? labels.some((l) => l.startsWith(word)) : rest.includes(word)));
  };
}

export function Vms() {
  const { t } = useLingui();
  const word = useWord();
  const all = useObjects("vm");
  const search = useSearch({ from: "/shell/vms" });
  const navigate = useNavigate({ from: "/vms" });
  const [text, setText] = useState(search.q ?? "");
  const deferred = useDeferredValue(text);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const offers = useOffers();
  const { ask, dialog, may } = usePower();

  const found = useMemo(() => (deferred ? all.filter(finder(deferred)) : all), [all, deferred]);
  const phases = useMemo(() => {
    const counts = new Map<string, number>();
    for (const vm of found) counts.set(vmPhase(vm), (counts.get(vmPhase(vm)) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]);
  }, [found]);
  const rows = useMemo(() => (search.phase ? found.filter((vm) => vmPhase(vm) === search.phase) : found), [found, search.phase]);
  const chosen = useMemo(() => (selected.size ? rows.filter((vm) => selected.has(vm.meta.name)) : []), [rows, selected]);
  const columns = useMemo<Column<Vm>[]>(
    () => [
      {
        id: "name", name: t`Name`, width: "minmax(9rem,2fr)", by: (vm) => vm.meta.name,
        cell: (vm) => <RowLink to={`/vms/${vm.meta.name}`}>{vm.meta.name}</RowLink>,
      },
      { id: "phase", name: t`State`, width: "minmax(7rem,1fr)", by: vmPhase, cell: (vm) => <Phase phase={vmPhase(vm)} /> },
      { id: "host", name: t`Host`, width: "minmax(5rem,1fr)", wide: true, by: (vm) => vm.spec.host ?? "", cell: (vm) => vm.spec.host ?? <span className="text-muted">–</span> },
      { id: "cpus", name: t`CPUs`, width: "4.5rem", wide: true, right: true, by: (vm) => vm.spec.cpus, cell: (vm) => vm.spec.cpus },
      { id: "memory", name: t`Memory`, width: "6rem", wide: true, right: true, by: (vm) => vm.spec.memory_bytes, cell: (vm) => bytes(vm.spec.memory_bytes) },
      { id: "address", name: t`Address`, width: "minmax(7rem,1fr)", wide: true, by: (vm) => vmAddresses(vm)[0] ?? "", cell: (vm) => <span className="font-mono text-xs">{vmAddresses(vm)[0] ?? ""}</span> },
      { id: "labels", name: t`Labels`, width: "minmax(6rem,1.5fr)", wide: true, cell: (vm) => <Labels labels={vm.meta.labels} short /> },
    ],
    [t],
  );
  const words = deferred.split(/[\s,]+/).filter((w) => w.includes("="));
  const list = ["tabane vm list", ...(words.length ? [`--labels ${quoted(words.join(","))}`] : []), ...(search.phase ? [`--fields phase=${search.phase}`] : []), "--watch"].join(" ");
  const names = chosen.slice(0, 3).map((vm) => vm.meta.name).join(" ") + (chosen.length > 3 ? " …" : "");

  return (
    <Page title={t`VMs`} titleText={t`VMs`} cli={chosen.length ? [`tabane vm start ${names}`, `tabane vm shutdown ${names}`] : [list]}
      actions={may ? (
        <>
          <ButtonLink to="/import" icon="upload"><Trans>Import a VM</Trans></ButtonLink>
          <ButtonLink to="/vms/new" look="primary" icon="plus"><Trans>Create a VM</Trans></ButtonLink>
        </>
      ) : null}>
      <PackageDrop isDisabled={!may}>
      <section className="rounded-lg border border-line bg-surface min-w-0">
        <div className="flex flex-wrap items-center gap-2 p-2 border-b border-line min-h-12">
          {chosen.length ? (
            <div role="toolbar" aria-label={t`For the selected VMs`} className="flex flex-wrap items-center gap-2">
              <span className="px-2 font-medium"><Plural value={chosen.length} one="# selected" other="# selected" /></span>
              {offers.map((offer) => {
                const fitting = chosen.filter(offer.fits);
                if (!may || !["start", "shutdown", "delete"].includes(offer.action)) return null;
                return (
                  <Button key={offer.action} small icon={offer.icon} look={offer.danger ? "danger" : "secondary"} isDisabled={fitting.length === 0} onPress={() => ask(offer.action, fitting)}>
                    {offer.name}
                  </Button>
                );
              })}
              {may ? (
                <Menu name={t`More for the selected VMs`}
                  entries={offers.filter((o) => !["start", "shutdown", "delete"].includes(o.action)).map((o) => ({
                    id: o.action, name: o.name, icon: o.icon, danger: o.danger ?? false, isDisabled: !chosen.some(o.fits), onAction: () => ask(o.action, chosen.filter(o.fits)),
                  }))} />
              ) : null}
              <Button small look="ghost" onPress={() => setSelected(new Set())}><Trans>Clear</Trans></Button>
            </div>
          ) : (
            <>
              <input type="search" aria-label={t`Search VMs`} placeholder={t`Name, address, host, label=value`} value={text} className="control !w-full sm:!w-72"
                onChange={(e) => {
                  setText(e.target.value);
                  void navigate({ search: (s) => ({ ...s, q: e.target.value || undefined }) as typeof s, replace: true });
                }} />
              <div role="group" aria-label={t`State`} className="flex flex-wrap gap-1">
                {phases.map(([phase, count]) => (
                  <button key={phase} type="button" aria-pressed={search.phase === phase}
                    className={`rounded-full border px-2.5 h-7 text-xs ${search.phase === phase ? "border-accent bg-accent-soft" : "border-line hover:bg-sunken"}`}
                    onClick={() => void navigate({ search: (s) => ({ ...s, phase: s.phase === phase ? undefined : phase }) as typeof s, replace: true })}>
                    {word(phase)} <span className="text-muted">{count}</span>
                  </button>
                ))}
              </div>
            </>
          )}
          <span className="ml-auto px-2 text-muted text-xs" role="status"><Plural value={rows.length} one="# VM" other="# VMs" /></span>
        </div>
        <DataTable name={t`VMs`} rows={rows} columns={columns} keyOf={(vm) => vm.meta.name} selected={selected} {...(may ? { onSelect: setSelected } : {})}
          empty={
            <Empty icon="vm" title={all.length ? <Trans>No VM is like that.</Trans> : <Trans>There are no VMs yet.</Trans>}>
              {all.length ? (
                <Button onPress={() => { setText(""); void navigate({ search: {} as never, replace: true }); }}><Trans>Show all</Trans></Button>
              ) : !may ? null : (
                <span className="flex flex-wrap justify-center gap-2">
                  <ButtonLink to="/vms/new" look="primary" icon="plus"><Trans>Create the first one</Trans></ButtonLink>
                  <ButtonLink to="/import" icon="upload"><Trans>Import a VM</Trans></ButtonLink>
                </span>
              )}
            </Empty>
          } />
      </section>
      </PackageDrop>
      {dialog}
    </Page>
  );
}
