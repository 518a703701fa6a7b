/** What happened, for people: the newest first, as it happens. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Event } from "~/api/objects";
import { Badge, Empty } from "~/design/basics";
import { type Column, DataTable, type Sort } from "~/design/DataTable";
import { Select, TextField } from "~/design/fields";
import { Page } from "~/shell/Page";
import { moment } from "~/words/format";
import { toneOf, useWord } from "~/words/states";
import { Subject, useEvents } from "./parts/EventList";

const NEWEST: Sort = { id: "", down: false };

export function Events() {
  const { t, i18n } = useLingui();
  const word = useWord();
  const { level, about } = useSearch({ from: "/shell/events" });
  const navigate = useNavigate({ from: "/events" });
  const all = useEvents();
  const rows = useMemo(
    () => all.filter((e) => (!level || e.spec.level === level) && (!about || `${e.spec.about.kind}/${e.spec.about.name}`.includes(about))),
    [all, level, about],
  );
  const columns = useMemo<Column<Event>[]>(
    () => [
      { id: "at", name: t`Time`, width: "11.5rem", wide: true, cell: (e) => moment(e.spec.at, i18n.locale) },
      { id: "level", name: t`Level`, width: "6.5rem", cell: (e) => <Badge tone={e.spec.level === "info" ? "idle" : toneOf(e.spec.level)}>{word(e.spec.level)}</Badge> },
      { id: "about", name: t`About`, width: "minmax(8rem,1fr)", cell: (e) => <Subject kind={e.spec.about.kind} name={e.spec.about.name} /> },
      { id: "reason", name: t`Reason`, width: "minmax(6rem,.8fr)", wide: true, cell: (e) => word(e.spec.reason) },
      { id: "host", name: t`Host`, width: "6rem", wide: true, cell: (e) => e.spec.host ?? "" },
      { id: "message", name: t`Message`, width: "minmax(9rem,3fr)", cell: (e) => <span title={e.spec.message}>{e.spec.message}</span> },
    ],
    [t, word, i18n.locale],
  );
  const search = (change: { level?: string | undefined; about?: string | undefined }) => void navigate({ search: (s) => ({ ...s, ...change }) as typeof s, replace: true });
  return (
    <Page title={t`Events`} titleText={t`Events`} cli={[`tabane event list${about ? ` --about ${about}` : ""} --watch`]}>
      <section className="rounded-lg border border-line bg-surface">
        <div className="flex flex-wrap items-end gap-3 p-2 border-b border-line">
          <div className="w-40"><Select label={t`Level`} value={level ?? "all"} onChange={(v) => search({ level: v === "all" ? undefined : v })}
            choices={[{ id: "all", name: t`All` }, { id: "info", name: word("info") }, { id: "warning", name: word("warning") }, { id: "error", name: word("error") }]} /></div>
          <div className="w-full sm:w-64"><TextField label={t`About`} value={about ?? ""} placeholder="vm/web1" mono onChange={(v) => search({ about: v || undefined })} /></div>
        </div>
        <DataTable name={t`Events`} rows={rows} columns={columns} keyOf={(e) => e.meta.name} sort={NEWEST} onSort={() => {}} empty={<Empty icon="event" title={<Trans>Nothing has happened yet.</Trans>} />} />
      </section>
    </Page>
  );
}
