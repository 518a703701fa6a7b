/** The waves of a plan as they are carried out: where each is, what its gates say, and what may be done next. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { patch, post } from "~/api/client";
import { useObjects } from "~/api/live";
import { path } from "~/api/objects";
import { type Plan, type PlanDocument, type PlannedWave, type PlannedWindow, type Wave, documentQuery } from "~/api/planning";
import { useMay } from "~/api/session";
import { Badge, Button, Phase } from "~/design/basics";
import { Select, TextField } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { Dialog, FormEnd, Menu, type MenuEntry, ProblemNote, asProblem, attempt, useForm } from "~/design/overlays";
import { useMetric, useVerdict } from "./words";

/** Waves that the plan before has carried out: its first ones, up to the one that this plan goes on after. */
function inherited(plan: Plan, document: PlanDocument): string[] {
  const names = (document.waves ?? []).map((wave) => wave.name);
  const last = plan.spec.after?.done ?? "";
  return last ? names.slice(0, names.indexOf(last) + 1) : [];
}

/** What a review finds out by itself; everything else that gates ask for is stated by people. */
const MEASURED = ["days_watched", "host_overloaded_share", "cpu_peak_over_planned", "memory_peak_over_planned"];
const SERVERS_SHOWN = 12;
const WINDOWS_SHOWN = 3;

export function Waves({ plan }: { plan: Plan }) {
  const { data, error } = useQuery(documentQuery(plan));
  const waves = useObjects("wave").filter((wave) => wave.spec.plan === plan.meta.name);
  if (error) return <ProblemNote problem={asProblem(error)} />;
  if (!data) return <p role="status" className="flex justify-center gap-2 py-10 text-muted"><Icon name="spinner" /><Trans>Loading…</Trans></p>;
  const before = inherited(plan, data);
  const of = (name: string) => waves.find((wave) => wave.spec.wave === name);
  const planned = data.waves ?? [];
  const open = planned.findIndex(({ name }) => !before.includes(name) && of(name)?.spec.state !== "done");
  const done = open > 0 ? planned[open - 1]?.name : undefined;
  return (
    <div className="grid gap-3">
      {done ? <GoOn plan={plan} done={done} /> : null}
      <ol className="grid gap-3 items-start grid-cols-[repeat(auto-fill,minmax(min(19rem,100%),1fr))]">
        {planned.map((wave) => (
          <li key={wave.name}><Card plan={plan} document={data} planned={wave} wave={of(wave.name)} isOver={before.includes(wave.name)} /></li>
        ))}
      </ol>
    </div>
  );
}

/** Between two waves: the rest can be planned anew by what is known by now. */
function GoOn({ plan, done }: { plan: Plan; done: string }) {
  const { t } = useLingui();
  const { change } = useMay();
  const [asked, setAsked] = useState(false);
  if (!change) return null;
  return (
    <p className="flex flex-wrap items-center gap-3 text-muted">
      <Trans>What comes after {done} can be planned anew: what has moved stays, and as many others as still fit.</Trans>
      <Button small icon="plan" onPress={() => setAsked(true)}><Trans>Replan the rest</Trans></Button>
      {asked ? <Replan plan={plan} done={done} title={t`Replan what comes after ${done}`} onClose={() => setAsked(false)} /> : null}
    </p>
  );
}

function Replan({ plan, done, title, onClose }: { plan: Plan; done: string; title: string; onClose: () => void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const surveys = useObjects("survey").filter((survey) => survey.status?.phase === "ready");
  const [name, setName] = useState(`${plan.meta.name}-after-${done}`);
  const [survey, setSurvey] = useState<string | null>(plan.spec.survey);
  const { busy, problem, submit, fault } = useForm(async () => {
    await post(path("plan"), { meta: { name }, spec: { ...plan.spec, survey, after: { plan: plan.meta.name, done } } });
    await navigate({ to: `/plans/${name}/compare` });
  });
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name`} value={name} onChange={setName} fault={fault("meta.name")} />
        <Select label={t`By the loads of`} value={survey} onChange={setSurvey} choices={surveys.map((s) => ({ id: s.meta.name, name: s.meta.name }))} />
        <p className="text-muted"><Trans>Hosts and policy are those of this plan. When it is ready, both can be compared; waves are then carried out by the one or the other.</Trans></p>
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Make it`} busy={busy} isDisabled={!survey || name.trim() === ""} />
      </form>
    </Dialog>
  );
}

/** When its servers are moved, by the clock on the wall there. */
function Windows({ windows }: { windows: readonly PlannedWindow[] }) {
  const { i18n } = useLingui();
  const day = new Intl.DateTimeFormat(i18n.locale, { weekday: "short", month: "short", day: "numeric", timeZone: "UTC" });
  const left = windows.length - WINDOWS_SHOWN;
  return (
    <ul className="text-xs text-muted">
      {windows.slice(0, WINDOWS_SHOWN).map(({ date, from, hours, servers }) => (
        <li key={`${date}${from}`} title={servers.join(", ")}>{day.format(new Date(`${date}T00:00:00Z`))} {from.slice(0, 5)} · <Trans>{hours} h</Trans> · <Plural value={servers.length} one="# server" other="# servers" /></li>
      ))}
      {left > 0 ? <li><Plural value={left} one="and # more window" other="and # more windows" /></li> : null}
    </ul>
  );
}

function Card({ plan, document, planned, wave, isOver }: { plan: Plan; document: PlanDocument; planned: PlannedWave; wave: Wave | undefined; isOver: boolean }) {
  const { t } = useLingui();
  const { change } = useMay();
  const [reviewing, setReviewing] = useState(false);
  const state = isOver ? "done" : (wave?.spec.state ?? "planned");
  const before = plan.spec.after?.plan ?? "";
  const become = (next: string) => void attempt(async () => {
    if (wave) await patch(path("wave", wave.meta.name), { spec: { state: next } });
    else await post(path("wave"), { meta: { name: `${plan.meta.name}-${planned.name}` }, spec: { plan: plan.meta.name, wave: planned.name, state: next } });
  });
  const more: MenuEntry[] = [];
  if (state === "running") more.push({ id: "stop", name: t`Stop`, icon: "pause", onAction: () => become("stopped") });
  if (!isOver && ["running", "stopped", "done"].includes(state)) more.push({ id: "back", name: t`Roll back`, icon: "undo", danger: true, onAction: () => become("rolled-back") });
  const shown = planned.servers.slice(0, SERVERS_SHOWN);
  const hours = planned.labour_hours;
  const day = planned.first_day;
  return (
    <article aria-label={planned.name} className={`rounded-lg border bg-surface ${state === "running" ? "border-accent" : "border-line"}`}>
      <header className="flex items-center gap-2 px-3 py-2 border-b border-line">
        <h2 className="text-[13px] mr-auto">{planned.name}</h2>
        <Phase phase={state} />
        {change && more.length ? <Menu name={t`Actions for ${planned.name}`} entries={more} /> : null}
      </header>
      <div className="grid gap-2 p-3">
        <p className="text-muted text-xs">
          <Plural value={planned.servers.length} one="# server" other="# servers" /> · <Plural value={planned.new_hosts.length} _0="no further host" one="# further host" other="# further hosts" /> · <Trans>{hours} h of labour, from day {day} on</Trans>
        </p>
        <p className="text-[13px] wrap-anywhere">{shown.join(", ")}{planned.servers.length > shown.length ? " …" : ""}</p>
        {planned.windows?.length ? <Windows windows={planned.windows} /> : null}
        {planned.new_hosts.length ? <p className="text-xs text-muted wrap-anywhere"><Trans>Install first</Trans>: {planned.new_hosts.join(", ")}</p> : null}
        {wave ? <Reviewed wave={wave} /> : null}
        {isOver ? <p className="text-muted"><Trans>Carried out by the plan <Link to="/plans/$name/{-$tab}" params={{ name: before, tab: "waves" }} className="link">{before}</Link>.</Trans></p> : null}
        {change ? (
          <div className="flex flex-wrap gap-2">
            {state === "planned" ? <Button small look="primary" icon="play" onPress={() => become("running")}><Trans>Begin</Trans></Button> : null}
            {state === "running" || state === "stopped" ? <Button small icon="survey" onPress={() => setReviewing(true)}><Trans>Review</Trans></Button> : null}
            {state === "running" ? <Button small look="primary" icon="check" onPress={() => become("done")}><Trans>Done</Trans></Button> : null}
            {state === "stopped" ? <Button small icon="play" onPress={() => become("running")}><Trans>Go on</Trans></Button> : null}
            {state === "rolled-back" ? <Button small icon="reset" onPress={() => become("planned")}><Trans>Plan it again</Trans></Button> : null}
          </div>
        ) : null}
      </div>
      {reviewing && wave ? <Review wave={wave} document={document} onClose={() => setReviewing(false)} /> : null}
    </article>
  );
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** The last review: what it says, and every gate that lets it say so. */
function Reviewed({ wave }: { wave: Wave }) {
  const verdict = useVerdict();
  const metric = useMetric();
  const { review, reviewed, message } = wave.status ?? {};
  if (wave.spec.review && !same(wave.spec.review, reviewed)) return <p role="status" className="flex gap-2 text-muted"><Icon name="spinner" />{message || <Trans>Being reviewed…</Trans>}</p>;
  if (message) return <p className="text-bad">{message}</p>;
  if (!review || !wave.spec.review) return wave.spec.state === "running" ? <p className="text-muted"><Trans>Not reviewed yet: when it was watched long enough, say by what it is judged.</Trans></p> : null;
  const tones = { pass: "good", wait: "busy", stop: "warn", roll_back: "bad" } as const;
  const open = review.gates.filter((it) => (it.gate.kind === "pass" ? it.holds !== true : it.holds === true));
  return (
    <div className="grid gap-1">
      <p><Badge tone={tones[review.verdict]}>{verdict(review.verdict)}</Badge></p>
      {open.length ? (
        <ul className="grid gap-0.5 text-xs">
          {open.map((it) => (
            <li key={`${it.gate.kind} ${it.gate.metric}`} className="flex gap-2">
              <span className="mr-auto">{metric(it.gate.metric)}</span>
              <span className="tabular-nums text-muted">{it.value === null || it.value === undefined ? <Trans>not known</Trans> : Number(it.value.toPrecision(3))} · {it.gate.comparison} {it.gate.threshold}</span>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}

function Review({ wave, document, onClose }: { wave: Wave; document: PlanDocument; onClose: () => void }) {
  const { t } = useLingui();
  const metric = useMetric();
  const surveys = useObjects("survey").filter((survey) => survey.status?.phase === "ready");
  const before = wave.spec.review;
  const asked = [...new Set((document.gates ?? []).map((gate) => gate.metric))].filter((name) => !MEASURED.includes(name));
  const [measured, setMeasured] = useState<string | null>(before?.measured ?? null);
  const [facts, setFacts] = useState<Record<string, string>>(() => Object.fromEntries(asked.map((name) => [name, String(before?.facts?.[name] ?? "")])));
  const stated = Object.entries(facts).filter(([, value]) => value.trim() !== "");
  const wrong = (name: string) => ((facts[name] ?? "").trim() !== "" && !Number.isFinite(Number(facts[name])) ? t`This is no number.` : undefined);
  const { busy, problem, submit } = useForm(async () => {
    const url = path("wave", wave.meta.name);
    // What was stated before and is not now is taken back.
    await patch(url, { spec: { review: null } });
    await patch(url, { spec: { review: { measured, facts: Object.fromEntries(stated.map(([name, value]) => [name, Number(value)])) } } });
    onClose();
  });
  return (
    <Dialog title={t`Review ${wave.spec.wave}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <Select label={t`Measured since the servers have moved`} value={measured} onChange={setMeasured} placeholder={t`Choose a survey`} choices={surveys.map((s) => ({ id: s.meta.name, name: s.meta.name }))} />
        <fieldset className="grid gap-3 sm:grid-cols-2">
          <legend className="mb-2 text-muted"><Trans>What loads do not tell. What is left empty is not known, and lets nothing pass. Shares go from 0 to 1.</Trans></legend>
          {asked.map((name) => <TextField key={name} label={metric(name)} value={facts[name] ?? ""} onChange={(value) => setFacts({ ...facts, [name]: value })} fault={wrong(name)} />)}
        </fieldset>
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Review`} busy={busy} isDisabled={!measured || asked.some((name) => wrong(name))} />
      </form>
    </Dialog>
  );
}
