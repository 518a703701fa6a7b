/** How far an import is: its steps, and each disk on its way. */
import { Trans, useLingui } from "@lingui/react/macro";
import { type Importing, type Plan, STEPS } from "~/api/importing";
import { useObjects } from "~/api/live";
import { useUploads } from "~/api/upload";
import { Panel, Phase } from "~/design/basics";
import { Icon } from "~/design/Icon";
import { bytes, percent } from "~/words/format";
import { useStepWords } from "./words";

type Content = NonNullable<Plan["disks"][number]["content"]>;

export function Course({ importing, plan }: { importing: Importing; plan: Plan }) {
  const { t } = useLingui();
  const words = useStepWords();
  const at = importing.step === "done" ? STEPS.length : STEPS.indexOf(importing.step ?? "checking");
  const contents = plan.disks.flatMap((disk) => (disk.content ? [{ disk, content: disk.content }] : []));
  return (
    <Panel title={<Trans>Course of the import</Trans>} flush>
      <ol aria-label={t`Steps`} className="flex flex-wrap gap-x-4 gap-y-1 px-4 py-3">
        {STEPS.map((step, i) => (
          <li key={step} {...(i === at ? { "aria-current": "step" as const } : {})} className={`flex items-center gap-1.5 ${i === at ? "font-medium" : "text-muted"}`}>
            <span className={i < at ? "text-good" : i === at && importing.problem ? "text-bad" : "text-busy"}>
              {i < at ? <Icon name="check" /> : i > at ? <span className="block size-1.5 mx-1 rounded-full bg-line-strong" /> : <Icon name={importing.running ? "spinner" : importing.problem ? "alert" : "pause"} />}
            </span>
            {words[step]}
          </li>
        ))}
      </ol>
      {contents.length ? (
        <ul className="border-t border-line divide-y divide-line/70">
          {contents.map(({ disk, content }) => (
            <li key={disk.name} className="grid gap-x-4 gap-y-1 items-center px-4 py-2.5 sm:grid-cols-[minmax(0,1fr)_minmax(0,2fr)]">
              <span className="min-w-0"><span className="font-medium">{disk.name}</span> <span className="text-muted text-xs break-all">{content.file}</span></span>
              <Way content={content} importing={importing} after={at} />
            </li>
          ))}
        </ul>
      ) : null}
    </Panel>
  );
}

/** Where one disk is: read here, sent, converted, copied. */
function Way({ content, importing, after }: { content: Content; importing: Importing; after: number }) {
  const { t } = useLingui();
  const upload = useUploads().get(content.image);
  const image = useObjects("image").find((i) => i.meta.name === content.image);
  const size = content.file_bytes;
  const phase = image?.status?.phase;
  if (after > STEPS.indexOf("converting")) return <span className="text-good flex items-center gap-1.5"><Icon name="check" /><Trans>arrived</Trans></span>;
  if (upload && upload.state !== "done") {
    const said = upload.state === "waiting" ? t`the connection broke off; going on soon` : t`sent ${bytes(upload.sent)} of ${bytes(size)}`;
    return <Bar name={t`Upload of ${content.file}`} fraction={size ? upload.sent / size : 0} told={said} />;
  }
  const progress = image?.status?.progress;
  if (phase && phase !== "uploading" && phase !== "pending") {
    return progress && phase !== "ready" ? <Bar name={t`Progress of ${content.file}`} fraction={progress.fraction} told={progress.detail ?? ""} phase={phase} /> : <span><Phase phase={phase} /></span>;
  }
  const received = image?.status?.received_bytes ?? 0;
  if (received > 0) return <Bar name={t`Upload of ${content.file}`} fraction={size ? received / size : 0} told={t`sent ${bytes(received)} of ${bytes(size)}`} />;
  const read = importing.read[content.file];
  if (read !== undefined && importing.step === "checking") return <Bar name={t`Check of ${content.file}`} fraction={size ? read / size : 0} told={t`checked ${bytes(read)} of ${bytes(size)}`} />;
  return <span className="text-muted"><Trans>waits</Trans> · {bytes(size)}</span>;
}

function Bar({ name, fraction, told, phase }: { name: string; fraction: number; told: string; phase?: string }) {
  const value = Math.round(fraction * 100);
  return (
    <div className="min-w-0">
      <div role="progressbar" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value} aria-valuetext={`${told} ${value} %`} className="h-1.5 rounded-full bg-busy-soft overflow-hidden">
        <div className="h-full rounded-full bg-busy transition-[width] duration-300" style={{ width: `${Math.max(2, value)}%` }} />
      </div>
      <div className="flex items-center gap-2 text-xs text-muted mt-1"><span className="truncate">{told}</span>{phase ? <Phase phase={phase} /> : null}<span className="ml-auto tabular-nums">{percent(fraction)}</span></div>
    </div>
  );
}
