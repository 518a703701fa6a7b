/** The charts of a VM or host: processor, memory, disk, network. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { type Span, useMetrics } from "~/api/metrics";
import { bytes, percent } from "~/words/format";
import { Chart, type Line } from "./Chart";
import { Panel } from "./basics";
import { Icon } from "./Icon";

const rate = (value: number) => `${bytes(Math.round(value))}/s`;
const count = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`;

export function MetricCharts({ kind, name, memoryBytes }: { kind: "vms" | "hosts"; name: string; memoryBytes?: number }) {
  const { t } = useLingui();
  const [span, setSpan] = useState<Span>("quarter");
  const { metrics, problem } = useMetrics(kind, name, span);
  const spans: [Span, string][] = [["quarter", t`15 min`], ["hour", t`Hour`], ["day", t`Day`], ["week", t`Week`], ["year", t`Year`]];
  const of = (key: string, label: string): Line | undefined => {
    const values = metrics?.series[key];
    return values ? { name: label, values } : undefined;
  };
  const chart = (title: string, told: (v: number) => string, lines: (Line | undefined)[], top?: number) => {
    const there = lines.filter((l): l is Line => l !== undefined);
    // What is not measured, such as the traffic inside QEMU's own network, gets no empty chart.
    if (!metrics || there.every((line) => line.values.every((v) => v === null))) return null;
    return <Chart key={title} title={title} times={metrics.times} lines={there} told={told} binary={told !== percent && told !== count} {...(top === undefined ? {} : { top })} />;
  };
  const charts = [
    chart(t`CPU`, percent, [of("cpu_ratio", t`used`)], 1),
    chart(t`Memory`, (v) => bytes(Math.round(v)), [of("memory_used_bytes", t`used`)], memoryBytes),
    chart(t`Disk`, rate, [of("disk_read_bytes_per_s", t`read`), of("disk_write_bytes_per_s", t`written`)], 64 * 1024),
    chart(t`Disk operations`, count, [of("disk_read_ops_per_s", t`reads`), of("disk_write_ops_per_s", t`writes`)], 4),
    chart(t`Network`, rate, [of("net_receive_bytes_per_s", t`received`), of("net_transmit_bytes_per_s", t`sent`)], 64 * 1024),
  ];
  const missing = problem?.status === 404;
  return (
    <Panel title={<Trans>Use</Trans>}
      actions={
        <div role="group" aria-label={t`Span of time`} className="flex">
          {spans.map(([id, label]) => (
            <button key={id} type="button" aria-pressed={span === id} onClick={() => setSpan(id)}
              className={`px-2 h-7 text-xs rounded ${span === id ? "bg-accent-soft font-medium" : "text-muted hover:text-text"}`}>{label}</button>
          ))}
        </div>
      }>
      {missing ? (
        <p className="flex items-center gap-2 text-muted"><Icon name="info" /><Trans>This server keeps no measurements.</Trans></p>
      ) : problem ? (
        <p className="text-muted">{problem.detail}</p>
      ) : charts.some(Boolean) ? (
        <div className="grid gap-5 sm:grid-cols-2 2xl:grid-cols-3">{charts}</div>
      ) : metrics ? (
        <p className="text-muted">{kind === "vms" ? <Trans>Nothing was measured in this time: the VM did not run.</Trans> : <Trans>Nothing was measured in this time.</Trans>}</p>
      ) : (
        <p className="flex items-center gap-2 text-muted py-8 justify-center"><Icon name="spinner" /><Trans>Loading…</Trans></p>
      )}
    </Panel>
  );
}
