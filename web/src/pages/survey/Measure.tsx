/** Says which servers are to be measured over SSH, and for how long. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { post } from "~/api/client";
import { path } from "~/api/objects";
import { NumberField, Select, TextField } from "~/design/fields";
import { FormEnd, ProblemNote, useForm } from "~/design/overlays";

const DAY_S = 86_400;

/** A server or subnet on each line; what is behind a `#` counts nothing, as in files. */
export function sourcesOf(text: string): string[] {
  return text.split("\n").flatMap((line) => line.replace(/#.*/, "").split(",")).map((word) => word.trim()).filter(Boolean);
}

export function Measure({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const [length, setLength] = useState(String(14 * DAY_S));
  const [step, setStep] = useState(20);
  const sources = sourcesOf(text);
  const { busy, problem, submit, fault } = useForm(async () => {
    const bounded = length === "0" ? {} : { length_s: Number(length) };
    await post(path("collection"), { meta: { name }, spec: { sources, step_s: step, ...bounded } });
    onClose();
    await navigate({ to: `/collections/${name}` });
  });
  const lengths = [
    { id: "3600", name: t`1 hour`, told: t`to see that it works` }, { id: String(DAY_S), name: t`1 day`, told: t`too short to state a risk` },
    { id: String(7 * DAY_S), name: t`1 week`, told: t`each day of the week, once` }, { id: String(14 * DAY_S), name: t`2 weeks` },
    { id: String(31 * DAY_S), name: t`1 month`, told: t`also what happens once a month` }, { id: "0", name: t`until somebody ends it` },
  ];
  return (
    <form onSubmit={submit} className="grid gap-4">
      <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="may-2026" fault={fault("meta.name")} hint={t`The survey gets the same name.`} />
      <TextField label={t`Servers`} value={text} onChange={setText} mono lines={6} isRequired fault={fault("spec.sources")}
        placeholder={"root@web1\nadmin@db1.example.org:2222\nroot@10.1.2.0/28"}
        hint={sources.length ? <Plural value={sources.length} one="# server or subnet" other="# servers or subnets" /> : t`One a line: [user@]host[:port], or a subnet. An ordinary user will do.`} />
      <div className="grid gap-4 sm:grid-cols-2">
        <Select label={t`For`} value={length} onChange={setLength} choices={lengths} fault={fault("spec.length_s")} />
        <NumberField label={t`A sample every`} unit="s" value={step} onChange={(v) => setStep(Math.round(v))} min={1} max={60} fault={fault("spec.step_s")} />
      </div>
      <p className="text-muted"><Trans>This server gets no keys to yours. You run one command where they can be reached, with your own SSH key; the next page shows it.</Trans></p>
      {problem ? <ProblemNote problem={problem} /> : null}
      <FormEnd onCancel={onClose} submit={t`Go on`} busy={busy} isDisabled={!name || sources.length === 0} />
    </form>
  );
}
