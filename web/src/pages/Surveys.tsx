/** Surveys: loads of servers that are to be virtualized, sent as files and read by the server. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { FileTrigger } from "react-aria-components";
import { remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { path } from "~/api/objects";
import { type Survey, sendSurvey, surveyFileName } from "~/api/planning";
import { useMay } from "~/api/session";
import { Ago, Button, Empty, Phase, useNow } from "~/design/basics";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";

export function Surveys() {
  const { t, i18n } = useLingui();
  const surveys = useObjects("survey");
  const plans = useObjects("plan");
  const { change } = useMay();
  const now = useNow();
  const [asked, setAsked] = useState<"send" | Survey>();
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
  const send = change ? <Button look="primary" icon="upload" onPress={() => setAsked("send")}><Trans>Send a survey</Trans></Button> : null;
  return (
    <Page title={t`Surveys`} titleText={t`Surveys`} actions={send} cli={["tabane survey list", "tabane survey push NAME --traces FOLDER"]}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Surveys`} rows={surveys} columns={columns} keyOf={(s) => s.meta.name}
          empty={<Empty icon="survey" title={<Trans>There are no surveys. One holds the loads of servers that are to be virtualized; plans are made of it.</Trans>}>{send}</Empty>} />
      </section>
      {asked === "send" ? <Send onClose={close} /> : null}
      {asked && asked !== "send" ? (
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

function Send({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<File[]>([]);
  const [at, setAt] = useState<string>();
  const files = useMemo(() => {
    const known = new Map<string, File>();
    for (const file of chosen) {
      const named = surveyFileName(file.name);
      if (named) known.set(named, file);
    }
    return new Map([...known].sort(([a], [b]) => (a < b ? -1 : 1)));
  }, [chosen]);
  const left = chosen.length - files.size;
  const { busy, problem, submit, fault } = useForm(async () => {
    await sendSurvey(name, files, (_, file) => setAt(file));
    onClose();
  });
  return (
    <Dialog title={t`Send a survey`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <p className="text-muted"><Trans>A survey is servers.csv and a matrix for each metric, such as cpu_mhz.csv or cpu_mhz.csv.gz. `tabane survey export` and `tabane survey import` write them.</Trans></p>
        <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="may-2026" fault={fault("meta.name")} />
        <div className="grid gap-2">
          <FileTrigger allowsMultiple acceptedFileTypes={[".csv", ".gz"]} onSelect={(list) => setChosen(Array.from(list ?? []))}>
            <Button icon="plus"><Trans>Choose files</Trans></Button>
          </FileTrigger>
          {files.size ? (
            <ul className="grid gap-1" aria-label={t`Files`}>
              {[...files].map(([file, content]) => (
                <li key={file} className="flex gap-2"><code>{file}</code><span className="text-muted ml-auto">{busy && at === file ? <Trans>sending…</Trans> : bytes(content.size)}</span></li>
              ))}
            </ul>
          ) : null}
          {left > 0 ? <p className="text-muted"><Plural value={left} one="# file is none of a survey, or is there twice, and stays here." other="# files are none of a survey, or are there twice, and stay here." /></p> : null}
        </div>
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Send`} busy={busy} isDisabled={!name || files.size === 0} />
      </form>
    </Dialog>
  );
}
