/** Surveys: loads of servers that are to be virtualized. They are measured over SSH, or sent as files. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { path } from "~/api/objects";
import type { Survey } from "~/api/planning";
import { useMay } from "~/api/session";
import { Ago, Button, Empty, Phase, useNow } from "~/design/basics";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { Confirm, Menu } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { Collections } from "./survey/Collections";
import { NewSurvey } from "./survey/NewSurvey";

export function Surveys() {
  const { t, i18n } = useLingui();
  const surveys = useObjects("survey");
  const plans = useObjects("plan");
  const { change } = useMay();
  const now = useNow();
  const [asked, setAsked] = useState<"new" | Survey>();
  const close = () => setAsked(undefined);
  const columns = useMemo<Column<Survey>[]>(() => {
    const ready = (s: Survey) => s.status?.phase === "ready";
    const dash = <span className="text-muted">–</span>;
    return [
      { id: "name", name: t`Name`, width: "minmax(7rem,1.2fr)", by: (s) => s.meta.name, cell: (s) => <span className="font-medium">{s.meta.name}</span> },
      { id: "state", name: t`State`, width: "minmax(7rem,2fr)", by: (s) => s.status?.phase ?? "", cell: (s) => <State survey={s} /> },
      { id: "servers", name: t`Servers`, width: "5.5rem", right: true, by: (s) => s.status?.servers ?? 0, cell: (s) => (ready(s) ? s.status?.servers : dash) },
      { id: "days", name: t`Days`, width: "4.5rem", right: true, by: (s) => s.status?.days ?? 0, cell: (s) => (ready(s) ? (s.status?.days ?? 0).toFixed(1) : dash) },
      { id: "from", name: t`From`, width: "8rem", wide: true, by: (s) => s.status?.first_bin_unix ?? 0, cell: (s) => (ready(s) ? new Date((s.status?.first_bin_unix ?? 0) * 1000).toISOString().slice(0, 10) : dash) },
      { id: "odd", name: t`Findings`, width: "6rem", wide: true, right: true, by: (s) => s.status?.findings_count ?? 0, cell: (s) => (ready(s) ? <span title={(s.status?.findings ?? []).join("\n")}>{s.status?.findings_count}</span> : dash) },
      {
        id: "plans", name: t`Plans`, width: "5rem", wide: true, right: true,
        cell: (s) => { const count = plans.filter((p) => p.spec.survey === s.meta.name).length; return count ? <RowLink to="/plans">{count}</RowLink> : <span className="text-muted">0</span>; },
      },
      { id: "age", name: t`Sent`, width: "7rem", wide: true, by: (s) => s.meta.created_at ?? "", cell: (s) => <Ago at={s.meta.created_at} now={now} locale={i18n.locale} /> },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (s) => change ? <Menu name={t`Actions for ${s.meta.name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked(s) }]} /> : null,
      },
    ];
  }, [t, i18n, plans, change, now]);
  const make = change ? <Button look="primary" icon="plus" onPress={() => setAsked("new")}><Trans>New survey</Trans></Button> : null;
  return (
    <Page title={t`Surveys`} titleText={t`Surveys`} actions={make} cli={["tabane survey list", "tabane collection create NAME root@SERVER --for 14d", "tabane survey push NAME --traces FOLDER"]}>
      <Collections />
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Surveys`} rows={surveys} columns={columns} keyOf={(s) => s.meta.name}
          empty={<Empty icon="survey" title={<Trans>There are no surveys. One holds the loads of servers that are to be virtualized; plans are made of it.</Trans>}>{make}</Empty>} />
      </section>
      {asked === "new" ? <NewSurvey onClose={close} /> : null}
      {asked && asked !== "new" ? (
        <Confirm title={t`Delete the survey ${asked.meta.name}?`} action={t`Delete`} onClose={close} onConfirm={() => remove(path("survey", asked.meta.name))}>
          <p><Trans>Its files are deleted. Plans that stand on it have to go first.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function State({ survey }: { survey: Survey }) {
  const phase = survey.status?.phase ?? "uploading";
  const all = survey.spec.files.length;
  const received = survey.status?.received?.length ?? 0;
  const told = phase === "uploading" ? <Trans>{received} of {all} files</Trans> : survey.status?.message;
  return <span className="inline-flex items-center gap-2 min-w-0 max-w-full"><Phase phase={phase} /><span className="truncate text-muted" title={survey.status?.message}>{told}</span></span>;
}
