/** All disks, with or without a VM. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Disk, diskPhase, isUnplaced, path } from "~/api/objects";
import { useMay } from "~/api/session";
import { Badge, Button, Empty, Phase } from "~/design/basics";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { NumberField, Select, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { useWord } from "~/words/states";
import { Grow } from "./vm/Devices";

const GIB = 2 ** 30;

export function Disks() {
  const { t } = useLingui();
  const word = useWord();
  const disks = useObjects("disk");
  const { change } = useMay();
  const [asked, setAsked] = useState<{ what: "create" } | { what: "delete" | "grow"; disk: Disk }>();
  const close = () => setAsked(undefined);
  const columns = useMemo<Column<Disk>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(9rem,1.5fr)", by: (d) => d.meta.name, cell: (d) => <span className="font-medium">{d.meta.name}</span> },
      { id: "phase", name: t`State`, width: "minmax(6rem,1fr)", by: diskPhase, cell: (d) => (isUnplaced(d) ? <span title={t`It is made when it is attached to a VM.`}><Badge><Trans>not made yet</Trans></Badge></span> : <Phase phase={diskPhase(d)} />) },
      { id: "vm", name: "VM", width: "minmax(6rem,1fr)", by: (d) => d.spec.vm ?? "", cell: (d) => (d.spec.vm ? <RowLink to={`/vms/${d.spec.vm}`}>{d.spec.vm}</RowLink> : <span className="text-muted"><Trans>none</Trans></span>) },
      { id: "size", name: t`Size`, width: "6rem", wide: true, right: true, by: (d) => d.status?.size_bytes ?? 0, cell: (d) => bytes(d.status?.size_bytes || d.spec.size_bytes) },
      { id: "used", name: t`Used`, width: "6rem", wide: true, right: true, by: (d) => d.status?.used_bytes ?? 0, cell: (d) => bytes(d.status?.used_bytes) },
      { id: "image", name: t`Image`, width: "minmax(8rem,1.2fr)", wide: true, by: (d) => d.spec.image ?? "", cell: (d) => (d.spec.image ? <>{d.spec.image} <span className="text-muted">· {word(d.spec.clone ?? "linked")}</span></> : "–") },
      { id: "pool", name: t`Pool`, width: "5.5rem", wide: true, by: (d) => d.spec.pool, cell: (d) => d.spec.pool },
      { id: "host", name: t`Host`, width: "5.5rem", wide: true, by: (d) => d.spec.host ?? "", cell: (d) => d.spec.host ?? "–" },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (d) => change ? (
          <Menu name={t`Actions for ${d.meta.name}`} entries={[
            { id: "grow", name: t`Grow`, icon: "up", onAction: () => setAsked({ what: "grow", disk: d }) },
            { id: "delete", name: t`Delete`, icon: "trash", danger: true, isDisabled: Boolean(d.spec.vm), onAction: () => setAsked({ what: "delete", disk: d }) },
          ]} />
        ) : null,
      },
    ],
    [t, word, change],
  );
  return (
    <Page title={t`Disks`} titleText={t`Disks`} cli={["tabane disk list", "tabane disk create data1 --size 20GiB", "tabane disk resize data1 40GiB"]}
      actions={change ? <Button look="primary" icon="plus" onPress={() => setAsked({ what: "create" })}><Trans>Create a disk</Trans></Button> : null}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Disks`} rows={disks} columns={columns} keyOf={(d) => d.meta.name} empty={<Empty icon="disk" title={<Trans>There are no disks yet.</Trans>} />} />
      </section>
      {asked?.what === "create" ? <Create onClose={close} /> : null}
      {asked?.what === "grow" ? <Grow disk={asked.disk} onClose={close} /> : null}
      {asked?.what === "delete" ? (
        <Confirm title={t`Delete the disk ${asked.disk.meta.name}?`} name={asked.disk.meta.name} action={t`Delete`} onClose={close} onConfirm={() => remove(path("disk", asked.disk.meta.name))}>
          <p><Trans>Everything on it is lost.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [pools, images] = [useObjects("pool"), useObjects("image")];
  const [name, setName] = useState("");
  const [size, setSize] = useState(20);
  const [pool, setPool] = useState<string | null>(pools[0]?.meta.name ?? null);
  const [image, setImage] = useState("");
  const { busy, problem, submit, fault } = useForm(async () => {
    await post(path("disk"), { meta: { name }, spec: { pool, size_bytes: Math.round(size * GIB), ...(image ? { image } : {}) } });
    onClose();
  });
  return (
    <Dialog title={t`Create a disk`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="data1" />
        <NumberField label={t`Size`} unit="GiB" value={size} onChange={setSize} min={0.01} fault={fault("spec.size_bytes")} />
        <Select label={t`Pool`} value={pool} onChange={setPool} choices={pools.map((p) => ({ id: p.meta.name, name: p.meta.name }))} />
        <Select label={t`Image`} value={image} onChange={setImage} choices={[{ id: "", name: t`None: it is empty` }, ...images.map((i) => ({ id: i.meta.name, name: i.meta.name }))]} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Create`} busy={busy} isDisabled={!name} />
      </form>
    </Dialog>
  );
}
