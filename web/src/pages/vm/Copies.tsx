/** A VM once more: clones beside it. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { post } from "~/api/client";
import { useObject } from "~/api/live";
import { type Vm, path } from "~/api/objects";
import { Cli } from "~/design/Cli";
import { Checkbox, NumberField, Select, TextField } from "~/design/fields";
import { Dialog, FormEnd, ProblemNote, say, useForm } from "~/design/overlays";

export function Clone({ vm, snapshot, onClose }: { vm: Vm; snapshot?: string; onClose: () => void }) {
  const { t } = useLingui();
  const source = vm.meta.name;
  const [name, setName] = useState(`${source}-copy`);
  const [count, setCount] = useState(1);
  const [kind, setKind] = useState("linked");
  const [start, setStart] = useState(true);
  const base = useObject("snapshot", snapshot);
  const instant = kind === "instant";
  // Copies go on with a memory only if somebody can tell them who they are.
  const canGoOn = snapshot ? !!base?.spec.memory : vm.status?.phase === "running" && !!vm.status.guest?.agent;
  const names = count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);
  const { busy, problem, submit } = useForm(async () => {
    await post(path("vm", source, "clone"), { names, ...(instant ? { instant } : { clone: kind }), start: start || instant, ...(snapshot ? { snapshot } : {}) });
    say(<Plural value={names.length} one="# clone is being made." other="# clones are being made." />);
    onClose();
  });
  const command = ["tabane vm clone", source, name, ...(count > 1 ? ["--count", String(count)] : []), ...(kind === "linked" ? [] : [`--${kind}`]), ...(snapshot ? ["--snapshot", snapshot] : []), ...(start && !instant ? ["--start"] : [])].join(" ");
  return (
    <Dialog title={t`Clone ${source}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <p className="text-muted"><Trans>Each clone has its own name, MACs and addresses. Its guest agent gives it a machine-id, SSH host keys and random numbers of its own.</Trans></p>
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired hint={count > 1 ? `${names[0]} … ${names.at(-1)}` : undefined} />
          <NumberField label={t`How many`} value={count} onChange={(v) => setCount(Math.round(v))} min={1} max={100} />
          <Select label={t`How it is made`} value={kind} onChange={setKind} choices={[
            { id: "linked", name: t`Linked clone`, told: t`At once; stands on a snapshot of the VM` }, { id: "full", name: t`Full copy`, told: t`Independent of the VM` },
            ...(canGoOn ? [{ id: "instant", name: t`Instant clone`, told: t`Does not boot: goes on where the memory stands` }] : []),
          ]} />
        </div>
        {instant ? (
          <p className="text-muted"><Trans>It runs at once, and is cut off from its networks until it knows that it is a machine of its own.</Trans></p>
        ) : (
          <Checkbox isSelected={start} onChange={setStart}><Trans>Start it at once</Trans></Checkbox>
        )}
        {problem ? <ProblemNote problem={problem} /> : null}
        <Cli commands={[command]} />
        <FormEnd onCancel={onClose} submit={t`Clone`} busy={busy} isDisabled={!name} />
      </form>
    </Dialog>
  );
}
