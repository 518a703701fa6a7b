import { Trans } from "@lingui/react/macro";
import type { Difference } from "./diff";

export function Diff({ differences }: { differences: Difference[] }) {
  if (differences.length === 0) return <p className="text-muted"><Trans>Nothing would change.</Trans></p>;
  return (
    <div className="rounded-md border border-line overflow-auto font-mono text-xs">
      {differences.map((d) => (
        <div key={d.path} className="border-b border-line/70 last:border-0">
          <div className="px-3 pt-1.5 text-muted">{d.path}</div>
          {d.before === undefined ? null : <del className="block px-3 no-underline bg-bad-soft whitespace-pre-wrap break-all">− {d.before}</del>}
          {d.after === undefined ? null : <ins className="block px-3 no-underline bg-good-soft whitespace-pre-wrap break-all">+ {d.after}</ins>}
        </div>
      ))}
    </div>
  );
}
