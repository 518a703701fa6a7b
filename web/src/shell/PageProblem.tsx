import { Trans } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import { ProblemNote, asProblem } from "~/design/overlays";
import { Empty } from "~/design/basics";

export function PageProblem({ error }: { error: unknown }) {
  return <main className="p-6 max-w-2xl"><ProblemNote problem={asProblem(error)} /></main>;
}

export function NotFound() {
  return (
    <Empty icon="search" title={<Trans>There is no such page.</Trans>}>
      <Link to="/" className="link"><Trans>To the dashboard</Trans></Link>
    </Empty>
  );
}
