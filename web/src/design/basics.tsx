/** The small parts that every page is made of. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import {
  Button as AriaButton,
  type ButtonProps as AriaButtonProps,
  Tooltip as AriaTooltip,
  TooltipTrigger,
} from "react-aria-components";
import type { Condition, Progress } from "~/api/objects";
import { ago as agoText, percent } from "~/words/format";
import { type Tone, toneOf, useWord } from "~/words/states";
import { Icon, type IconName } from "./Icon";

type Look = "primary" | "secondary" | "ghost" | "danger";

const LOOKS: Record<Look, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-hover border-transparent font-medium",
  secondary: "bg-surface text-text border-line-strong/60 hover:bg-sunken",
  ghost: "bg-transparent text-text border-transparent hover:bg-sunken",
  danger: "bg-bad text-on-bad border-transparent hover:bg-bad-hover font-medium",
};
const BUTTON =
  "inline-flex items-center justify-center gap-1.5 h-8 px-3 rounded-md border text-[13px] whitespace-nowrap select-none transition-colors data-[disabled]:opacity-50 data-[disabled]:pointer-events-none";

export interface ButtonProps extends Omit<AriaButtonProps, "children" | "className"> {
  look?: Look;
  icon?: IconName;
  busy?: boolean;
  children?: ReactNode;
  small?: boolean;
}

export function Button({ look = "secondary", icon, busy, children, small, ...rest }: ButtonProps) {
  const size = small ? " !h-7 !px-2" : "";
  return (
    <AriaButton {...rest} isDisabled={Boolean(busy) || Boolean(rest.isDisabled)} className={`${BUTTON} ${LOOKS[look]}${size}`}>
      {busy ? <Icon name="spinner" /> : icon ? <Icon name={icon} /> : null}
      {children}
    </AriaButton>
  );
}

/** A button that is a picture; its name is a tooltip and what screen readers say. */
export function IconButton({ icon, name, ...rest }: AriaButtonProps & { icon: IconName; name: string }) {
  return (
    <TooltipTrigger delay={400}>
      <AriaButton {...rest} aria-label={name} className={`${BUTTON} ${LOOKS.ghost} !w-8 !px-0 text-muted hover:text-text`}>
        <Icon name={icon} />
      </AriaButton>
      <AriaTooltip offset={6} className="rounded-md bg-text px-2 py-1 text-xs text-surface shadow-pop">
        {name}
      </AriaTooltip>
    </TooltipTrigger>
  );
}

export function ButtonLink({ to, params, search, look = "secondary", icon, children }: {
  to: string;
  params?: Record<string, string>;
  search?: Record<string, unknown>;
  look?: Look;
  icon?: IconName;
  children: ReactNode;
}) {
  return (
    <Link to={to} params={params as never} search={search as never} className={`${BUTTON} ${LOOKS[look]}`}>
      {icon ? <Icon name={icon} /> : null}
      {children}
    </Link>
  );
}

const TONES: Record<Tone, string> = {
  good: "text-good bg-good-soft",
  warn: "text-warn bg-warn-soft",
  bad: "text-bad bg-bad-soft",
  busy: "text-busy bg-busy-soft",
  idle: "text-idle bg-idle-soft",
};

export function Badge({ tone = "idle", children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span className={`inline-flex align-middle items-center gap-1.5 rounded-full px-2 h-5 text-xs font-medium whitespace-nowrap ${TONES[tone]}`}>
      {children}
    </span>
  );
}

/** A phase, as a word and a colour; work under way pulses. */
export function Phase({ phase }: { phase: string }) {
  const word = useWord();
  const tone = toneOf(phase);
  return (
    <Badge tone={tone}>
      <span aria-hidden className={`size-1.5 rounded-full bg-current ${tone === "busy" ? "animate-[pulse-dot_1.2s_ease-in-out_infinite]" : ""}`} />
      {word(phase)}
    </Badge>
  );
}

export function Panel({ title, actions, children, flush }: { title?: ReactNode; actions?: ReactNode; children: ReactNode; flush?: boolean }) {
  return (
    <section className="rounded-lg border border-line bg-surface min-w-0">
      {title ? (
        <header className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-1.5 min-h-11 border-b border-line">
          <h2 className="text-[13px] mr-auto">{title}</h2>
          {actions}
        </header>
      ) : null}
      <div className={flush ? "" : "p-4"}>{children}</div>
    </section>
  );
}

/** Names and values of one object. */
export function Facts({ facts }: { facts: [ReactNode, ReactNode][] }) {
  return (
    <dl className="grid grid-cols-[minmax(7.5rem,auto)_1fr] gap-x-4 gap-y-1.5">
      {facts.map(([name, value], i) => (
        <div key={i} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="min-w-0 break-words">{value ?? "–"}</dd>
        </div>
      ))}
    </dl>
  );
}

/** How much of something is taken. */
export function Meter({ name, used, total, told, calm }: { name: string; used: number; total: number; told: string; /** May well be full. */ calm?: boolean }) {
  const ratio = total > 0 ? Math.min(1, used / total) : 0;
  const tone = calm ? "bg-accent" : ratio > 0.9 ? "bg-bad" : ratio > 0.75 ? "bg-warn" : "bg-accent";
  return (
    <div>
      <div className="flex justify-between gap-2 mb-1">
        <span>{name}</span>
        <span className="text-muted">{told}</span>
      </div>
      <div role="meter" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(ratio * 100)} aria-valuetext={told}
        className="h-1.5 rounded-full bg-idle-soft overflow-hidden">
        <div className={`h-full rounded-full ${tone} transition-[width] duration-300`} style={{ width: `${ratio * 100}%` }} />
      </div>
    </div>
  );
}

export function ProgressLine({ progress, label }: { progress: Progress | null | undefined; label: string }) {
  const word = useWord();
  if (!progress) return null;
  const told = [word(progress.step), progress.detail].filter(Boolean).join(" · ");
  const value = Math.round(progress.fraction * 100);
  return (
    <div className="min-w-32">
      <div role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value} aria-valuetext={`${told} ${value} %`}
        className="h-1.5 rounded-full bg-busy-soft overflow-hidden">
        <div className="h-full rounded-full bg-busy transition-[width] duration-300" style={{ width: `${Math.max(2, value)}%` }} />
      </div>
      <div className="text-xs text-muted mt-0.5 truncate">{told} · {percent(progress.fraction)}</div>
    </div>
  );
}

export function Conditions({ conditions }: { conditions: Condition[] | undefined }) {
  const word = useWord();
  const now = useNow();
  const { i18n } = useLingui();
  if (!conditions?.length) return <p className="text-muted"><Trans>No conditions yet.</Trans></p>;
  return (
    <ul className="grid gap-2">
      {conditions.map((c) => (
        <li key={c.kind} className="flex gap-2">
          <span className={c.met ? "text-good" : "text-warn"}><Icon name={c.met ? "check" : "alert"} /></span>
          <span className="min-w-0">
            <span className="font-medium">{word(c.kind)}</span>
            <span className="text-muted"> · {word(c.reason)} · <Ago at={c.since} now={now} locale={i18n.locale} /></span>
            {c.message ? <span className="block break-words">{c.message}</span> : null}
          </span>
        </li>
      ))}
    </ul>
  );
}

export function Labels({ labels, short }: { labels: Record<string, string> | undefined; /** On one line, with all of them as its tooltip. */ short?: boolean }) {
  const all = Object.entries(labels ?? {});
  if (all.length === 0) return null;
  return (
    <span className={`inline-flex gap-1 ${short ? "max-w-full overflow-hidden align-middle" : "flex-wrap"}`} title={short ? all.map(([key, value]) => `${key}=${value}`).join("\n") : undefined}>
      {all.map(([key, value]) => (
        <span key={key} className="rounded bg-sunken border border-line px-1.5 text-xs font-mono leading-[18px] whitespace-nowrap">{key}={value}</span>
      ))}
    </span>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: ReactNode; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-3 py-14 px-4 text-center">
      <span className="grid place-items-center size-11 rounded-full bg-sunken text-muted"><Icon name={icon} size={20} /></span>
      <p className="font-medium text-sm">{title}</p>
      {children}
    </div>
  );
}

/** The present, told anew every so often. */
export function useNow(everyMs = 5_000): number {
  const [now, set] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ at, now, locale }: { at: string | null | undefined; now: number; locale: string }) {
  return <time dateTime={at ?? undefined} title={at ? new Date(at).toLocaleString(locale) : undefined}>{agoText(at, now, locale)}</time>;
}
