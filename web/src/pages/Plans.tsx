/** Plans: which servers of a survey share which hosts. The server makes one after the other. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { path } from "~/api/objects";
import type { Plan } from "~/api/planning";
import { useMay } from "~/api/session";
import { Ago, Button, Empty, useNow } from "~/design/basics";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { NumberField, Select, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { FillHint } from "./plan/FillHint";
import { PlanState, share } from "./plan/words";

export function Plans() {
  const { t, i18n } = useLingui();
  const plans = useObjects("plan");
  const surveys = useObjects("survey");
  const { change } = useMay();
  const now = useNow();
  const [asked, setAsked] = useState<"create" | Plan>();
  const close = () => setAsked(undefined);
  const columns = useMemo<Column<Plan>[]>(() => {
    const dash = <span className="text-muted">–</span>;
    const number = (of: (s: NonNullable<NonNullable<Plan["status"]>["summary"]>) => number) => ({
      right: true,
      by: (p: Plan) => (p.status?.summary ? of(p.status.summary) : -1),
      cell: (p: Plan) => (p.status?.summary ? of(p.status.summary).toLocaleString(i18n.locale) : dash),
    });
    return [
      { id: "name", name: t`Name`, width: "minmax(7rem,1.2fr)", by: (p) => p.meta.name, cell: (p) => <RowLink to={`/plans/${p.meta.name}`}>{p.meta.name}</RowLink> },
      { id: "state", name: t`State`, width: "minmax(7rem,2fr)", by: (p) => p.status?.phase ?? "", cell: (p) => <PlanState plan={p} /> },
      { id: "survey", name: t`Survey`, width: "minmax(5rem,1fr)", wide: true, by: (p) => p.spec.survey, cell: (p) => p.spec.survey },
      { id: "servers", name: t`Servers`, width: "4.5rem", wide: true, ...number((s) => s.servers) },
      {
        id: "hosts", name: t`Hosts`, width: "5.5rem", right: true, by: (p) => p.status?.summary?.hosts ?? -1,
        cell: (p) => { const s = p.status?.summary; return s ? <span title={t`no plan has fewer than ${s.lower_bound_hosts}`}>{s.hosts} <span className="text-muted">≥ {s.lower_bound_hosts}</span></span> : dash; },
      },
      { id: "unplaced", name: t`Without a host`, width: "7.5rem", wide: true, ...number((s) => s.unplaced) },
      { id: "cost", name: t`Cost of hosts`, width: "7rem", wide: true, ...number((s) => s.cost) },
      { id: "risk", name: t`Overloaded`, width: "6rem", wide: true, right: true, by: (p) => p.status?.summary?.predicted_overload_share ?? -1, cell: (p) => share(p.status?.summary?.predicted_overload_share) },
      { id: "age", name: t`Age`, width: "6rem", wide: true, by: (p) => p.meta.created_at ?? "", cell: (p) => <Ago at={p.meta.created_at} now={now} locale={i18n.locale} /> },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (p) => change ? <Menu name={t`Actions for ${p.meta.name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked(p) }]} /> : null,
      },
    ];
  }, [t, i18n, change, now]);
  const make = change ? <Button look="primary" icon="plus" isDisabled={surveys.length === 0} onPress={() => setAsked("create")}><Trans>Make a plan</Trans></Button> : null;
  return (
    <Page title={t`Plans`} titleText={t`Plans`} actions={make} cli={["tabane plan list", "tabane plan create NAME --survey SURVEY --hosts hosts.toml --policy policy.toml --wait ready"]}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Plans`} rows={plans} columns={columns} keyOf={(p) => p.meta.name}
          empty={<Empty icon="plan" title={surveys.length ? <Trans>There are no plans yet.</Trans> : <Trans>There are no plans, and no survey to make one of. Send a survey first.</Trans>}>{surveys.length ? make : <RowLink to="/surveys"><Trans>To the surveys</Trans></RowLink>}</Empty>} />
      </section>
      {asked === "create" ? <Create onClose={close} /> : null}
      {asked && asked !== "create" ? (
        <Confirm title={t`Delete the plan ${asked.meta.name}?`} action={t`Delete`} onClose={close} onConfirm={() => remove(path("plan", asked.meta.name))}>
          <p>{asked.status?.phase === "making" ? <Trans>It is being made; that is given up.</Trans> : <Trans>Its document is deleted. The survey stays.</Trans>}</p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const surveys = useObjects("survey");
  const [name, setName] = useState("");
  const [survey, setSurvey] = useState<string | null>(surveys[0]?.meta.name ?? null);
  const [cores, setCores] = useState(64);
  const [mhz, setMhz] = useState(2_400);
  const [memory, setMemory] = useState(512);
  const [price, setPrice] = useState(12_000);
  const [basis, setBasis] = useState("configured");
  const [fill, setFill] = useState(90);
  const [spare, setSpare] = useState(1);
  const [limit, setLimit] = useState(60);
  const { busy, problem, submit, fault } = useForm(async () => {
    const host = { name: "host", cpu_cores: cores, cpu_mhz: Math.round(cores * mhz), memory_mib: Math.round(memory * 1024), price };
    const policy = { memory: basis, fill_max: fill / 100, fill_failed: Math.max(1, fill / 100), spare_hosts: spare, time_limit_s: limit };
    await post(path("plan"), { meta: { name }, spec: { survey, hosts: [host], policy } });
    onClose();
    await navigate({ to: `/plans/${name}` });
  });
  return (
    <Dialog title={t`Make a plan`} onClose={onClose} wide>
      <form onSubmit={submit} className="grid gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="first" fault={fault("meta.name")} />
          <Select label={t`Survey`} value={survey} onChange={setSurvey} fault={fault("spec.survey")}
            choices={surveys.map((s) => ({ id: s.meta.name, name: s.meta.name }))} />
        </div>
        <fieldset className="grid gap-4 sm:grid-cols-4">
          <legend className="mb-2 font-medium"><Trans>A host</Trans></legend>
          <NumberField label={t`Cores`} value={cores} onChange={(v) => setCores(Math.round(v))} min={1} fault={fault("spec.hosts")} />
          <NumberField label={t`Speed of a core`} unit="MHz" value={mhz} onChange={setMhz} min={100} />
          <NumberField label={t`Memory`} unit="GiB" value={memory} onChange={setMemory} min={1} />
          <NumberField label={t`Price`} value={price} onChange={setPrice} min={0} />
        </fieldset>
        <fieldset className="grid gap-4 sm:grid-cols-4">
          <legend className="mb-2 font-medium"><Trans>What is accepted</Trans></legend>
          <Select label={t`Memory counts as`} value={basis} onChange={setBasis} choices={[{ id: "configured", name: t`what servers have` }, { id: "active", name: t`what servers use` }]} />
          <NumberField label={t`Fill hosts to`} unit="%" value={fill} onChange={setFill} min={1} max={200} fault={fault("spec.policy.fill_max")} />
          <NumberField label={t`Hosts that may fail`} value={spare} onChange={(v) => setSpare(Math.round(v))} min={0} max={16} fault={fault("spec.policy.spare_hosts")} />
          <NumberField label={t`Search for`} unit="s" value={limit} onChange={(v) => setLimit(Math.round(v))} min={0} max={3600} fault={fault("spec.policy.time_limit_s")} />
        </fieldset>
        <FillHint percent={fill} />
        <p className="text-muted"><Trans>Several kinds of hosts, rules, costs and licences are given by files: tabane plan create.</Trans></p>
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Make it`} busy={busy} isDisabled={!name || !survey} />
      </form>
    </Dialog>
  );
}
