/** What all servers of a collection use together, from when the page was opened. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import type { Collection } from "~/api/planning";
import { Panel } from "~/design/basics";
import { Chart } from "~/design/Chart";
import { bytes } from "~/words/format";

interface Point {
  at: number;
  cores: number;
  memory: number;
}

const POINTS_MAX = 1_000;

function point({ status }: Collection): Point | undefined {
  const loads = (status?.report?.sources ?? []).filter((source) => source.load);
  if (!status?.reported_at || loads.length === 0) return undefined;
  const sum = (of: (source: (typeof loads)[number]) => number) => loads.reduce((all, source) => all + of(source), 0);
  return {
    at: Date.parse(status.reported_at) / 1000,
    cores: sum((s) => (s.load?.cpu_share ?? 0) * (s.cores ?? 0)),
    memory: sum((s) => (s.load?.memory_mib ?? 0) * 2 ** 20),
  };
}

export function LiveCharts({ collection }: { collection: Collection }) {
  const { t, i18n } = useLingui();
  const [points, setPoints] = useState<Point[]>([]);
  const now = point(collection);
  if (now && points.at(-1)?.at !== now.at) setPoints([...points, now].slice(-POINTS_MAX));
  if (points.length < 2) return null;
  const times = points.map(({ at }) => at);
  const cores = (value: number) => value.toLocaleString(i18n.locale, { maximumFractionDigits: 2 });
  return (
    <Panel title={<Trans>All servers together, since this page is open</Trans>}>
      <div className="grid gap-3 md:grid-cols-2">
        <Chart title={t`Cores in use`} times={times} lines={[{ name: t`Cores`, values: points.map((p) => p.cores) }]} told={cores} />
        <Chart title={t`Memory in use`} times={times} lines={[{ name: t`Memory`, values: points.map((p) => p.memory) }]} told={(value) => bytes(Math.round(value))} binary />
      </div>
    </Panel>
  );
}
