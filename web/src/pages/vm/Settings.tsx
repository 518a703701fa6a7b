/** Changing a VM: first what would change, then the change. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { patch } from "~/api/client";
import { type Vm, path } from "~/api/objects";
import { Button, Panel } from "~/design/basics";
import { Cli } from "~/design/Cli";
import { NumberField, Select, TextField } from "~/design/fields";
import { ProblemNote, say, useForm } from "~/design/overlays";
import { bytesForCli } from "~/words/format";
import { Diff } from "./Diff";
import { type Difference, differences } from "./diff";

const MIB = 2 ** 20;

/** `a=1, b=2` as labels; those that are gone become null, as a merge patch wants it. */
export function labelPatch(text: string, old: Record<string, string>): Record<string, string | null> {
  const wanted = Object.fromEntries(
    text.split(/[\s,]+/).filter(Boolean).map((word) => {
      const at = word.indexOf("=");
      return at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
    }),
  );
  const gone = Object.keys(old).filter((key) => !(key in wanted)).map((key) => [key, null] as const);
  return { ...wanted, ...Object.fromEntries(gone) };
}

const labelText = (labels: Record<string, string> | undefined) => Object.entries(labels ?? {}).map(([k, v]) => `${k}=${v}`).join(", ");

export function Settings({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const name = vm.meta.name;
  const [cpus, setCpus] = useState(vm.spec.cpus);
  const [memory, setMemory] = useState(vm.spec.memory_bytes / MIB);
  const [onCrash, setOnCrash] = useState<string>(vm.spec.on_crash ?? "restart");
  const [timeout, setShutdown] = useState(vm.spec.shutdown?.timeout_s ?? 120);
  const [labels, setLabels] = useState(labelText(vm.meta.labels));
  const [more, setMore] = useState("");
  const [preview, setPreview] = useState<Difference[]>();
  const changed = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setPreview(undefined);
  };
  const body = () => {
    const spec: Record<string, unknown> = more.trim() ? (JSON.parse(more) as Record<string, unknown>) : {};
    if (cpus !== vm.spec.cpus) spec["cpus"] = cpus;
    if (memory * MIB !== vm.spec.memory_bytes) spec["memory_bytes"] = Math.round(memory) * MIB;
    if (onCrash !== (vm.spec.on_crash ?? "restart")) spec["on_crash"] = onCrash;
    if (timeout !== (vm.spec.shutdown?.timeout_s ?? 120)) spec["shutdown"] = { timeout_s: timeout };
    return { meta: { labels: labelPatch(labels, vm.meta.labels ?? {}) }, spec };
  };
  const part = (object: Vm) => ({ labels: object.meta.labels ?? {}, spec: object.spec });
  const check = useForm(async () => {
    const would = await patch<Vm>(path("vm", name), body(), { query: { dry_run: true } });
    setPreview(differences(part(vm), part(would)));
  });
  const apply = useForm(async () => {
    await patch<Vm>(path("vm", name), body());
    setPreview(undefined);
    setMore("");
    say(<Trans>{name} was changed.</Trans>);
  });
  const problem = apply.problem ?? check.problem;
  const labelWords = labels.split(/[\s,]+/).filter(Boolean).map((word) => ` --label ${word}`).join("");
  const command = `tabane vm set ${name} --cpus ${cpus} --memory ${bytesForCli(Math.round(memory) * MIB)} --on-crash ${onCrash}${labelWords} --dry-run`;
  return (
    <div className="grid gap-3 lg:grid-cols-2 items-start">
      <Panel title={<Trans>Settings</Trans>}>
        <form onSubmit={check.submit} className="grid gap-4">
          <div className="grid gap-4 sm:grid-cols-2">
            <NumberField label={t`CPUs`} value={cpus} onChange={changed(setCpus)} min={1} max={255} fault={check.fault("spec.cpus")} hint={t`More can be added while it runs.`} />
            <NumberField label={t`Memory`} unit="MiB" value={memory} onChange={changed(setMemory)} min={32} step={1} fault={check.fault("spec.memory_bytes")} hint={t`More can be added while it runs.`} />
            <Select label={t`After a crash`} value={onCrash} onChange={changed(setOnCrash)}
              choices={[{ id: "restart", name: t`Restart it` }, { id: "hold", name: t`Hold it`, told: t`Leave it as it is, to look at` }]} />
            <NumberField label={t`Time to shut down`} unit="s" value={timeout} onChange={changed(setShutdown)} min={0} max={86_400} fault={check.fault("spec.shutdown")} />
          </div>
          <TextField label={t`Labels`} value={labels} onChange={changed(setLabels)} mono placeholder="env=prod, team=web" fault={check.fault("meta.labels")} />
          <TextField label={t`More, as JSON merge patch of the spec`} value={more} onChange={changed(setMore)} mono lines={3} placeholder='{ "tpm": true }' hint={t`For fields that have no input here.`} />
          <Button type="submit" look={preview ? "secondary" : "primary"} busy={check.busy}><Trans>Preview the change</Trans></Button>
        </form>
      </Panel>
      <div className="grid gap-3">
        <Panel title={<Trans>What would change</Trans>}
          actions={preview?.length ? <Button look="primary" small icon="check" busy={apply.busy} onPress={() => void apply.submit()}><Trans>Apply</Trans></Button> : null}>
          {problem ? <ProblemNote problem={problem} /> : preview ? <Diff differences={preview} /> : <p className="text-muted"><Trans>The server checks the change without making it and shows every field that would be different.</Trans></p>}
        </Panel>
        <Cli commands={[command]} />
      </div>
    </div>
  );
}
