/** What happened, for people: the newest first, as it happens. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Event } from "~/api/objects";
import { Badge, Button, Empty } from "~/design/basics";
import { type Column, DataTable, type Sort, useNarrow } from "~/design/DataTable";
import { Select, TextField } from "~/design/fields";
import { Page } from "~/shell/Page";
import { moment } from "~/words/format";
import { toneOf, useWord } from "~/words/states";
import { EventRows, Subject, useEvents } from "./parts/EventList";

const SHOWN = 100;
const NEWEST: Sort = { id: "", down: false };

export function Events() {
  const { t, i18n } = useLingui();
  const word = useWord();
  const { level, about } = useSearch({ from: "/shell/events" });
  const navigate = useNavigate({ from: "/events" });
  const all = useEvents();
  const narrow = useNarrow();
  const [shown, setShown] = useState(SHOWN);
  const rows = useMemo(
    () => all.filter((e) => (!level || e.spec.level === level) && (!about || `${e.spec.about.kind}/${e.spec.about.name}`.includes(about))),
    [all, level, about],
  );
  const columns = useMemo<Column<Event>[]>(
    () => [
      { id: "at", name: t`Time`, width: "11.5rem", wide: true, cell: (e) => moment(e.spec.at, i18n.locale) },
      { id: "level", name: t`Level`, width: "6.5rem", cell: (e) => <Badge tone={e.spec.level === "info" ? "idle" : toneOf(e.spec.level)}>{word(e.spec.level)}</Badge> },
      { id: "about", name: t`About`, width: "minmax(8rem,1.6fr)", cell: (e) => <Subject kind={e.spec.about.kind} name={e.spec.about.name} /> },
      { id: "reason", name: t`Reason`, width: "10.5rem", wide: true, cell: (e) => word(e.spec.reason) },
      { id: "host", name: t`Host`, width: "5rem", wide: true, cell: (e) => e.spec.host ?? "" },
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
        {narrow ? (
          // In a table on a narrow screen nothing of a message could be read.
          <>
            <EventRows events={rows.slice(0, shown)} />
            {rows.length > shown ? <div className="p-2 text-center border-t border-line"><Button onPress={() => setShown(shown + SHOWN)}><Trans>Older ones</Trans></Button></div> : null}
          </>
        ) : <DataTable name={t`Events`} rows={rows} columns={columns} keyOf={(e) => e.meta.name} sort={NEWEST} onSort={() => {}} empty={<Empty icon="event" title={<Trans>Nothing has happened yet.</Trans>} />} />}
      </section>
    </Page>
  );
}
