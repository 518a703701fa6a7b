/** The files of a survey are chosen and sent. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { FileTrigger } from "react-aria-components";
import { sendSurvey, surveyFileName } from "~/api/planning";
import { Button } from "~/design/basics";
import { TextField } from "~/design/fields";
import { FormEnd, ProblemNote, useForm } from "~/design/overlays";
import { bytes } from "~/words/format";

export function SendFiles({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<File[]>([]);
  const [at, setAt] = useState<string>();
  const files = useMemo(() => {
    const known = new Map<string, File>();
    for (const file of chosen) {
      const named = surveyFileName(file.name);
      if (named) known.set(named, file);
    }
    return new Map([...known].sort(([a], [b]) => (a < b ? -1 : 1)));
  }, [chosen]);
  const left = chosen.length - files.size;
  const { busy, problem, submit, fault } = useForm(async () => {
    await sendSurvey(name, files, (_, file) => setAt(file));
    onClose();
  });
  return (
    <form onSubmit={submit} className="grid gap-4">
      <p className="text-muted"><Trans>A survey is servers.csv and a matrix for each metric, such as cpu_mhz.csv or cpu_mhz.csv.gz. `tabane survey export` and `tabane survey import` write them.</Trans></p>
      <TextField label={t`Name`} value={name} onChange={setName} mono autoFocus isRequired placeholder="may-2026" fault={fault("meta.name")} />
      <div className="grid gap-2">
        <FileTrigger allowsMultiple acceptedFileTypes={[".csv", ".gz"]} onSelect={(list) => setChosen(Array.from(list ?? []))}>
          <Button icon="plus"><Trans>Choose files</Trans></Button>
        </FileTrigger>
        {files.size ? (
          <ul className="grid gap-1" aria-label={t`Files`}>
            {[...files].map(([file, content]) => (
              <li key={file} className="flex gap-2"><code>{file}</code><span className="text-muted ml-auto">{busy && at === file ? <Trans>sending…</Trans> : bytes(content.size)}</span></li>
            ))}
          </ul>
        ) : null}
        {left > 0 ? <p className="text-muted"><Plural value={left} one="# file is none of a survey, or is there twice, and stays here." other="# files are none of a survey, or are there twice, and stay here." /></p> : null}
      </div>
      {problem ? <ProblemNote problem={problem} /> : null}
      <FormEnd onCancel={onClose} submit={t`Send`} busy={busy} isDisabled={!name || files.size === 0} />
    </form>
  );
}
