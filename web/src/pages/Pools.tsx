/** Pools of storage, and how full they are on each host. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Pool, path, poolPhase } from "~/api/objects";
import { useMay } from "~/api/session";
import { Badge, Button, Empty, Facts, Meter, Panel, Phase } from "~/design/basics";
import { TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";

interface OnHost {
  ready: boolean;
  message?: string;
  capacity_bytes: number;
  free_bytes: number;
  reflink: boolean;
}

export function Pools() {
  const { t } = useLingui();
  const [pools, disks] = [useObjects("pool"), useObjects("disk")];
  const { change } = useMay();
  const [asked, setAsked] = useState<"create" | Pool>();
  const close = () => setAsked(undefined);
  return (
    <Page title={t`Pools`} titleText={t`Pools`} cli={["tabane pool list", "tabane pool create fast --path /srv/fast"]}
      actions={change ? <Button look="primary" icon="plus" onPress={() => setAsked("create")}><Trans>Create a pool</Trans></Button> : null}>
      {pools.length === 0 ? <Empty icon="pool" title={<Trans>There are no pools yet.</Trans>} /> : null}
      <div className="grid gap-3 lg:grid-cols-2 items-start">
        {pools.map((pool) => {
          const own = disks.filter((d) => d.spec.pool === pool.meta.name);
          return (
            <Panel key={pool.meta.name} title={<span className="inline-flex items-center gap-2">{pool.meta.name}<Phase phase={poolPhase(pool)} /></span>}
              actions={change ? <Menu name={t`Actions for ${pool.meta.name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked(pool) }]} /> : null}>
              <div className="grid gap-4">
                <Facts facts={[
                  [t`Kind`, pool.spec.kind ?? "dir"],
                  [t`Folder`, pool.spec.path ? <code>{pool.spec.path}</code> : <Trans>inside the agent's data folder</Trans>],
                  [t`Disks`, `${own.length} · ${bytes(own.reduce((sum, d) => sum + (d.status?.used_bytes ?? 0), 0))}`],
                ]} />
                {(Object.entries(pool.status?.hosts ?? {}) as [string, OnHost][]).map(([host, p]) => (
                  <div key={host} className="grid gap-1">
                    <Meter name={host} used={p.capacity_bytes - p.free_bytes} total={p.capacity_bytes} told={`${bytes(p.capacity_bytes - p.free_bytes)} / ${bytes(p.capacity_bytes)}`} />
                    <span className="flex gap-2">{p.reflink ? <Badge tone="good"><Trans>shares blocks (reflink)</Trans></Badge> : null}{p.message ? <span className="text-bad">{p.message}</span> : null}</span>
                  </div>
                ))}
              </div>
            </Panel>
          );
        })}
      </div>
      {asked === "create" ? <Create onClose={close} /> : asked ? (
        <Confirm title={t`Delete the pool ${asked.meta.name}?`} name={asked.meta.name} action={t`Delete`} onClose={close} onConfirm={() => remove(path("pool", asked.meta.name))}>
          <p><Trans>Only a pool without disks can be deleted.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [folder, setFolder] = useState("");
  const { busy, problem, submit, fault } = useForm(async () => {
    await post(path("pool"), { meta: { name }, spec: { kind: "dir", ...(folder ? { path: folder } : {}) } });
    onClose();
  });
  return (
    <Dialog title={t`Create a pool`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="fast" />
        <TextField label={t`Folder, the same on every host`} value={folder} onChange={setFolder} mono placeholder="/srv/tabane" fault={fault("spec.path")} hint={t`Inside the agent's data folder when empty.`} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Create`} busy={busy} isDisabled={!name} />
      </form>
    </Dialog>
  );
}
