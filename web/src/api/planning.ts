/** Surveys and plans: sending the files of a survey, and what a plan is asked. */
import { ProblemError, get, plain, post, problemOf, signedOut } from "./client";
import { path } from "./objects";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Survey = Schemas["Survey"];
export type Collection = Schemas["Collection"];
export type CollectedSource = Schemas["CollectedSource"];
export type Plan = Schemas["Plan"];
export type PlanSpec = Schemas["PlanSpec"];
export type PlanDocument = Schemas["PlanDocument"];
export type PlannedHost = Schemas["PlannedHost"];
export type Trial = Schemas["Trial"];
export type TrialHost = Schemas["TrialHost"];
export type TrialMove = Schemas["TrialMove"];
export type TrialBreach = Schemas["TrialBreach"];
export type Wave = Schemas["Wave"];
export type PlannedWave = Schemas["PlannedWave"];
export type PlannedWindow = Schemas["PlannedWindow"];
export type PlanComparison = Schemas["PlanComparison"];
export type PlanFigures = Schemas["PlanFigures"];

const METRICS = ["cpu_mhz", "mem_mib", "disk_read_kbs", "disk_write_kbs", "disk_read_iops", "disk_write_iops", "net_rx_kbs", "net_tx_kbs"];

/** The name that a file of a folder of traces has in a survey: `2013-07_cpu_mhz.csv.gz` is `cpu_mhz.csv.gz`. */
export function surveyFileName(name: string): string | undefined {
  const found = /^(.*)(\.csv(?:\.gz)?)$/.exec(name);
  if (!found) return undefined;
  const [, stem = "", suffix = ""] = found;
  const has = (known: string) => stem === known || stem.endsWith(`_${known}`);
  if (has("servers") || has("vms")) return `servers${suffix}`;
  const metric = METRICS.find(has);
  return metric ? `${metric}${suffix}` : undefined;
}

/** Makes a survey and sends its files, one after the other. */
export async function sendSurvey(name: string, files: ReadonlyMap<string, File>, told: (sent: number, file: string) => void): Promise<void> {
  const named = [...files].map(([file, content]) => ({ name: file, size_bytes: content.size }));
  let received: string[] = [];
  try {
    await post(path("survey"), { meta: { name }, spec: { files: named } });
  } catch (error) {
    if (!(error instanceof ProblemError) || error.problem.code !== "name_taken") throw error;
    // One that was cut short goes on.
    const known = await get<Survey>(path("survey", name));
    const same = known.spec.files.length === named.length && known.spec.files.every((file) => files.get(file.name)?.size === file.size_bytes);
    if (!same || known.status?.phase !== "uploading") throw error;
    received = known.status.received ?? [];
  }
  let sent = 0;
  for (const [file, content] of files) {
    told(sent, file);
    if (!received.includes(file)) await sendFile(`${path("survey", name)}/files/${encodeURIComponent(file)}`, content);
    sent += 1;
  }
}

async function sendFile(url: string, content: File): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, { method: "PUT", body: content, headers: { "content-type": "application/octet-stream" } });
  } catch {
    throw new ProblemError(plain("offline", "offline", 0, "the connection broke off", "send the same files again: it goes on where it stopped"));
  }
  if (response.ok) return;
  if (response.status === 401) signedOut();
  throw new ProblemError(await problemOf(response));
}

export const documentQuery = (plan: Plan) => ({
  queryKey: ["plan", plan.meta.uid, "document"],
  queryFn: ({ signal }: { signal: AbortSignal }) => get<PlanDocument>(path("plan", plan.meta.name, "document"), { signal }),
  // It never changes.
  staleTime: Infinity,
});

export const trialQuery = (plan: Plan, moves: TrialMove[]) => ({
  queryKey: ["plan", plan.meta.uid, "try", moves],
  queryFn: ({ signal }: { signal: AbortSignal }) => post<Trial>(path("plan", plan.meta.name, "try"), { moves }, { signal }),
  enabled: moves.length > 0,
  staleTime: Infinity,
});

export const comparisonQuery = (plan: Plan, other: Plan) => ({
  queryKey: ["plan", plan.meta.uid, "compare", other.meta.uid],
  queryFn: ({ signal }: { signal: AbortSignal }) => get<PlanComparison>(path("plan", plan.meta.name, `compare/${encodeURIComponent(other.meta.name)}`), { signal }),
  staleTime: Infinity,
});
