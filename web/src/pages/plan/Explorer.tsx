/**
 * The plan as hosts with servers on them, which can be dragged to others by mouse, finger or keyboard.
 *
 * What is seen is the plan with the moves of now. Each move is tried by the server, and nothing of it is kept there:
 *
 *   document + moves ──► hosts with their servers          POST …/try ──► fit, risk and cost of those that are touched
 */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import type { Plan, PlanDocument, Trial, TrialHost, TrialMove } from "~/api/planning";
import { trialQuery } from "~/api/planning";
import { Button, Panel } from "~/design/basics";
import { TextField } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { ProblemNote, asProblem } from "~/design/overlays";
import { HostCard, type ShownHost } from "./HostCard";
import { useBreach } from "./words";

/** More are shown when asked for: each is a list of its own. */
const SHOWN = 24;

/** The plan's hosts after these moves, and a new one of each type to drag to. */
function placed(document: PlanDocument, moves: TrialMove[], tried: ReadonlyMap<string, TrialHost>): ShownHost[] {
  const home = new Map<string, string>();
  const types = new Map<string, string>();
  for (const host of document.hosts) {
    if (host.spare) continue;
    types.set(host.id, host.host_type);
    for (const server of host.servers) home.set(server, host.id);
  }
  const before = new Map(home);
  for (const move of moves) {
    home.set(move.server, move.host);
    if (!types.has(move.host)) types.set(move.host, move.host_type ?? "");
  }
  const servers = new Map<string, string[]>([...types.keys()].map((id) => [id, []]));
  for (const [server, host] of home) servers.get(host)?.push(server);
  return [...types].map(([id, hostType]) => ({
    id,
    hostType,
    servers: (servers.get(id) ?? []).sort(),
    planned: document.hosts.find((host) => host.id === id),
    trial: tried.get(id),
    fill: document.assumptions.fill,
    isMoved: (server: string) => before.get(server) !== id,
  }));
}

export function Explorer({ plan, document }: { plan: Plan; document: PlanDocument }) {
  const { t } = useLingui();
  const [moves, setMoves] = useState<TrialMove[]>([]);
  const [text, setText] = useState("");
  const [shown, setShown] = useState(SHOWN);
  const { data, error, isFetching } = useQuery({ ...trialQuery(plan, moves), placeholderData: keepPreviousData });
  const trial = moves.length > 0 ? data : undefined;
  const tried = useMemo(() => new Map((trial?.hosts ?? []).map((host) => [host.id, host])), [trial]);
  const hosts = useMemo(() => placed(document, moves, tried), [document, moves, tried]);
  const found = hosts.filter((host) => !text || host.id.includes(text) || host.servers.some((server) => server.includes(text)));
  const touched = new Set(moves.map((move) => move.host));
  // A host that somebody moves servers to stays in sight.
  const seen = found.filter((host, i) => i < shown || touched.has(host.id));
  const types = document.assumptions.host_types;
  const move = (servers: string[], host: string, hostType?: string) => {
    const elsewhere = servers.filter((server) => !hosts.find((h) => h.id === host)?.servers.includes(server));
    if (elsewhere.length) setMoves([...moves, ...elsewhere.map((server) => ({ server, host, ...(hostType ? { host_type: hostType } : {}) }))]);
  };
  // The first name that is free.
  const free = (hostType: string) => {
    for (let i = 1; ; i++) if (!hosts.some((host) => host.id === `${hostType}-new-${i}`)) return `${hostType}-new-${i}`;
  };
  return (
    <div className="grid gap-3">
      <div className="flex flex-wrap items-end gap-3">
        <div className="w-64 max-w-full"><TextField label={t`Find a host or a server`} value={text} onChange={(v) => { setText(v); setShown(SHOWN); }} /></div>
        <p className="text-muted text-[13px] pb-1.5 mr-auto max-w-prose"><Trans>Drag a server to another host to see what that would change. With the keyboard: arrow keys to its handle, Enter, Tab to a host, Enter.</Trans></p>
        <Button icon="undo" isDisabled={moves.length === 0} onPress={() => setMoves(moves.slice(0, -1))}><Trans>Undo</Trans></Button>
        <Button isDisabled={moves.length === 0} onPress={() => setMoves([])}><Trans>As planned</Trans></Button>
      </div>
      {error && moves.length ? <ProblemNote problem={asProblem(error)} /> : null}
      {moves.length ? <Verdict trial={trial} count={moves.length} busy={isFetching} /> : null}
      <div className="grid gap-3 items-start grid-cols-[repeat(auto-fill,minmax(min(17rem,100%),1fr))]">
        {seen.map((host) => <HostCard key={host.id} host={host} onDrop={(servers) => move(servers, host.id, host.planned ? undefined : host.hostType)} />)}
        {types.map((type) => (
          <HostCard key={`new ${type.name}`} host={{ id: "", hostType: type.name, servers: [], planned: undefined, trial: undefined, fill: 1, isMoved: () => false }}
            onDrop={(servers) => move(servers, free(type.name), type.name)} />
        ))}
      </div>
      {found.length > seen.length ? <div><Button onPress={() => setShown(shown + SHOWN)}><Plural value={found.length - seen.length} one="Show # more host" other="Show # more hosts" /></Button></div> : null}
      {document.unplaced.length ? (
        <Panel title={<Trans>Servers without a host</Trans>}>
          <ul className="grid gap-1">{document.unplaced.slice(0, 200).map((u) => <li key={u.server}><span className="font-medium">{u.server}</span> <span className="text-muted">{u.reason}</span></li>)}</ul>
        </Panel>
      ) : null}
    </div>
  );
}

/** What the moves come to. */
function Verdict({ trial, count, busy }: { trial: Trial | undefined; count: number; busy: boolean }) {
  const { i18n } = useLingui();
  const breach = useBreach();
  if (!trial) return <p role="status" className="flex gap-2 text-muted"><Icon name="spinner" /><Trans>Trying…</Trans></p>;
  const bad = !trial.fits || trial.reserve_holds === false;
  const money = (before: number, after: number) => {
    const form = new Intl.NumberFormat(i18n.locale, { signDisplay: "exceptZero", maximumFractionDigits: 0 });
    return form.format(after - before);
  };
  const broken = [...trial.hosts.flatMap((host) => host.breaches.map((b) => `${host.id}: ${breach(b)}`)), ...trial.breaches.map(breach)];
  return (
    <section role="status" className={`sticky top-13 z-10 rounded-lg border px-4 py-2.5 ${bad ? "border-bad/50 bg-bad-soft" : "border-good/50 bg-good-soft"} ${busy ? "opacity-70" : ""}`}>
      <p className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <span className={`inline-flex items-center gap-1.5 font-medium ${bad ? "text-bad" : "text-good"}`}><Icon name={bad ? "alert" : "check"} />{trial.fits ? <Trans>It fits</Trans> : <Trans>It does not fit</Trans>}</span>
        <span><Plural value={count} one="# move" other="# moves" /></span>
        <span><Trans>Cost of hosts</Trans> <b className="tabular-nums">{money(trial.cost.hosts_before, trial.cost.hosts_after)}</b></span>
        {trial.cost.licences_after !== undefined && trial.cost.licences_after !== null ? <span><Trans>Licences</Trans> <b className="tabular-nums">{money(trial.cost.licences_before ?? 0, trial.cost.licences_after)} {trial.cost.currency}</b></span> : null}
        {trial.reserve_holds === null || trial.reserve_holds === undefined ? <span className="text-muted"><Trans>Takeovers are found when a plan is made.</Trans></span> : null}
      </p>
      {broken.length || trial.reserve_holds === false ? (
        <ul className="mt-1 grid gap-0.5">
          {broken.map((told) => <li key={told}>{told}</li>)}
          {trial.reserve_holds === false ? <li><Trans>The failures that the plan promises are not absorbed any more: no spare host can take over all of a host.</Trans></li> : null}
        </ul>
      ) : null}
    </section>
  );
}
