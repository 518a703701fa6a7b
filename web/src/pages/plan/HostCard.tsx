/** A host of a plan: how full it is at its peak, how over time, and the servers on it, which can be dragged. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Button as AriaButton, GridList, GridListItem, useDragAndDrop } from "react-aria-components";
import type { PlannedHost, TrialHost } from "~/api/planning";
import { Badge } from "~/design/basics";
import { Icon } from "~/design/Icon";
import { moment } from "~/words/format";
import { share, useResource } from "./words";

const TYPE = "application/x-tabane-server";

export interface ShownHost {
  /** Empty: one that is not there yet. */
  id: string;
  hostType: string;
  servers: string[];
  planned: PlannedHost | undefined;
  trial: TrialHost | undefined;
  /** The share of a host that is planned for. */
  fill: number;
  isMoved: (server: string) => boolean;
}

interface Row {
  resource: string;
  peak: number;
  before: number | undefined;
  /** When the peak begins. */
  at: number | undefined;
}

function rowsOf(host: ShownHost): Row[] {
  const { trial, planned } = host;
  if (trial) return trial.resources.map((r) => ({ resource: r.resource, peak: r.peak / Math.max(1, r.capacity), before: r.peak_before / Math.max(1, r.capacity), at: r.at_unix }));
  return (planned?.peaks ?? []).map((r) => ({ resource: r.resource, peak: r.share, before: undefined, at: undefined }));
}

export function HostCard({ host, onDrop }: { host: ShownHost; onDrop: (servers: string[]) => void }) {
  const { t } = useLingui();
  const { id, hostType, servers, trial, planned } = host;
  const { dragAndDropHooks } = useDragAndDrop({
    getItems: (keys) => [...keys].map((key) => ({ [TYPE]: String(key), "text/plain": String(key) })),
    acceptedDragTypes: [TYPE],
    getDropOperation: () => "move",
    onRootDrop: async (event) => {
      const names = await Promise.all(event.items.map((item) => (item.kind === "text" ? item.getText(TYPE) : Promise.resolve(""))));
      onDrop(names.filter(Boolean));
    },
  });
  const bad = trial && !trial.fits;
  const risk = trial ? trial.overload_probability : planned?.overload_probability;
  const before = trial?.overload_probability_before;
  const label = id || t`A new host of type ${hostType}`;
  return (
    <article aria-label={label} className={`rounded-lg border bg-surface min-w-0 ${bad ? "border-bad" : trial ? "border-accent" : id ? "border-line" : "border-dashed border-line-strong/60"}`}>
      <header className="flex items-center gap-2 px-3 py-2 border-b border-line">
        <Icon name={id ? "host" : "plus"} />
        <h2 className="text-[13px] truncate mr-auto">{id || <Trans>New host</Trans>} <span className="text-muted font-normal">{hostType}</span></h2>
        {bad ? <Badge tone="bad"><Trans>too full or not allowed</Trans></Badge> : trial && servers.length > 0 ? <Badge tone="good"><Trans>fits</Trans></Badge> : null}
      </header>
      {id ? (
        <div className="grid gap-1.5 px-3 pt-2">
          {rowsOf(host).map((row) => <Fill key={row.resource} row={row} fill={host.fill} />)}
          <Curve host={host} />
          <p className="text-xs text-muted flex justify-between gap-2">
            <Plural value={servers.length} one="# server" other="# servers" />
            {risk === null || risk === undefined ? null : <span title={t`The share of time at which it has less than its servers ask for`}><Trans>overloaded</Trans> {before === null || before === undefined || before === risk ? "" : `${share(before)} → `}{share(risk)}</span>}
          </p>
        </div>
      ) : null}
      <GridList aria-label={t`Servers of ${label}`} items={servers.map((name) => ({ id: name, moved: host.isMoved(name) }))} dragAndDropHooks={dragAndDropHooks} selectionMode="none"
        renderEmptyState={() => <p className="text-muted text-center text-xs py-3">{id ? <Trans>No servers: it would not be needed.</Trans> : <Trans>Drop a server here.</Trans>}</p>}
        className="grid gap-px p-1.5 m-1.5 max-h-56 overflow-auto rounded-md outline-none data-[drop-target]:bg-accent-soft data-[drop-target]:outline-2 data-[drop-target]:outline-accent">
        {(item) => (
          <GridListItem textValue={item.id} className={`flex items-center gap-1.5 rounded px-1.5 h-7 text-[13px] cursor-grab outline-offset-[-2px] data-[focus-visible]:outline-2 outline-accent hover:bg-sunken data-[dragging]:opacity-50 ${item.moved ? "bg-busy-soft" : ""}`}>
            <AriaButton slot="drag" aria-label={t`Move ${item.id}`} className="text-muted grid place-items-center size-6 rounded data-[focus-visible]:outline-2 outline-accent"><Icon name="drag" /></AriaButton>
            <span className="truncate">{item.id}</span>
            {item.moved ? <span className="ml-auto text-busy text-xs"><Trans>moved</Trans></span> : null}
          </GridListItem>
        )}
      </GridList>
    </article>
  );
}

/** The peak of a resource, beside what is planned for. */
function Fill({ row, fill }: { row: Row; fill: number }) {
  const { t, i18n } = useLingui();
  const resource = useResource();
  const at = row.at === undefined || row.peak === 0 ? undefined : moment(new Date(row.at * 1000).toISOString(), i18n.locale);
  // Memory and disk space are never overcommitted.
  const most = ["memory_mib", "disk_gib"].includes(row.resource) ? Math.min(1, fill) : fill;
  const over = row.peak > most + 1e-9;
  const whole = Math.max(1, fill);
  const told = `${Math.round(row.peak * 100)} %`;
  const changed = row.before !== undefined && Math.abs(row.before - row.peak) > 0.004;
  return (
    <div title={at ? t`The most is asked for at ${at}` : undefined}>
      <div className="flex justify-between text-xs leading-5">
        <span className="text-muted">{resource(row.resource)}</span>
        <span className={`tabular-nums ${over ? "text-bad font-medium" : ""}`}>{changed ? <span className="text-muted">{Math.round((row.before ?? 0) * 100)} → </span> : null}{told}</span>
      </div>
      <div role="meter" aria-label={resource(row.resource)} aria-valuemin={0} aria-valuemax={Math.round(whole * 100)} aria-valuenow={Math.min(Math.round(whole * 100), Math.round(row.peak * 100))} aria-valuetext={told} className="relative h-1.5 rounded-full bg-idle-soft overflow-hidden">
        <div className={`h-full rounded-full ${over ? "bg-bad" : "bg-accent"} transition-[width] duration-300`} style={{ width: `${Math.min(100, (row.peak / whole) * 100)}%` }} />
        <div className="absolute inset-y-0 w-0.5 bg-text/50" style={{ left: `calc(${(Math.min(1, fill) / whole) * 100}% - 1px)` }} />
      </div>
    </div>
  );
}

/** CPU and memory over the whole time line. */
function Curve({ host }: { host: ShownHost }) {
  const { t } = useLingui();
  const curves = host.trial?.curves ?? host.planned?.curves ?? [];
  const drawn = curves.filter((curve) => ["cpu_mhz", "memory_mib"].includes(curve.resource) && curve.thousandths.length > 1);
  if (drawn.length === 0) return null;
  const top = Math.max(1000, host.fill * 1000, ...drawn.flatMap((curve) => curve.thousandths));
  const line = (values: number[]) => values.map((value, i) => `${((i / (values.length - 1)) * 240).toFixed(1)},${(38 - (value / top) * 36).toFixed(1)}`).join(" ");
  const limit = 38 - ((host.fill * 1000) / top) * 36;
  return (
    <svg viewBox="0 0 240 40" preserveAspectRatio="none" className="h-10 w-full" role="img" aria-label={t`Load over time`}>
      <line x1="0" x2="240" y1={limit} y2={limit} stroke="var(--line-strong)" strokeDasharray="3 3" vectorEffect="non-scaling-stroke" />
      {drawn.map((curve) => <polygon key={`under ${curve.resource}`} points={`0,40 ${line(curve.thousandths)} 240,40`} opacity="0.13" fill={curve.resource === "cpu_mhz" ? "var(--chart-1)" : "var(--chart-2)"} />)}
      {drawn.map((curve) => <polyline key={curve.resource} points={line(curve.thousandths)} fill="none" strokeWidth="1.2" vectorEffect="non-scaling-stroke" stroke={curve.resource === "cpu_mhz" ? "var(--chart-1)" : "var(--chart-2)"} />)}
    </svg>
  );
}
