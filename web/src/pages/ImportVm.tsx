/** A whole VM from one file: its plan first, then its disks on their way, then the VM. */
import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { FileTrigger } from "react-aria-components";
import { post } from "~/api/client";
import { type Choices, LABEL, clear, close, digestOf, interrupt, plan as planOf, run, useImporting } from "~/api/importing";
import { useObject, useObjects } from "~/api/live";
import { isUp, path } from "~/api/objects";
import type { Package } from "~/api/package";
import { useMay } from "~/api/session";
import { Button, ButtonLink, Panel } from "~/design/basics";
import { quoted } from "~/design/Cli";
import { Icon } from "~/design/Icon";
import { ProblemNote, asProblem, attempt } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { Course } from "./importing/Course";
import { Licences, PlanForm } from "./importing/PlanForm";
import { useFaultWords } from "./importing/words";
import { PackageDrop, useTake } from "./parts/PackageDrop";

const TYPING_MS = 300;

function commandOf(file: string | undefined, choices: Choices, agreed: boolean): string {
  const words = ["tabane vm import", file ? quoted(file) : "FILE"];
  if (choices.name) words.push("--name", choices.name);
  if (choices.configuration) words.push("--configuration", quoted(choices.configuration));
  if (choices.pool) words.push("--pool", choices.pool);
  for (const { theirs, network } of choices.networks ?? []) words.push("--network", theirs ? quoted(`${theirs}=${network}`) : network);
  if (choices.keep_macs) words.push("--keep-macs");
  if (agreed) words.push("--accept-licences");
  if (choices.start) words.push("--start");
  return words.join(" ");
}

export function ImportVm() {
  const { t } = useLingui();
  const importing = useImporting();
  const { change } = useMay();
  const [command, setCommand] = useState<string>();
  const file = importing.file;
  return (
    <Page title={t`Import a VM`} titleText={t`Import a VM`} back={{ to: "/vms", name: t`VMs` }} cli={[command && file ? command : "tabane vm import FILE"]}
      actions={file && !importing.running ? <Button onPress={close} icon="close"><Trans>Another file</Trans></Button> : null}>
      {!change ? <p className="text-muted"><Trans>Your token may look, and change nothing.</Trans></p> : (
        <PackageDrop isDisabled={importing.running}>
          {!file ? <Choose /> : importing.fault ? <Refused fault={importing.fault} /> : importing.package
            ? <Import key={`${file.name}/${file.size}/${file.lastModified}`} of={importing.package} onCommand={setCommand} />
            : <p role="status" className="flex items-center gap-2 text-muted"><Icon name="spinner" /><Trans>Reading the package…</Trans></p>}
        </PackageDrop>
      )}
    </Page>
  );
}

function Choose() {
  const take = useTake();
  return (
    <div className="grid gap-4 justify-items-center rounded-lg border-2 border-dashed border-line-strong bg-surface px-4 py-14 text-center">
      <span className="grid place-items-center size-12 rounded-full bg-accent-soft text-accent"><Icon name="upload" size={22} /></span>
      <p className="text-sm font-medium"><Trans>Drop an OVA package here: a whole VM in one file</Trans></p>
      <p className="text-muted max-w-xl"><Trans>As VMware, VirtualBox, oVirt and Tabane export them. Nothing is sent before you have seen what would be made of it. An import that broke off goes on when the same file is given again.</Trans></p>
      <FileTrigger acceptedFileTypes={[".ova"]} onSelect={(files) => take(files?.[0])}><Button look="primary" icon="plus"><Trans>Choose a file</Trans></Button></FileTrigger>
    </div>
  );
}

function Refused({ fault }: { fault: NonNullable<ReturnType<typeof useImporting>["fault"]> }) {
  const words = useFaultWords();
  return (
    <div role="alert" className="flex gap-2 rounded-md border border-bad/40 bg-bad-soft px-3 py-2">
      <span className="text-bad pt-0.5"><Icon name="alert" /></span>
      <div className="min-w-0 break-words">
        <p className="font-medium">{words(fault)}</p>
        <p className="text-muted"><Trans>Fetch the package again from where it comes, or export the VM again, as one file (.ova).</Trans></p>
      </div>
    </div>
  );
}

/** The name under which an earlier try of the same package was begun. */
function useBegun(digest: string): string | undefined {
  const images = useObjects("image");
  return useMemo(() => {
    const found = images.find((i) => i.meta.labels?.[LABEL] === digest && /^import-.+-(root|disk\d+)$/.test(i.meta.name));
    return found?.meta.name.replace(/^import-/, "").replace(/-(root|disk\d+)$/, "");
  }, [images, digest]);
}

function Import({ of, onCommand }: { of: Package; onCommand: (command: string) => void }) {
  const { t } = useLingui();
  const importing = useImporting();
  const started = importing.step !== undefined;
  const [chosen, setChoices] = useState<Choices>({});
  const [typed, setTyped] = useState<string>();
  const [agreed, setAgreed] = useState(false);
  const begun = useBegun(useMemo(() => digestOf(of), [of]));
  const choices = useMemo(() => (begun && chosen.name === undefined ? { ...chosen, name: begun } : chosen), [chosen, begun]);
  const { data, error, isFetching } = useQuery({
    queryKey: ["package-plan", of.file.name, of.file.size, of.file.lastModified, choices],
    queryFn: ({ signal }) => planOf(of, choices, signal),
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    enabled: !started,
  });
  // A choice that is refused leaves the form as it is, with the refusal at its field.
  const [kept, setKept] = useState(data);
  if (data && data !== kept) setKept(data);
  const plan = importing.plan ?? data ?? kept;
  useEffect(() => {
    if (typed === undefined) return;
    const timer = setTimeout(() => setChoices((c) => ({ ...c, name: typed || null })), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const name = typed ?? plan?.vm.meta.name ?? "";
  const command = commandOf(of.file.name, choices, agreed);
  useEffect(() => onCommand(command), [onCommand, command]);

  const same = useObject("vm", started ? undefined : name);
  const taken = same && (same.meta.labels?.[LABEL] !== plan?.vm.meta.labels?.[LABEL] || begun !== name) ? t`There is a VM of this name already: choose another.` : undefined;
  const problem = error ? asProblem(error) : undefined;
  const ofName = problem?.field === "choices.name" || problem?.code === "invalid_body" ? problem : undefined;
  if (!plan) {
    if (!problem) return <p role="status" className="flex items-center gap-2 text-muted"><Icon name="spinner" /><Trans>A host looks at what the package describes…</Trans></p>;
    return (
      <div className="grid gap-3">
        <ProblemNote problem={problem} />
        {ofName ? <NameFirst value={typed ?? ""} onChange={setTyped} /> : null}
      </div>
    );
  }
  const licences = plan.licences ?? [];
  const settled = !isFetching && data?.vm.meta.name === name;
  const missing = licences.length > 0 && !agreed;
  return (
    <div className="grid gap-3">
      <p className="flex flex-wrap items-baseline gap-x-2 text-muted"><span className="font-mono text-xs text-text break-all">{of.file.name}</span> {bytes(of.file.size)}</p>
      {importing.step === "done" ? <Done name={plan.vm.meta.name} /> : null}
      {started ? <Course importing={importing} plan={plan} /> : null}
      {importing.problem ? <ProblemNote problem={importing.problem} /> : null}
      {started && !importing.running && importing.step !== "done" ? (
        <div className="flex flex-wrap gap-2">
          <Button look="primary" icon="play" onPress={() => void run(of, plan)}><Trans>Go on</Trans></Button>
          <Button icon="trash" onPress={() => void attempt(() => clear(plan).then(close))}><Trans>Give up, and delete what was sent</Trans></Button>
        </div>
      ) : null}
      {importing.running ? (
        <div className="flex flex-wrap items-center gap-3">
          <Button icon="pause" onPress={interrupt}><Trans>Stop</Trans></Button>
          <span className="text-muted"><Trans>It goes on while you look at other pages, as long as this window is open.</Trans></span>
        </div>
      ) : null}
      {problem && !ofName ? <ProblemNote problem={problem} /> : null}
      {started ? null : (
        <form className="grid gap-3" onSubmit={(event) => {
          event.preventDefault();
          if (settled && !missing && !taken) void run(of, plan);
        }}>
          <PlanForm plan={plan} choices={choices} onChange={(c) => setChoices((all) => ({ ...all, ...c }))} name={name} onName={setTyped}
            nameFault={taken ?? (ofName ? `${ofName.detail}${ofName.hint ? ` – ${ofName.hint}` : ""}` : undefined)} isDisabled={started} />
          {licences.length ? <Licences licences={licences} agreed={agreed} onAgree={setAgreed} isDisabled={started} /> : null}
          <div className="flex flex-wrap items-center gap-3">
            <span className="text-muted">{missing ? <Trans>Agree to the licence first.</Trans> : begun === name ? <Trans>An import of this package was begun; it goes on where it stopped.</Trans> : null}</span>
            <span className="ml-auto" />
            <ButtonLink to="/vms"><Trans>Cancel</Trans></ButtonLink>
            <Button type="submit" look="primary" icon="upload" isDisabled={!settled || missing || Boolean(taken) || Boolean(problem)}>{begun === name ? <Trans>Go on</Trans> : <Trans>Import</Trans>}</Button>
          </div>
        </form>
      )}
    </div>
  );
}

/** When no name can be made of the packer's, there is no plan without one. */
function NameFirst({ value, onChange }: { value: string; onChange: (name: string) => void }) {
  const { t } = useLingui();
  return (
    <Panel>
      <label className="grid gap-1 max-w-sm"><span className="text-xs font-medium text-muted">{t`Name`}</span>
        <input className="control font-mono !text-xs" value={value} spellCheck={false} onChange={(event) => onChange(event.target.value)} />
      </label>
    </Panel>
  );
}

function Done({ name }: { name: string }) {
  const vm = useObject("vm", name);
  return (
    <div role="status" className="flex flex-wrap items-center gap-3 rounded-lg border border-good/40 bg-good-soft px-4 py-3">
      <span className="text-good"><Icon name="check" size={18} /></span>
      <p className="font-medium mr-auto"><Trans>{name} is imported.</Trans></p>
      {vm && !isUp(vm) && vm.spec.power === "off" ? <Button icon="play" onPress={() => void attempt(() => post(path("vm", name, "start")))}><Trans>Start it</Trans></Button> : null}
      <ButtonLink to="/vms/$name/{-$tab}" params={{ name }} look="primary" icon="vm"><Trans>Open it</Trans></ButtonLink>
    </div>
  );
}
