/** Words and figures that all pages of collections share. */
import { Trans, useLingui } from "@lingui/react/macro";
import type { Collection } from "~/api/planning";
import { Phase } from "~/design/basics";

export const collectionPhase = (collection: Collection) => collection.status?.phase ?? "waiting";

/** How much of its time has gone by, from 0 to 1; `undefined` where it has no end. */
export function elapsed(collection: Collection, now: number): number | undefined {
  const [length, begun] = [collection.spec.length_s, collection.status?.begun_at];
  if (!length || !begun) return undefined;
  return Math.min(1, Math.max(0, (now - Date.parse(begun)) / 1000 / length));
}

/** The command that measures its servers. */
export const collector = (collection: Collection) => `tabane survey run --collection ${collection.meta.name}`;

export function CollectionState({ collection }: { collection: Collection }) {
  const { t } = useLingui();
  const phase = collectionPhase(collection);
  const report = collection.status?.report;
  const waits = phase === "waiting" ? t`for a collector` : undefined;
  const told = report?.message || waits || (report ? <Trans>{report.reached} of {report.servers} reached</Trans> : undefined);
  return <span className="inline-flex items-center gap-2 min-w-0 max-w-full"><Phase phase={phase} /><span className="truncate text-muted" title={report?.message}>{told}</span></span>;
}
