/** What if load grows, hosts are filled less, or more risk is accepted: each is another plan of the same survey. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Label, Slider, SliderThumb, SliderTrack } from "react-aria-components";
import { post } from "~/api/client";
import { useObjects } from "~/api/live";
import { path } from "~/api/objects";
import type { Plan, PlanSpec } from "~/api/planning";
import { Button, Panel } from "~/design/basics";
import { TextField } from "~/design/fields";
import { ProblemNote, useForm } from "~/design/overlays";
import { Cli } from "~/design/Cli";
import { FillHint } from "./FillHint";
import { share } from "./words";

const RISKS = [0, 0.00001, 0.0001, 0.001, 0.01, 0.05];

function Slide({ label, told, value, onChange, min, max, step }: { label: string; told: string; value: number; onChange: (value: number) => void; min: number; max: number; step: number }) {
  return (
    <Slider value={value} onChange={(v) => onChange(Array.isArray(v) ? (v[0] ?? min) : v)} minValue={min} maxValue={max} step={step} className="grid gap-1">
      <div className="flex justify-between gap-2"><Label className="font-medium">{label}</Label><span className="tabular-nums text-muted">{told}</span></div>
      <SliderTrack className="relative h-6 w-full before:absolute before:inset-x-0 before:top-1/2 before:h-1.5 before:-translate-y-1/2 before:rounded-full before:bg-idle-soft">
        <SliderThumb className="top-1/2 size-4.5 rounded-full bg-accent border-2 border-surface shadow-pop data-[focus-visible]:outline-2 outline-offset-2 outline-accent" />
      </SliderTrack>
    </Slider>
  );
}

export function WhatIf({ plan }: { plan: Plan }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const plans = useObjects("plan");
  const policy: Partial<NonNullable<PlanSpec["policy"]>> = plan.spec.policy ?? {};
  const growth: Partial<NonNullable<typeof policy.growth>> = policy.growth ?? {};
  const [cpu, setCpu] = useState(growth.cpu_percent ?? 0);
  const [memory, setMemory] = useState(growth.memory_percent ?? 0);
  const [fill, setFill] = useState(Math.round((policy.fill_max ?? 0.9) * 100));
  const accepted = policy.overload_share ?? 0.0001;
  const [risk, setRisk] = useState(Math.max(0, RISKS.findIndex((r) => r >= accepted)));
  const [touchedRisk, setTouchedRisk] = useState(false);
  const suggested = () => {
    for (let i = 2; ; i++) if (!plans.some((p) => p.meta.name === `${plan.meta.name}-${i}`)) return `${plan.meta.name}-${i}`;
  };
  const [name, setName] = useState(suggested);
  const overload = touchedRisk ? (RISKS[risk] ?? accepted) : accepted;
  // While a host has failed the others carry no less than before.
  const failed = Math.max(policy.fill_failed ?? 1, fill / 100);
  const changes: [string, number, number][] = [
    ["growth.cpu_percent", cpu, growth.cpu_percent ?? 0],
    ["growth.memory_percent", memory, growth.memory_percent ?? 0],
    ["fill_max", fill / 100, policy.fill_max ?? 0.9],
    ["fill_failed", failed, policy.fill_failed ?? 1],
    ["overload_share", overload, accepted],
  ];
  const changed = changes.filter(([, now, was]) => Math.abs(now - was) > 1e-9);
  const { busy, problem, submit, fault } = useForm(async () => {
    const next = { ...policy, growth: { ...growth, cpu_percent: cpu, memory_percent: memory }, fill_max: fill / 100, fill_failed: failed, overload_share: overload };
    const note = changed.map(([key, now]) => `${key}=${now}`).join(", ");
    await post(path("plan"), { meta: { name }, spec: { ...plan.spec, policy: next, note } });
    await navigate({ to: `/plans/${name}/compare`, search: {} as never });
  });
  const command = ["tabane plan create", name || "NAME", "--survey", plan.spec.survey, "--hosts hosts.toml --policy policy.toml", ...changed.map(([key, now]) => `--set ${key}=${now}`)].join(" ");
  return (
    <Panel title={<Trans>Another plan of the same survey</Trans>}>
      <form onSubmit={submit} className="grid gap-5 max-w-2xl">
        <div className="grid gap-5 sm:grid-cols-2">
          <Slide label={t`Growth of CPU load`} told={`${cpu} %`} value={cpu} onChange={setCpu} min={-50} max={200} step={5} />
          <Slide label={t`Growth of memory`} told={`${memory} %`} value={memory} onChange={setMemory} min={-50} max={200} step={5} />
          <Slide label={t`Fill hosts to`} told={`${fill} %`} value={fill} onChange={setFill} min={40} max={200} step={1} />
          <Slide label={t`Accepted overload`} told={share(overload)} value={risk} onChange={(v) => { setRisk(v); setTouchedRisk(true); }} min={0} max={RISKS.length - 1} step={1} />
        </div>
        <FillHint percent={fill} />
        <div className="w-72 max-w-full"><TextField label={t`Name of the other plan`} value={name} onChange={setName} mono isRequired fault={fault("meta.name")} /></div>
        {problem ? <ProblemNote problem={problem} /> : null}
        <Cli commands={[command]} />
        <div><Button type="submit" look="primary" busy={busy} isDisabled={!name || changed.length === 0}><Trans>Make it</Trans></Button></div>
      </form>
    </Panel>
  );
}
