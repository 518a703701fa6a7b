/** One collection: how its servers are reached, what they do at this moment, and the surveys that are made of it. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { patch } from "~/api/client";
import { useLiveState, useObject } from "~/api/live";
import { path } from "~/api/objects";
import type { CollectedSource, Collection } from "~/api/planning";
import { useMay } from "~/api/session";
import { Ago, Button, Empty, Panel, Phase, useNow } from "~/design/basics";
import { Command } from "~/design/Cli";
import { type Column, DataTable, type Sort } from "~/design/DataTable";
import { TextField } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes, lasting, percent } from "~/words/format";
import { DeleteCollection } from "./survey/Collections";
import { LiveCharts } from "./survey/LiveCharts";
import { collectionPhase, collector, elapsed } from "./survey/words";

const SOURCES_SHOWN = 12;

export function CollectionPage() {
  const { t } = useLingui();
  const { name } = useParams({ from: "/shell/collections/$name" });
  const collection = useObject("collection", name);
  const { synced } = useLiveState();
  const back = { to: "/surveys", name: t`Surveys` };
  if (!collection) {
    return (
      <Page title={name} titleText={name} back={back} cli={[`tabane collection get ${name}`]}>
        {synced ? <Empty icon="survey" title={<Trans>There is no collection {name}.</Trans>}><Link to="/surveys" className="link"><Trans>To the list</Trans></Link></Empty> : null}
      </Page>
    );
  }
  const phase = collectionPhase(collection);
  const report = collection.status?.report;
  return (
    <Page title={name} titleText={name} back={back} badge={<Phase phase={phase} />} actions={<Actions collection={collection} />}
      cli={[`tabane collection get ${name}`, `tabane collection survey ${name} SURVEY`, `tabane collection end ${name}`]}>
      {phase === "waiting" || phase === "silent" ? <HowToRun collection={collection} /> : null}
      {report?.message ? <p role="alert" className="flex gap-2 rounded-md border border-bad/40 bg-bad-soft px-3 py-2"><span className="text-bad pt-0.5"><Icon name="alert" /></span>{report.message}</p> : null}
      {report ? <Figures collection={collection} /> : null}
      <Made collection={collection} />
      {phase === "running" ? <LiveCharts key={collection.meta.uid} collection={collection} /> : null}
      {report ? <Sources sources={report.sources ?? []} all={report.servers} isLive={phase === "running"} /> : null}
    </Page>
  );
}

function Actions({ collection }: { collection: Collection }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const { change } = useMay();
  const [asked, setAsked] = useState<"survey" | "end" | "delete">();
  const close = () => setAsked(undefined);
  const { name } = collection.meta;
  if (!change) return null;
  const isOver = collection.spec.ended || collectionPhase(collection) === "ended";
  const begun = Boolean(collection.status?.begun_at);
  return (
    <>
      {isOver || !begun ? null : <Button icon="survey" onPress={() => setAsked("survey")}><Trans>Make a survey now</Trans></Button>}
      {isOver || !begun ? null : <Button icon="stop" onPress={() => setAsked("end")}><Trans>End</Trans></Button>}
      <Menu name={t`Actions for ${name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked("delete") }]} />
      {asked === "survey" ? <MakeSurvey collection={collection} onClose={close} /> : null}
      {asked === "end" ? (
        <Confirm title={t`End the collection ${name}?`} action={t`End`} onClose={close} onConfirm={async () => { await patch(path("collection", name), { spec: { ended: true } }); }}>
          <p><Trans>Nothing more is measured, and a survey of all, called {name}, is made. It cannot be taken up again.</Trans></p>
        </Confirm>
      ) : null}
      {asked === "delete" ? <DeleteCollection collection={collection} onClose={close} onGone={() => void navigate({ to: "/surveys" })} /> : null}
    </>
  );
}

function MakeSurvey({ collection, onClose }: { collection: Collection; onClose: () => void }) {
  const { t } = useLingui();
  const { name: own } = collection.meta;
  const [name, setName] = useState(`${own}-${(collection.status?.surveys?.length ?? 0) + 1}`);
  const { busy, problem, submit, fault } = useForm(async () => {
    await patch(path("collection", own), { spec: { survey: name } });
    onClose();
  });
  return (
    <Dialog title={t`Make a survey now`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired fault={fault("spec.survey")} />
        <p className="text-muted"><Trans>It is made of what has been measured by now. Measuring goes on.</Trans></p>
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Make it`} busy={busy} isDisabled={!name} />
      </form>
    </Dialog>
  );
}

function HowToRun({ collection }: { collection: Collection }) {
  const isSilent = collectionPhase(collection) === "silent";
  const { sources } = collection.spec;
  const count = sources.length;
  return (
    <Panel title={isSilent ? <Trans>Its collector is not heard any more</Trans> : <Trans>Begin to measure</Trans>}>
      <div className="grid gap-3">
        <p>
          {isSilent
            ? <Trans>If it still runs, it measures, and tells of it once it reaches this server again. If it does not, go on in the same folder by</Trans>
            : <Trans>On a machine that reaches the <Plural value={count} one="server or subnet" other="# servers or subnets" /> by SSH with your key, run</Trans>}
        </p>
        <div className="rounded-lg border border-line bg-sunken px-3 py-1.5"><Command command={collector(collection)} /></div>
        <p className="flex flex-wrap gap-x-3 gap-y-1"><span className="text-muted"><Trans>Servers</Trans></span>{sources.slice(0, SOURCES_SHOWN).map((source) => <code key={source}>{source}</code>)}{sources.length > SOURCES_SHOWN ? "…" : null}</p>
        <p className="text-muted"><Trans>Elsewhere than on this server, set TABANE_URL and TABANE_TOKEN first; <Link to="/tokens" className="link">tokens</Link> are made by administrators. Leave the command running, for example in tmux or as a service. It goes on where it was cut short.</Trans></p>
      </div>
    </Panel>
  );
}

function Figures({ collection }: { collection: Collection }) {
  const { t, i18n } = useLingui();
  const now = useNow(1_000);
  const { report, begun_at, reported_at } = collection.status ?? {};
  if (!report) return null;
  const number = (value: number) => value.toLocaleString(i18n.locale);
  const done = elapsed(collection, now);
  const isOver = collectionPhase(collection) === "ended";
  const lost = report.servers - report.reached;
  const figures: [string, string, string][] = [
    [t`Reached`, `${number(report.reached)} / ${number(report.servers)}`, lost && !isOver ? t`the others are tried again and again` : t`servers`],
    [t`Samples`, number(report.samples), t`since the collector was started, every ${collection.spec.step_s} s`],
    [t`Begun`, lasting(begun_at, isOver ? Date.parse(reported_at ?? "") : now, i18n.locale), collection.spec.length_s ? t`of ${lasting(new Date(now - collection.spec.length_s * 1000).toISOString(), now, i18n.locale)}` : t`until somebody ends it`],
  ];
  return (
    <section className="rounded-lg border border-line overflow-hidden">
      <dl className="grid grid-cols-2 lg:grid-cols-4 gap-px bg-line">
        {figures.map(([name, value, told]) => (
          <div key={name} className="bg-surface px-4 py-2.5">
            <dt className="text-xs text-muted">{name}</dt>
            <dd className="text-lg font-semibold tabular-nums">{value}</dd>
            <dd className="text-xs text-muted">{told}</dd>
          </div>
        ))}
        <div className="bg-surface px-4 py-2.5 min-w-0">
          <dt className="text-xs text-muted"><Trans>Collector</Trans></dt>
          <dd className="text-lg font-semibold truncate" title={report.collector}>{report.collector}</dd>
          <dd className="text-xs text-muted"><Trans>heard <Ago at={reported_at} now={now} locale={i18n.locale} /></Trans></dd>
        </div>
      </dl>
      {done === undefined || isOver ? null : (
        <div role="progressbar" aria-label={t`Time gone by`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(done * 100)} className="h-1.5 bg-busy-soft">
          <div className="h-full bg-busy" style={{ width: `${done * 100}%` }} />
        </div>
      )}
    </section>
  );
}

function Made({ collection }: { collection: Collection }) {
  const made = collection.status?.surveys ?? [];
  const { survey, ended } = collection.spec;
  const asked = [survey, ended ? collection.meta.name : undefined].filter((name): name is string => Boolean(name) && !made.includes(name ?? ""));
  if (made.length === 0 && asked.length === 0) return null;
  return (
    <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <span className="text-muted"><Trans>Surveys made of it</Trans></span>
      {made.map((name) => <Link key={name} to="/surveys" className="link">{name}</Link>)}
      {asked.map((name) => <span key={name} className="inline-flex items-center gap-1.5 text-muted"><Icon name="spinner" />{name}</span>)}
    </p>
  );
}

function Sources({ sources, all, isLive }: { sources: readonly CollectedSource[]; all: number; isLive: boolean }) {
  const { t, i18n } = useLingui();
  // Those in trouble are on top.
  const [sort, setSort] = useState<Sort>({ id: "state", down: false });
  const columns = useMemo<Column<CollectedSource>[]>(() => {
    const dash = <span className="text-muted">–</span>;
    const load = (of: (l: NonNullable<CollectedSource["load"]>) => number, told: (value: number) => string) => ({
      right: true,
      by: (s: CollectedSource) => (s.load ? of(s.load) : -1),
      cell: (s: CollectedSource) => (s.load && isLive ? <span className="tabular-nums">{told(of(s.load))}</span> : dash),
    });
    const kbs = (value: number) => `${bytes(value * 1024)}/s`;
    return [
      { id: "source", name: t`Server`, width: "minmax(8rem,1.5fr)", by: (s) => s.source, cell: (s) => <span className="font-medium truncate" title={s.source}>{s.source}</span> },
      { id: "state", name: t`State`, width: "minmax(7rem,2.6fr)", by: (s) => s.state, cell: (s) => <SourceState source={s} /> },
      { id: "cores", name: t`Cores`, width: "4.5rem", wide: true, right: true, by: (s) => s.cores ?? 0, cell: (s) => s.cores || dash },
      { id: "cpu", name: t`CPU`, width: "7rem", by: (s) => s.load?.cpu_share ?? -1, cell: (s) => (s.load && isLive ? <Bar share={s.load.cpu_share} /> : dash) },
      {
        id: "memory", name: t`Memory`, width: "9rem", wide: true, right: true, by: (s) => s.load?.memory_mib ?? -1,
        cell: (s) => (s.load && isLive ? <span className="tabular-nums">{bytes(s.load.memory_mib * 2 ** 20)} <span className="text-muted">/ {bytes((s.memory_mib ?? 0) * 2 ** 20)}</span></span> : dash),
      },
      { id: "disk", name: t`Disk`, width: "6rem", wide: true, ...load((l) => l.disk_kbs, kbs) },
      { id: "net", name: t`Network`, width: "6rem", wide: true, ...load((l) => l.net_kbs, kbs) },
      { id: "samples", name: t`Samples`, width: "5.5rem", wide: true, right: true, by: (s) => s.samples ?? 0, cell: (s) => (s.samples ?? 0).toLocaleString(i18n.locale) },
    ];
  }, [t, i18n, isLive]);
  const left = all - sources.length;
  return (
    <section className="rounded-lg border border-line bg-surface">
      <DataTable name={t`Servers`} rows={sources} columns={columns} keyOf={(s) => s.source} sort={sort} onSort={setSort} />
      {left > 0 ? <p className="px-4 py-2 text-muted"><Plural value={left} one="# more server is measured and not listed." other="# more servers are measured and not listed." /></p> : null}
    </section>
  );
}

function SourceState({ source }: { source: CollectedSource }) {
  const told = source.message || source.os;
  return <span className="inline-flex items-center gap-2 min-w-0 max-w-full"><Phase phase={source.state} /><span className="truncate text-muted" title={told}>{told}</span></span>;
}

function Bar({ share }: { share: number }) {
  const { t } = useLingui();
  return (
    <span className="flex items-center gap-2">
      <span role="meter" aria-label={t`CPU`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)} className="h-1.5 flex-1 rounded-full bg-idle-soft overflow-hidden">
        <span className="block h-full rounded-full bg-accent transition-[width] duration-300" style={{ width: `${share * 100}%` }} />
      </span>
      <span className="w-10 text-right tabular-nums">{percent(share)}</span>
    </span>
  );
}
