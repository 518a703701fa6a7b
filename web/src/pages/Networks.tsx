/** Networks that nics are plugged into. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Network, networkPhase, path } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button, Empty, Phase } from "~/design/basics";
import { type Column, DataTable } from "~/design/DataTable";
import { Select, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";

export function Networks() {
  const { t } = useLingui();
  const [networks, vms] = [useObjects("network"), useObjects("vm")];
  const { change } = useMay();
  const [asked, setAsked] = useState<"create" | Network>();
  const close = () => setAsked(undefined);
  const nics = useMemo(() => {
    const map = new Map<string, number>();
    for (const vm of vms) for (const nic of vm.spec.nics ?? []) map.set(nic.network, (map.get(nic.network) ?? 0) + 1);
    return map;
  }, [vms]);
  const columns = useMemo<Column<Network>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(8rem,1.5fr)", by: (n) => n.meta.name, cell: (n) => <span className="font-medium">{n.meta.name}</span> },
      {
        id: "phase", name: t`State`, width: "minmax(6rem,1.5fr)", by: networkPhase,
        cell: (n) => {
          const said = (Object.values(n.status?.hosts ?? {}) as { ready: boolean; message?: string }[]).find((h) => !h.ready)?.message;
          return <span className="flex gap-2 min-w-0" title={said}><Phase phase={networkPhase(n)} />{said ? <span className="text-xs text-bad truncate">{said}</span> : null}</span>;
        },
      },
      { id: "kind", name: t`Kind`, width: "5rem", wide: true, by: (n) => n.spec.kind ?? "user", cell: (n) => n.spec.kind ?? "user" },
      { id: "cidr", name: t`Range`, width: "minmax(8rem,1fr)", wide: true, by: (n) => n.spec.cidr ?? "", cell: (n) => <span className="font-mono text-xs">{n.spec.cidr ?? "–"}</span> },
      { id: "dns", name: t`Name servers`, width: "minmax(8rem,1fr)", wide: true, cell: (n) => <span className="font-mono text-xs">{(n.spec.dns ?? []).join(", ") || "–"}</span> },
      { id: "nics", name: t`Nics`, width: "4.5rem", right: true, by: (n) => nics.get(n.meta.name) ?? 0, cell: (n) => nics.get(n.meta.name) ?? 0 },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (n) => change ? <Menu name={t`Actions for ${n.meta.name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked(n) }]} /> : null,
      },
    ],
    [t, nics, change],
  );
  return (
    <Page title={t`Networks`} titleText={t`Networks`} cli={["tabane network list", "tabane network create lan --cidr 10.30.0.0/24"]}
      actions={change ? <Button look="primary" icon="plus" onPress={() => setAsked("create")}><Trans>Create a network</Trans></Button> : null}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Networks`} rows={networks} columns={columns} keyOf={(n) => n.meta.name} empty={<Empty icon="network" title={<Trans>There are no networks yet.</Trans>} />} />
      </section>
      {asked === "create" ? <Create onClose={close} /> : asked ? (
        <Confirm title={t`Delete the network ${asked.meta.name}?`} name={asked.meta.name} action={t`Delete`} onClose={close} onConfirm={() => remove(path("network", asked.meta.name))}>
          <p><Trans>Only a network without nics can be deleted.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [kind, setKind] = useState("nat");
  const [cidr, setCidr] = useState("10.30.0.0/24");
  const [dns, setDns] = useState("");
  const { busy, problem, submit, fault } = useForm(async () => {
    const servers = dns.split(/[\s,]+/).filter(Boolean);
    await post(path("network"), { meta: { name }, spec: { kind, ...(kind === "nat" ? { cidr } : {}), ...(servers.length ? { dns: servers } : {}) } });
    onClose();
  });
  return (
    <Dialog title={t`Create a network`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="lan" />
        <Select label={t`Kind`} value={kind} onChange={setKind} choices={[
          { id: "nat", name: "nat", told: t`A bridge on each host, with DHCP, DNS and masquerading` },
          { id: "user", name: "user", told: t`Inside QEMU: out to the world, in by forwarded ports` },
        ]} />
        {kind === "nat" ? <TextField label={t`Range`} value={cidr} onChange={setCidr} mono fault={fault("spec.cidr")} /> : null}
        <TextField label={t`Name servers`} value={dns} onChange={setDns} mono placeholder="192.0.2.53" hint={t`The host's own when empty.`} fault={fault("spec.dns")} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Create`} busy={busy} isDisabled={!name} />
      </form>
    </Dialog>
  );
}
