/** Flavors: sizes with names, so that machines come in a few sizes instead of any. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { patch, post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Flavor, path } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button, Empty } from "~/design/basics";
import { Cli, quoted } from "~/design/Cli";
import { type Column, DataTable, RowLink } from "~/design/DataTable";
import { Checkbox, NumberField, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes, bytesForCli } from "~/words/format";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** The label that VMs made by a flavor have. */
const LABEL = "flavor";

type Asked = { what: "create" } | { what: "edit" | "delete"; flavor: Flavor };

/** How many VMs were made by each. */
function useCounts(): ReadonlyMap<string, number> {
  const vms = useObjects("vm");
  return useMemo(() => {
    const counts = new Map<string, number>();
    for (const vm of vms) {
      const name = vm.meta.labels?.[LABEL];
      if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  }, [vms]);
}

export function Flavors() {
  const { t } = useLingui();
  const flavors = useObjects("flavor");
  const counts = useCounts();
  const { change } = useMay();
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  const columns = useMemo<Column<Flavor>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(6rem,1fr)", by: (f) => f.meta.name, cell: (f) => <span className="font-medium">{f.meta.name}</span> },
      { id: "cpus", name: t`CPUs`, width: "4.5rem", right: true, by: (f) => f.spec.cpus, cell: (f) => f.spec.cpus },
      { id: "memory", name: t`Memory`, width: "6rem", right: true, by: (f) => f.spec.memory_bytes, cell: (f) => bytes(f.spec.memory_bytes) },
      { id: "disk", name: t`First disk`, width: "8rem", wide: true, right: true, by: (f) => f.spec.disk_bytes ?? 0, cell: (f) => (f.spec.disk_bytes ? bytes(f.spec.disk_bytes) : <span className="text-muted"><Trans>the image's</Trans></span>) },
      {
        id: "vms", name: t`VMs`, width: "4.5rem", wide: true, right: true, by: (f) => counts.get(f.meta.name) ?? 0,
        cell: (f) => (counts.get(f.meta.name) ? <RowLink to={`/vms?q=${encodeURIComponent(`${LABEL}=${f.meta.name}`)}`}>{counts.get(f.meta.name)}</RowLink> : <span className="text-muted">0</span>),
      },
      { id: "told", name: t`What it is for`, width: "minmax(8rem,2fr)", wide: true, cell: (f) => <span title={f.spec.description}>{f.spec.description || "–"}</span> },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (f) => change ? (
          <Menu name={t`Actions for ${f.meta.name}`} entries={[
            { id: "edit", name: t`Change`, icon: "edit", onAction: () => setAsked({ what: "edit", flavor: f }) },
            { id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked({ what: "delete", flavor: f }) },
          ]} />
        ) : null,
      },
    ],
    [t, change, counts],
  );
  const make = change ? <Button look="primary" icon="plus" onPress={() => setAsked({ what: "create" })}><Trans>Create a flavor</Trans></Button> : null;
  return (
    <Page title={t`Flavors`} titleText={t`Flavors`} actions={make} cli={["tabane flavor list", "tabane vm create NAME --image IMAGE --flavor FLAVOR"]}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Flavors`} rows={flavors} columns={columns} keyOf={(f) => f.meta.name}
          empty={<Empty icon="flavor" title={<Trans>There are no flavors. The wizard asks for CPUs and memory then.</Trans>}>{make}</Empty>} />
      </section>
      {asked?.what === "create" ? <Edit onClose={close} /> : null}
      {asked?.what === "edit" ? <Edit flavor={asked.flavor} onClose={close} /> : null}
      {asked?.what === "delete" ? (
        <Confirm title={t`Delete the flavor ${asked.flavor.meta.name}?`} action={t`Delete`} onClose={close} onConfirm={() => remove(path("flavor", asked.flavor.meta.name))}>
          <p>
            <Trans>VMs that were made by it stay as they are.</Trans>{" "}
            {counts.get(asked.flavor.meta.name) ? <Plural value={counts.get(asked.flavor.meta.name) ?? 0} one="There is # of them." other="There are # of them." /> : null}
          </p>
        </Confirm>
      ) : null}
    </Page>
  );
}

/** A new one, or another size under a name that is there. */
function Edit({ flavor, onClose }: { flavor?: Flavor; onClose: () => void }) {
  const { t } = useLingui();
  const old = flavor?.spec;
  const [name, setName] = useState(flavor?.meta.name ?? "");
  const [cpus, setCpus] = useState(old?.cpus ?? 2);
  const [memory, setMemory] = useState(old ? old.memory_bytes / GIB : 4);
  const [sized, setSized] = useState(Boolean(old?.disk_bytes));
  const [disk, setDisk] = useState(old?.disk_bytes ? old.disk_bytes / GIB : 20);
  const [told, setTold] = useState(old?.description ?? "");
  const memory_bytes = Math.round((memory * GIB) / MIB) * MIB;
  const disk_bytes = sized ? Math.round((disk * GIB) / MIB) * MIB : null;
  const { busy, problem, submit, fault } = useForm(async () => {
    const spec = { cpus, memory_bytes, disk_bytes, description: told };
    if (flavor) await patch(path("flavor", name), { spec }, { headers: { "If-Match": `"${flavor.meta.revision}"` } });
    else await post(path("flavor"), { meta: { name }, spec });
    onClose();
  });
  const command = [
    "tabane flavor create", name || "NAME", "--cpus", String(cpus), "--memory", bytesForCli(memory_bytes),
    ...(disk_bytes ? ["--disk", bytesForCli(disk_bytes)] : []), ...(told ? ["--description", quoted(told)] : []),
  ].join(" ");
  return (
    <Dialog title={flavor ? t`Change the flavor ${name}` : t`Create a flavor`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        {flavor ? <p className="text-muted"><Trans>VMs that were made by it keep their size.</Trans></p> : <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="medium" fault={fault("meta.name")} />}
        <div className="grid gap-4 sm:grid-cols-2">
          <NumberField label={t`CPUs`} value={cpus} onChange={(v) => setCpus(Math.round(v))} min={1} fault={fault("spec.cpus")} />
          <NumberField label={t`Memory`} unit="GiB" value={memory} onChange={setMemory} min={0.125} step={0.125} fault={fault("spec.memory_bytes")} />
        </div>
        <Checkbox isSelected={sized} onChange={setSized}><Trans>With a size for the first disk</Trans></Checkbox>
        {sized ? <NumberField label={t`First disk`} unit="GiB" value={disk} onChange={setDisk} min={1} fault={fault("spec.disk_bytes")} hint={t`An image that is larger is not made smaller.`} /> : null}
        <TextField label={t`What it is for`} value={told} onChange={setTold} fault={fault("spec.description")} />
        {problem ? <ProblemNote problem={problem} /> : null}
        {flavor ? null : <Cli commands={[command]} />}
        <FormEnd onCancel={onClose} submit={flavor ? t`Change` : t`Create`} busy={busy} isDisabled={!name} />
      </form>
    </Dialog>
  );
}
