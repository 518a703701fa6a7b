/** Two plans of a survey side by side. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useObjects } from "~/api/live";
import { type Plan, type PlanFigures, comparisonQuery } from "~/api/planning";
import { Empty, Panel } from "~/design/basics";
import { Select } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { ProblemNote, asProblem } from "~/design/overlays";
import { percent } from "~/words/format";
import { share, useCostItem } from "./words";

/** More say no more. */
const MOVED_MAX = 300;

export function Compare({ plan }: { plan: Plan }) {
  const { t } = useLingui();
  const others = useObjects("plan").filter((p) => p.spec.survey === plan.spec.survey && p.status?.phase === "ready" && p.meta.name !== plan.meta.name);
  const [chosen, setChosen] = useState<string>();
  // What this one was made from by name is what most want to see: shop-2 beside shop.
  const near = others.find((p) => plan.meta.name.startsWith(p.meta.name)) ?? others[0];
  const other = others.find((p) => p.meta.name === chosen) ?? near;
  if (!other) return <Panel><Empty icon="plan" title={<Trans>There is no other plan of this survey that is ready. “What if” makes one.</Trans>} /></Panel>;
  return (
    <div className="grid gap-3">
      <div className="w-72 max-w-full"><Select label={t`Beside`} value={other.meta.name} onChange={setChosen} choices={others.map((p) => ({ id: p.meta.name, name: p.meta.name, ...(p.spec.note ? { told: p.spec.note } : {}) }))} /></div>
      <Both plan={other} other={plan} />
    </div>
  );
}

function Both({ plan, other }: { plan: Plan; other: Plan }) {
  const { t, i18n } = useLingui();
  const costItem = useCostItem();
  const { data, error } = useQuery(comparisonQuery(plan, other));
  if (error) return <ProblemNote problem={asProblem(error)} />;
  if (!data) return <p role="status" className="flex gap-2 text-muted"><Icon name="spinner" /><Trans>Loading…</Trans></p>;
  const number = (value: number) => value.toLocaleString(i18n.locale);
  const rows: [string, (f: PlanFigures) => string][] = [
    [t`Hosts`, (f) => number(f.hosts)],
    [t`At least`, (f) => number(f.lower_bound_hosts)],
    [t`Spare hosts`, (f) => number(f.spare_hosts)],
    [t`Without a host`, (f) => number(f.unplaced)],
    [t`Cost of hosts`, (f) => number(f.cost)],
    [t`Licences`, (f) => (f.licences === null || f.licences === undefined ? "–" : number(Math.round(f.licences)))],
    [t`Filled to`, (f) => percent(f.fill)],
    [t`Overloaded`, (f) => share(f.predicted_overload_share)],
    [t`Waves`, (f) => number(f.waves)],
    [t`Last wave from day`, (f) => (typeof f.last_day === "number" ? number(f.last_day) : "–")],
  ];
  if (data.a.last_date || data.b.last_date) rows.push([t`Last window`, (f) => f.last_date ?? "–"]);
  const costs = [data.a.costs, data.b.costs].filter((of) => of !== null && of !== undefined);
  const sums: [string, (f: PlanFigures) => string][] = [];
  if (costs.length) {
    const amount = (value: number | undefined) => (value === undefined ? "–" : number(Math.round(value)));
    sums.push([t`Over years`, (f) => (f.costs ? number(f.costs.years) : "–")], [t`Cost as it is`, (f) => amount(f.costs?.before)], [t`Cost with the plan`, (f) => amount(f.costs?.after)]);
    const items = new Set(costs.flatMap((of) => of.positions.filter((position) => position.after !== 0).map((position) => position.item)));
    for (const item of items) sums.push([costItem(item), (f) => amount(f.costs?.positions.find((position) => position.item === item)?.after)]);
  }
  return (
    <div className="grid gap-3 items-start lg:grid-cols-2">
      <div className="grid gap-3">
        <Panel title={<Trans>Figures</Trans>} flush><Figures rows={rows} a={data.a} b={data.b} /></Panel>
        {sums.length ? <Panel title={<Trans>Costs in {currencies(costs)}</Trans>} flush><Figures rows={sums} a={data.a} b={data.b} /></Panel> : null}
      </div>
      <div className="grid gap-3">
      <Panel title={<Plural value={data.moved.length} _0="No server is elsewhere" one="# server is elsewhere" other="# servers are elsewhere" />}>
        <p className="text-muted mb-2"><Trans>Hosts are put beside each other by what is on them; their names mean nothing across plans.</Trans></p>
        <ul className="grid gap-1 max-h-96 overflow-auto" tabIndex={0} aria-label={t`Servers that are elsewhere`}>
          {data.moved.slice(0, MOVED_MAX).map((m) => (
            <li key={m.server} className="flex flex-wrap gap-x-2"><span className="font-medium min-w-32">{m.server}</span><span className="text-muted">{m.a ?? t`no host`} → <span className="text-text">{m.b ?? t`no host`}</span></span></li>
          ))}
        </ul>
      </Panel>
      <Panel title={<Plural value={data.rescheduled.length} _0="No server goes with another wave" one="# server goes with another wave" other="# servers go with another wave" />}>
        <ul className="grid gap-1 max-h-96 overflow-auto" tabIndex={0} aria-label={t`Servers that go with another wave`}>
          {data.rescheduled.slice(0, MOVED_MAX).map((m) => (
            <li key={m.server} className="flex flex-wrap gap-x-2"><span className="font-medium min-w-32">{m.server}</span><span className="text-muted">{m.a ?? t`no wave`} → <span className="text-text">{m.b ?? t`no wave`}</span></span></li>
          ))}
        </ul>
      </Panel>
      </div>
    </div>
  );
}

/** Two plans with other currencies are not compared by their sums: both are named. */
function currencies(costs: { currency: string }[]): string {
  return [...new Set(costs.map((of) => of.currency))].join(" / ");
}

function Figures({ rows, a, b }: { rows: [string, (f: PlanFigures) => string][]; a: PlanFigures; b: PlanFigures }) {
  return (
    <table className="w-full">
      <thead><tr className="text-left text-muted text-xs border-b border-line"><th className="px-4 py-2 font-normal"><Trans>Figure</Trans></th><th className="px-4 py-2 text-right">{a.name}</th><th className="px-4 py-2 text-right text-text">{b.name}</th></tr></thead>
      <tbody>
        {rows.map(([name, of]) => (
          <tr key={name} className="border-b border-line last:border-0">
            <th scope="row" className="px-4 py-1.5 font-normal text-left text-muted">{name}</th>
            <td className="px-4 py-1.5 text-right tabular-nums">{of(a)}</td>
            <td className={`px-4 py-1.5 text-right tabular-nums ${of(a) === of(b) ? "" : "font-semibold text-busy"}`}>{of(b)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
