/** Words and figures that all pages of plans share. */
import { Trans, useLingui } from "@lingui/react/macro";
import type { Plan, TrialBreach } from "~/api/planning";
import { Phase } from "~/design/basics";

/** A small share, such as of time: 0.012 %. */
export function share(of: number | null | undefined): string {
  if (of === null || of === undefined) return "–";
  const percent = of * 100;
  return `${percent === 0 || percent >= 0.1 ? percent.toFixed(percent === 0 ? 0 : 1) : percent.toPrecision(2)} %`;
}

export function useResource() {
  const { t } = useLingui();
  const words: Record<string, string> = {
    cpu_mhz: t`CPU`, memory_mib: t`Memory`, disk_gib: t`Disk space`, disk_kbs: t`Disk throughput`, disk_iops: t`Disk operations`, net_rx_kbs: t`Network in`, net_tx_kbs: t`Network out`,
  };
  return (name: string) => words[name] ?? name;
}

/** Positions of costs. */
export function useCostItem() {
  const { t } = useLingui();
  const words: Record<string, string> = {
    hardware: t`Hardware of hosts`, maintenance: t`Hardware maintenance`, power: t`Power`, cooling: t`Cooling and losses`, space: t`Rack space`, network: t`Network`, storage: t`Storage`,
    software: t`Software and licences`, support: t`Support`, administration: t`Administration`, migration: t`Migration`, double_running: t`Double running`, training: t`Training`, disposal: t`Disposal`,
  };
  return (item: string) => words[item] ?? item;
}

/** What is not kept, in the reader's language. */
export function useBreach() {
  const { t } = useLingui();
  const resource = useResource();
  return (breach: TrialBreach): string => {
    const [one = "", other = ""] = breach.names;
    switch (breach.kind) {
      case "overload": return t`${resource(one)} is asked for more than is planned for`;
      case "apart": return t`${one} and ${other} are kept apart, and share this host`;
      case "domain": return t`Of the group ${one} two are in one failure domain`;
      case "together": return t`The group ${one} stays together, and is on several hosts`;
      case "host-type": return t`${one} may not be on a host of type ${other}`;
      case "count": return t`There are not so many hosts of type ${one}`;
      default: return breach.text;
    }
  };
}

/** How far it is; what it waits for, or why it failed. */
export function PlanState({ plan }: { plan: Plan }) {
  const { i18n } = useLingui();
  const { phase = "pending", progress, message } = plan.status ?? {};
  const turns = progress?.turns.toLocaleString(i18n.locale);
  const seconds = progress?.seconds ?? 0;
  const cost = progress?.cost?.toLocaleString(i18n.locale);
  const told = phase === "making" ? (cost ? <Trans>{cost} after {turns} attempts, {seconds} s</Trans> : <Trans>a first plan, {seconds} s</Trans>) : message;
  return <span className="inline-flex items-center gap-2 min-w-0 max-w-full"><Phase phase={phase} /><span className="truncate text-muted" title={message}>{told}</span></span>;
}

/** What gates ask for. */
export function useMetric() {
  const { t } = useLingui();
  const words: Record<string, string> = {
    migrations_failed_share: t`Migrations that failed`, guests_answering_share: t`Guests that answer`, critical_alerts: t`Critical alerts`,
    backups_failed_share: t`Backups that failed`, sources_switched_off_share: t`Old servers switched off`, saving_realised_share: t`Savings realised`,
    days_watched: t`Days watched`, host_overloaded_share: t`Time overloaded`, cpu_peak_over_planned: t`CPU peak to plan`, memory_peak_over_planned: t`Memory peak to plan`,
  };
  return (name: string) => words[name] ?? name;
}

export function useVerdict() {
  const { t } = useLingui();
  const words = { pass: t`The next wave may begin`, wait: t`Not passed yet`, stop: t`Stop: move no further server`, roll_back: t`Roll back` };
  return (verdict: keyof typeof words) => words[verdict];
}
