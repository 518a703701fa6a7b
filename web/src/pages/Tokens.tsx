/** Keys to the API. A secret is shown once. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Token, path } from "~/api/objects";
import { useSession } from "~/api/session";
import { Badge, Button, Empty } from "~/design/basics";
import { Cli } from "~/design/Cli";
import { type Column, DataTable } from "~/design/DataTable";
import { NumberField, Select, TextField } from "~/design/fields";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { moment } from "~/words/format";
import { useWord } from "~/words/states";

export function Tokens() {
  const { t, i18n } = useLingui();
  const word = useWord();
  const tokens = useObjects("token");
  const session = useSession();
  const [asked, setAsked] = useState<"create" | Token>();
  const close = () => setAsked(undefined);
  const columns = useMemo<Column<Token>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(8rem,1.5fr)", by: (k) => k.meta.name, cell: (k) => <span className="flex gap-2 items-center min-w-0"><span className="font-medium truncate">{k.meta.name}</span>{k.meta.name === session?.principal ? <Badge tone="good"><Trans>yours</Trans></Badge> : null}</span> },
      { id: "role", name: t`Role`, width: "7.5rem", by: (k) => k.spec.role, cell: (k) => <Badge tone={k.spec.role === "admin" ? "warn" : "idle"}>{word(k.spec.role)}</Badge> },
      { id: "description", name: t`Description`, width: "minmax(8rem,2fr)", wide: true, cell: (k) => k.spec.description ?? "" },
      { id: "created", name: t`Created`, width: "minmax(9rem,1fr)", wide: true, by: (k) => k.meta.created_at ?? "", cell: (k) => moment(k.meta.created_at, i18n.locale) },
      { id: "expires", name: t`Good until`, width: "minmax(9rem,1fr)", wide: true, by: (k) => k.spec.expires_at ?? "", cell: (k) => (k.spec.expires_at ? moment(k.spec.expires_at, i18n.locale) : <Trans>for good</Trans>) },
      { id: "do", name: "", width: "2.75rem", cell: (k) => <Menu name={t`Actions for ${k.meta.name}`} entries={[{ id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked(k) }]} /> },
    ],
    [t, word, i18n.locale, session?.principal],
  );
  return (
    <Page title={t`Tokens`} titleText={t`Tokens`} cli={["tabane token list", "tabane token create ci --role operator --expires-in 24"]}
      actions={<Button look="primary" icon="plus" onPress={() => setAsked("create")}><Trans>Create a token</Trans></Button>}>
      <section className="rounded-lg border border-line bg-surface">
        <DataTable name={t`Tokens`} rows={tokens} columns={columns} keyOf={(k) => k.meta.name} empty={<Empty icon="token" title={<Trans>There are no tokens.</Trans>} />} />
      </section>
      {asked === "create" ? <Create onClose={close} /> : asked ? (
        <Confirm title={t`Delete the token ${asked.meta.name}?`} name={asked.meta.name} action={t`Delete`} onClose={close} onConfirm={() => remove(path("token", asked.meta.name))}>
          <p><Trans>Whoever uses it is locked out at once, and so are the sessions that were opened with it.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [description, setDescription] = useState("");
  const [hours, setHours] = useState(0);
  const [secret, setSecret] = useState<string>();
  const { busy, problem, submit, fault } = useForm(async () => {
    const expires = hours > 0 ? { expires_at: new Date(Date.now() + hours * 3_600_000).toISOString() } : {};
    const answer = await post<{ secret: string }>(path("token"), { meta: { name }, spec: { role, ...(description ? { description } : {}), ...expires } });
    setSecret(answer.secret);
  });
  return (
    <Dialog title={secret ? t`The token ${name}` : t`Create a token`} onClose={onClose}>
      {secret ? (
        <div className="grid gap-3">
          <p><Trans>This is shown once; the server keeps only its hash.</Trans></p>
          <Cli commands={[secret]} />
          <div className="flex justify-end"><Button look="primary" onPress={onClose}><Trans>Done</Trans></Button></div>
        </div>
      ) : (
        <form onSubmit={submit} className="grid gap-4">
          <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="ci" />
          <Select label={t`Role`} value={role} onChange={setRole} choices={[
            { id: "viewer", name: t`Viewer`, told: t`Reads everything but tokens` },
            { id: "operator", name: t`Operator`, told: t`Also changes everything but hosts and tokens` },
            { id: "admin", name: t`Administrator`, told: t`Everything` },
            { id: "join", name: t`Join`, told: t`Adds a host, nothing else` },
          ]} />
          <TextField label={t`Description`} value={description} onChange={setDescription} fault={fault("spec.description")} />
          <NumberField label={t`Good for`} unit={t`hours`} value={hours} onChange={setHours} min={0} hint={t`0 means for good.`} />
          {problem ? <ProblemNote problem={problem} /> : null}
          <FormEnd onCancel={onClose} submit={t`Create`} busy={busy} isDisabled={!name} />
        </form>
      )}
    </Dialog>
  );
}
