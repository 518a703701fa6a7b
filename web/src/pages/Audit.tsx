/** Who changed what: the hash-chained log. It is asked for anew whenever something changes. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { get } from "~/api/client";
import type { AuditRecord } from "~/api/objects";
import { Button, Empty } from "~/design/basics";
import { type Column, DataTable, type Sort } from "~/design/DataTable";
import { ProblemNote, asProblem } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { moment } from "~/words/format";
import { useWord } from "~/words/states";
import { Subject } from "./parts/EventList";

interface Records {
  items: AuditRecord[];
  before?: number;
}

const NEWEST: Sort = { id: "", down: false };
const SETTLE_MS = 400;

export function Audit() {
  const { t, i18n } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const { data, error, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["audit"],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam, signal }) => get<Records>("/v1/audit", { query: { limit: 200, before: pageParam }, signal }),
    getNextPageParam: (page) => page.before,
  });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = client.getQueryCache().subscribe((event) => {
      if (event.type !== "updated" || event.query.queryKey[0] !== "objects" || event.action.type !== "success") return;
      clearTimeout(timer);
      timer = setTimeout(() => void client.invalidateQueries({ queryKey: ["audit"] }), SETTLE_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [client]);
  const rows = useMemo(() => data?.pages.flatMap((page) => page.items) ?? [], [data]);
  const columns = useMemo<Column<AuditRecord>[]>(
    () => [
      { id: "sequence", name: t`No.`, width: "5rem", wide: true, right: true, cell: (r) => r.sequence },
      { id: "at", name: t`Time`, width: "11.5rem", wide: true, cell: (r) => moment(r.at, i18n.locale) },
      { id: "principal", name: t`Who`, width: "minmax(6rem,1fr)", cell: (r) => <span className="font-medium">{r.principal}</span> },
      { id: "verb", name: t`Did`, width: "minmax(6rem,1fr)", cell: (r) => <span title={r.verb}>{word(r.verb)}</span> },
      { id: "what", name: t`What`, width: "minmax(8rem,1.5fr)", cell: (r) => <Subject kind={r.kind} name={r.name} /> },
      { id: "from", name: t`From`, width: "minmax(8rem,1fr)", wide: true, cell: (r) => <span className="font-mono text-xs">{r.from}</span> },
      { id: "hash", name: t`Hash`, width: "7rem", wide: true, cell: (r) => <code title={r.hash}>{r.hash.slice(0, 12)}</code> },
    ],
    [t, word, i18n.locale],
  );
  return (
    <Page title={t`Audit`} titleText={t`Audit`} cli={["tabane audit verify"]}>
      {error ? <ProblemNote problem={asProblem(error)} /> : null}
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Audit`} rows={rows} columns={columns} keyOf={(r) => String(r.sequence)} sort={NEWEST} onSort={() => {}} empty={<Empty icon="audit" title={<Trans>Nothing was changed yet.</Trans>} />} />
        {hasNextPage ? <div className="p-2 text-center"><Button busy={isFetchingNextPage} onPress={() => void fetchNextPage()}><Trans>Older ones</Trans></Button></div> : null}
      </section>
    </Page>
  );
}
