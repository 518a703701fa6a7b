/** The physical servers of the pool. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { blob, post } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Host, hostPhase, path, unmet } from "~/api/objects";
import { useMay } from "~/api/session";
import { Badge, Button, Empty, Phase } from "~/design/basics";
import { Cli } from "~/design/Cli";
import { type Column, DataTable } from "~/design/DataTable";
import { TextField } from "~/design/fields";
import { Dialog, FormEnd, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";

export function Hosts() {
  const { t } = useLingui();
  const [hosts, vms] = [useObjects("host"), useObjects("vm")];
  const { administer } = useMay();
  const [adding, setAdding] = useState(false);
  const counts = useMemo(() => {
    const map = new Map<string, number>();
    for (const vm of vms) if (vm.spec.host) map.set(vm.spec.host, (map.get(vm.spec.host) ?? 0) + 1);
    return map;
  }, [vms]);
  const columns = useMemo<Column<Host>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(8rem,1.5fr)", by: (h) => h.meta.name, cell: (h) => <Link to="/hosts/$name" params={{ name: h.meta.name }} className="font-medium hover:text-accent hover:underline">{h.meta.name}</Link> },
      { id: "phase", name: t`State`, width: "minmax(7rem,1fr)", by: hostPhase, cell: (h) => <span className="inline-flex gap-1.5"><Phase phase={hostPhase(h)} />{unmet(h.status?.conditions).length ? <Badge tone="warn">!</Badge> : null}</span> },
      { id: "vms", name: t`VMs`, width: "4rem", right: true, by: (h) => counts.get(h.meta.name) ?? 0, cell: (h) => counts.get(h.meta.name) ?? 0 },
      { id: "cpus", name: t`CPUs`, width: "5rem", wide: true, right: true, by: (h) => h.status?.cpus ?? 0, cell: (h) => h.status?.cpus },
      { id: "memory", name: t`Memory free`, width: "minmax(9rem,1fr)", wide: true, right: true, by: (h) => h.status?.memory_free_bytes ?? 0, cell: (h) => `${bytes(h.status?.memory_free_bytes)} / ${bytes(h.status?.memory_bytes)}` },
      { id: "accel", name: t`Accelerator`, width: "7rem", wide: true, cell: (h) => <Badge tone={h.status?.accel?.kvm ? "good" : "warn"}>{h.status?.accel?.kvm ? "KVM" : "TCG"}</Badge> },
      { id: "qemu", name: "QEMU", width: "6rem", wide: true, cell: (h) => h.status?.qemu_version ?? "–" },
      { id: "address", name: t`Address`, width: "minmax(8rem,1fr)", wide: true, cell: (h) => <span className="font-mono text-xs">{h.status?.addresses?.[0] ?? ""}</span> },
    ],
    [t, counts],
  );
  return (
    <Page title={t`Hosts`} titleText={t`Hosts`} cli={["tabane host list", "tabane token create join-NAME --role join"]} actions={administer ? <Button icon="plus" look="primary" onPress={() => setAdding(true)}><Trans>Add a host</Trans></Button> : null}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Hosts`} rows={hosts} columns={columns} keyOf={(h) => h.meta.name} empty={<Empty icon="host" title={<Trans>There are no hosts yet.</Trans>} />} />
      </section>
      {adding ? <Add onClose={() => setAdding(false)} /> : null}
    </Page>
  );
}

/** SHA-256 of the server's authority, as new hosts pin it. */
async function authority(): Promise<string> {
  const pem = await (await blob("/v1/ca.pem")).text();
  const base64 = pem.replace(/-----[^-]+-----/g, "").replace(/\s+/g, "");
  const der = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  return [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Hosts join by themselves: this makes the token for it and says what to type there. */
function Add({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [secret, setSecret] = useState<string>();
  const [fingerprint, setFingerprint] = useState("FINGERPRINT");
  const { busy, problem, submit } = useForm(async () => {
    const expires = new Date(Date.now() + 3_600_000).toISOString();
    const answer = await post<{ secret: string }>(path("token"), { meta: { name: `join-${name}` }, spec: { role: "join", description: `joins ${name}`, expires_at: expires } });
    setFingerprint(await authority());
    setSecret(answer.secret);
  });
  return (
    <Dialog title={t`Add a host`} onClose={onClose}>
      {secret ? (
        <div className="grid gap-3">
          <p><Trans>Run this on the new host within an hour. The address ends in the fingerprint of this server's authority; <code>tabane up</code> printed it, too.</Trans></p>
          <Cli commands={[`TABANE_TOKEN=${secret} tabane host join '${location.origin}/#${fingerprint}' --name ${name}`]} />
          <p className="text-muted"><Trans>It appears in the list by itself.</Trans></p>
          <div className="flex justify-end"><Button look="primary" onPress={onClose}><Trans>Done</Trans></Button></div>
        </div>
      ) : (
        <form onSubmit={submit} className="grid gap-4">
          <TextField label={t`Name of the host`} value={name} onChange={setName} mono autoFocus isRequired placeholder="h2" />
          {problem ? <ProblemNote problem={problem} /> : null}
          <FormEnd onCancel={onClose} submit={t`Make a token`} busy={busy} isDisabled={!name} />
        </form>
      )}
    </Dialog>
  );
}
