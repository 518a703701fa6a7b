/** Collections: what is being measured now, and what has been. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { path } from "~/api/objects";
import type { Collection } from "~/api/planning";
import { useMay } from "~/api/session";
import { Ago, Panel, useNow } from "~/design/basics";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { Confirm, Menu } from "~/design/overlays";
import { CollectionState } from "./words";

export function Collections() {
  const { t, i18n } = useLingui();
  const collections = useObjects("collection");
  const { change } = useMay();
  const now = useNow();
  const [leaving, setLeaving] = useState<Collection>();
  const columns = useMemo<Column<Collection>[]>(() => [
    { id: "name", name: t`Name`, width: "minmax(7rem,1.2fr)", by: (c) => c.meta.name, cell: (c) => <RowLink to={`/collections/${c.meta.name}`}>{c.meta.name}</RowLink> },
    { id: "state", name: t`State`, width: "minmax(7rem,2fr)", by: (c) => c.status?.phase ?? "", cell: (c) => <CollectionState collection={c} /> },
    { id: "samples", name: t`Samples`, width: "6.5rem", wide: true, right: true, by: (c) => c.status?.report?.samples ?? 0, cell: (c) => (c.status?.report?.samples ?? 0).toLocaleString(i18n.locale) },
    { id: "heard", name: t`Heard`, width: "7rem", wide: true, by: (c) => c.status?.reported_at ?? "", cell: (c) => <Ago at={c.status?.reported_at} now={now} locale={i18n.locale} /> },
    {
      id: "do", name: "", width: "2.75rem",
      cell: (c) => change ? <Menu name={t`Actions for ${c.meta.name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setLeaving(c) }]} /> : null,
    },
  ], [t, i18n, change, now]);
  if (collections.length === 0) return null;
  return (
    <Panel title={<Trans>Collections</Trans>} flush>
      <DataTable name={t`Collections`} rows={collections} columns={columns} keyOf={(c) => c.meta.name} />
      {leaving ? <DeleteCollection collection={leaving} onClose={() => setLeaving(undefined)} /> : null}
    </Panel>
  );
}

export function DeleteCollection({ collection, onClose, onGone }: { collection: Collection; onClose: () => void; onGone?: () => void }) {
  const { t } = useLingui();
  const { name } = collection.meta;
  const confirm = async () => {
    await remove(path("collection", name));
    onGone?.();
  };
  return (
    <Confirm title={t`Delete the collection ${name}?`} action={t`Delete`} onClose={onClose} onConfirm={confirm}>
      <p><Trans>Its collector stops. Surveys that were made of it stay, and so do the samples where it has measured.</Trans></p>
    </Confirm>
  );
}
