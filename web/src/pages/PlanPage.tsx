/** One plan: how it comes along, what is on which host, what would be if, and how it differs from others. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useLiveState, useObject } from "~/api/live";
import { path } from "~/api/objects";
import { type Plan, documentQuery } from "~/api/planning";
import { useMay } from "~/api/session";
import { Empty, Panel, Phase } from "~/design/basics";
import { Icon } from "~/design/Icon";
import { ProblemNote, asProblem } from "~/design/overlays";
import { TabLinks } from "~/design/Tabs";
import { Page } from "~/shell/Page";
import { Compare } from "./plan/Compare";
import { Explorer } from "./plan/Explorer";
import { WhatIf } from "./plan/WhatIf";
import { Waves } from "./plan/Waves";
import { PlanState, share } from "./plan/words";

function cliOf(tab: string, name: string): string[] {
  switch (tab) {
    case "what-if": return [];
    case "waves": return [`tabane wave create NAME --plan ${name} --wave pilot`, "tabane wave review NAME --measured SURVEY --facts facts.toml", `tabane plan continue ${name} NEXT --done pilot`];
    case "compare": return [`tabane plan compare ${name} OTHER`];
    default: return [`tabane plan try ${name} --move SERVER=HOST`, `tabane plan document ${name} --out plan.json`];
  }
}

export function PlanPage() {
  const { t } = useLingui();
  const { name, tab } = useParams({ from: "/shell/plans/$name/{-$tab}" });
  const plan = useObject("plan", name);
  const { synced } = useLiveState();
  const { change } = useMay();
  const back = { to: "/plans", name: t`Plans` };
  if (!plan) {
    return (
      <Page title={name} titleText={name} back={back} cli={[`tabane plan get ${name}`]}>
        {synced ? <Empty icon="plan" title={<Trans>There is no plan {name}.</Trans>}><Link to="/plans" className="link"><Trans>To the list</Trans></Link></Empty> : null}
      </Page>
    );
  }
  const phase = plan.status?.phase ?? "pending";
  const tabs = [{ id: "hosts", name: t`Hosts` }, ...(change ? [{ id: "what-if", name: t`What if` }] : []), { id: "compare", name: t`Compare` }, { id: "waves", name: t`Waves` }];
  const at = tabs.find((entry) => entry.id === tab)?.id ?? "hosts";
  const ready = phase === "ready";
  return (
    <Page title={name} titleText={name} back={back} badge={<Phase phase={phase} />} cli={ready ? cliOf(at, name) : [`tabane plan get ${name}`]} actions={ready ? <Reports plan={plan} /> : null}>
      {ready ? (
        <>
          <Summary plan={plan} />
          <TabLinks label={t`Parts of the plan`} to="/plans/$name/{-$tab}" name={name} tabs={tabs} at={at} />
          {at === "hosts" ? <Hosts key={plan.meta.uid} plan={plan} /> : null}
          {at === "what-if" ? <WhatIf key={plan.meta.uid} plan={plan} /> : null}
          {at === "waves" ? <Waves key={plan.meta.uid} plan={plan} /> : null}
          {at === "compare" ? <Compare key={plan.meta.uid} plan={plan} /> : null}
        </>
      ) : (
        <Panel>
          <div className="grid justify-items-center gap-3 py-10 text-center" role="status">
            {phase === "failed" ? <span className="text-bad"><Icon name="alert" size={24} /></span> : <Icon name="spinner" size={24} />}
            {phase === "failed" ? <p className="max-w-prose">{plan.status?.message}</p> : <PlanState plan={plan} />}
            {phase === "failed" ? null : <p className="text-muted"><Trans>Plans are made one after the other. This page shows it as soon as it is ready.</Trans></p>}
          </div>
        </Panel>
      )}
    </Page>
  );
}

function Reports({ plan }: { plan: Plan }) {
  const { i18n } = useLingui();
  const report = `${path("plan", plan.meta.name, "report")}?lang=${i18n.locale === "ja" ? "ja" : "en"}`;
  return (
    <>
      <a className="link" href={report} target="_blank" rel="noreferrer"><Trans>Report</Trans></a>
      <a className="link" href={path("plan", plan.meta.name, "document")} download={`${plan.meta.name}.json`}><Trans>Document</Trans></a>
    </>
  );
}

function Summary({ plan }: { plan: Plan }) {
  const { t, i18n } = useLingui();
  const summary = plan.status?.summary;
  if (!summary) return null;
  const number = (value: number) => value.toLocaleString(i18n.locale);
  const saved = summary.hosts > 0 ? (summary.servers / summary.hosts).toFixed(1) : "–";
  const figures: [string, string, string][] = [
    [t`Hosts`, number(summary.hosts), t`no plan has fewer than ${number(summary.lower_bound_hosts)}`],
    [t`Spare hosts`, number(summary.spare_hosts), t`for hosts that fail`],
    [t`Servers`, number(summary.servers), t`${saved} on each host`],
    [t`Without a host`, number(summary.unplaced), summary.unplaced ? t`reasons are below` : t`all have one`],
    [t`Cost of hosts`, number(summary.cost), t`spare ones included`],
    [t`Overloaded`, share(summary.predicted_overload_share), summary.predicted_overload_share === null || summary.predicted_overload_share === undefined ? t`the loads are too short to tell` : t`of host-samples, expected`],
  ];
  return (
    <dl className="grid grid-cols-2 sm:grid-cols-3 xl:grid-cols-6 gap-px overflow-hidden rounded-lg border border-line bg-line">
      {figures.map(([name, value, told]) => (
        <div key={name} className="bg-surface px-4 py-2.5">
          <dt className="text-xs text-muted">{name}</dt>
          <dd className="text-lg font-semibold tabular-nums">{value}</dd>
          <dd className="text-xs text-muted">{told}</dd>
        </div>
      ))}
    </dl>
  );
}

function Hosts({ plan }: { plan: Plan }) {
  const document = useQuery(documentQuery(plan));
  if (document.error) return <ProblemNote problem={asProblem(document.error)} />;
  if (!document.data) return <p role="status" className="flex justify-center gap-2 py-10 text-muted"><Icon name="spinner" /><Trans>Loading…</Trans></p>;
  return <Explorer plan={plan} document={document.data} />;
}
