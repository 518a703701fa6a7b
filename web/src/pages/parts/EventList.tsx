/** What happened, the newest first. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo } from "react";
import { useObjects } from "~/api/live";
import type { Event } from "~/api/objects";
import { Ago, Badge, useNow } from "~/design/basics";
import { RowLink } from "~/design/DataTable";
import { toneOf, useWord } from "~/words/states";

/** Those that have a page of their own, and the lists that the others are in. */
const PAGES: Record<string, string> = { vm: "/vms/", host: "/hosts/" };
const LISTS: Record<string, string> = { image: "/images", disk: "/disks", network: "/networks", pool: "/pools", flavor: "/flavors", token: "/tokens" };

export function Subject({ kind, name }: { kind: string; name: string }) {
  const to = PAGES[kind] ? PAGES[kind] + name : LISTS[kind];
  const told = <span className="font-mono text-xs">{kind}/{name}</span>;
  return to ? <RowLink to={to}>{told}</RowLink> : told;
}

export function useEvents(about?: { kind: string; name: string }): readonly Event[] {
  const all = useObjects("event");
  const [kind, name] = [about?.kind, about?.name];
  return useMemo(() => {
    const found = kind === undefined ? all.slice() : all.filter((e) => e.spec.about.kind === kind && e.spec.about.name === name);
    return found.reverse();
  }, [all, kind, name]);
}

export function EventList({ about, limit = 50 }: { about?: { kind: string; name: string }; limit?: number }) {
  return <EventRows events={useEvents(about).slice(0, limit)} bare={about !== undefined} />;
}

/** `bare` without what they are about, where that is clear. */
export function EventRows({ events, bare = false }: { events: readonly Event[]; bare?: boolean }) {
  const { i18n } = useLingui();
  const word = useWord();
  const now = useNow();
  if (events.length === 0) return <p className="p-4 text-muted"><Trans>Nothing has happened yet.</Trans></p>;
  return (
    <ul className="divide-y divide-line/70">
      {events.map((e) => (
        <li key={e.meta.name} className="grid grid-cols-[1fr_auto] sm:grid-cols-[auto_1fr_auto] gap-x-3 gap-y-0.5 items-baseline px-4 py-2">
          <span><Badge tone={e.spec.level === "info" ? "idle" : toneOf(e.spec.level)}>{word(e.spec.reason)}</Badge></span>
          <span className="min-w-0 wrap-anywhere max-sm:order-last max-sm:col-span-2">
            {bare ? null : <><Subject kind={e.spec.about.kind} name={e.spec.about.name} />{" "}</>}
            {e.spec.message}
          </span>
          <span className="text-xs text-muted whitespace-nowrap"><Ago at={e.spec.at} now={now} locale={i18n.locale} /></span>
        </li>
      ))}
    </ul>
  );
}
