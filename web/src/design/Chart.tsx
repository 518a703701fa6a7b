/** A chart over time. uPlot is loaded with the first one; a table of the newest values stands in for screen readers. */
import { useLingui } from "@lingui/react/macro";
import { useEffect, useRef } from "react";
import type uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  name: string;
  values: (number | null)[];
  color?: "--chart-1" | "--chart-2";
}

interface Props {
  title: string;
  times: number[];
  lines: Line[];
  /** Writes a value. */
  told: (value: number) => string;
  /** Upper end of the scale at least. */
  top?: number;
  /** Marks at powers of two, for bytes. */
  binary?: boolean;
}

/** Three or four marks from zero on, at round values. */
export function marks(max: number, binary: boolean): number[] {
  const rough = Math.max(max, 1e-9) / 3;
  const base = binary ? 2 : 10;
  let step = base ** Math.floor(Math.log(rough) / Math.log(base));
  if (binary) step *= step < rough ? 2 : 1;
  else step *= [1, 2, 2.5, 5, 10].find((f) => f * step >= rough) ?? 10;
  const all: number[] = [];
  for (let value = 0; value <= max * 1.001; value += step) all.push(value);
  return all;
}

const DAY_S = 86_400;

/** The time of a mark: of the day in a short span, the day in a long one. */
function clock(locale: string, span: number): (at: number) => string {
  const form = new Intl.DateTimeFormat(locale, span > 2 * DAY_S ? { month: "numeric", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return (at) => form.format(new Date(at * 1000));
}

const HEIGHT = 132;

export function Chart({ title, times, lines, told, top, binary }: Props) {
  const { t, i18n } = useLingui();
  const locale = i18n.locale;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const newest = lines.map((line) => line.values.findLast((v) => v !== null) ?? null);
  const data = [times, ...lines.map((l) => l.values)] as uPlot.AlignedData;
  const latest = useRef(data);
  useEffect(() => {
    latest.current = data;
    plot.current?.setData(data);
  });
  const names = lines.map((l) => l.name).join("\n");
  useEffect(() => {
    let gone = false;
    const element = holder.current;
    if (!element) return;
    let observers: (() => void)[] = [];
    void import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      const draw = () => {
        plot.current?.destroy();
        const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
        plot.current = new Plot(
          {
            width: element.clientWidth || 300,
            height: HEIGHT,
            cursor: { y: false, points: { size: 6 } },
            legend: { show: false },
            scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(top ?? 0, (max ?? 0) * 1.1, 1e-9)] } },
            axes: [
              { ...axis, space: 70, size: 24, gap: 4, values: (_, values) => values.map(clock(locale, (values.at(-1) ?? 0) - (values[0] ?? 0))) },
              { ...axis, size: 70, splits: (u) => marks(u.scales["y"]?.max ?? 1, Boolean(binary)), values: (_, values) => values.map(told) },
            ],
            series: [
              {},
              ...names.split("\n").map((label, i) => {
                const stroke = color(i === 0 ? "--chart-1" : "--chart-2");
                return { label, stroke, width: 1.5, spanGaps: false, points: { show: false }, ...(i === 0 ? { fill: `${stroke}22` } : {}) };
              }),
            ],
          },
          latest.current,
          element,
        );
      };
      draw();
      const sizes = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
      sizes.observe(element);
      const themes = new MutationObserver(draw);
      themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
      observers = [() => sizes.disconnect(), () => themes.disconnect()];
    });
    return () => {
      gone = true;
      for (const end of observers) end();
      plot.current?.destroy();
      plot.current = undefined;
    };
    // The functions are the same for the same chart.
  }, [names, top, binary, locale]);
  const words = lines.map((line, i) => `${line.name}: ${newest[i] === null ? "–" : told(newest[i]!)}`);
  return (
    <figure className="m-0 min-w-0" aria-label={t`${title}, now ${words.join(", ")}`} role="img">
      <figcaption className="flex flex-wrap items-baseline gap-x-3 mb-1">
        <span className="font-medium">{title}</span>
        {lines.map((line, i) => (
          <span key={line.name} className="text-xs text-muted inline-flex items-center gap-1.5">
            <span aria-hidden className="h-0.5 w-3 rounded" style={{ background: `var(${i === 0 ? "--chart-1" : "--chart-2"})` }} />
            {line.name} <span className="text-text">{newest[i] === null ? "–" : told(newest[i]!)}</span>
          </span>
        ))}
      </figcaption>
      <div ref={holder} style={{ height: HEIGHT }} />
    </figure>
  );
}
