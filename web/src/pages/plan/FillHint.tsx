/** What it means to fill hosts to more than they have. */
import { Trans } from "@lingui/react/macro";

export function FillHint({ percent }: { percent: number }) {
  if (percent <= 100) return null;
  return (
    <p role="status" className="text-muted">
      <Trans>Above 100 % CPU, disk and network are promised more than once, as far as the accepted overload lets them. Memory and disk space never are.</Trans>
    </p>
  );
}
