/** Measured values of a VM or host over time; asked for anew as often as there can be a new one. */
import { useQuery } from "@tanstack/react-query";
import { type Problem, ProblemError, get } from "./client";

export interface Metrics {
  step_s: number;
  /** Unix seconds. */
  times: number[];
  series: Record<string, (number | null)[]>;
}

export const SPANS = { quarter: 900, hour: 3_600, day: 86_400, week: 7 * 86_400, year: 365 * 86_400 } as const;
export type Span = keyof typeof SPANS;

export function useMetrics(kind: "vms" | "hosts", name: string, span: Span): { metrics: Metrics | undefined; problem: Problem | undefined } {
  const seconds = SPANS[span];
  // About 360 points, which is what a chart has room for.
  const step = Math.max(10, Math.round(seconds / 360 / 10) * 10);
  const { data, error } = useQuery({
    queryKey: ["metrics", kind, name, span],
    queryFn: ({ signal }) => {
      const to = Math.floor(Date.now() / 1000);
      return get<Metrics>(`/v1/${kind}/${encodeURIComponent(name)}/metrics`, { query: { from: to - seconds, to, step_s: step }, signal });
    },
    refetchInterval: (query) => (query.state.error ? false : Math.max(10_000, Math.min(step * 1000, 60_000))),
  });
  return { metrics: data, problem: error instanceof ProblemError ? error.problem : undefined };
}
