/** The ways to a survey: measured over SSH, made of what other tools have measured, or sent as it is. */
import { Trans, useLingui } from "@lingui/react/macro";
import { type ReactNode, useState } from "react";
import { Button } from "~/design/basics";
import { Icon, type IconName } from "~/design/Icon";
import { Dialog } from "~/design/overlays";
import { Measure } from "./Measure";
import { OtherTools } from "./OtherTools";
import { SendFiles } from "./SendFiles";

type Way = "measure" | "tools" | "files";

export function NewSurvey({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [way, setWay] = useState<Way>();
  const titles: Record<Way, string> = { measure: t`Measure servers over SSH`, tools: t`Use what other tools have measured`, files: t`Send files` };
  return (
    <Dialog title={way ? titles[way] : t`New survey`} onClose={onClose} wide>
      {way ? <div className="mb-3"><Button small look="ghost" icon="undo" onPress={() => setWay(undefined)}><Trans>Another way</Trans></Button></div> : null}
      {way === undefined ? (
        <div className="grid gap-3">
          <p className="text-muted"><Trans>A survey holds how much servers use over time. A week shows each day of the week once; what happens once a month takes a month.</Trans></p>
          <Choice icon="bolt" name={titles.measure} onPress={() => setWay("measure")}><Trans>Linux servers. Nothing is installed on them; a sample costs them a few milliseconds.</Trans></Choice>
          <Choice icon="download" name={titles.tools} onPress={() => setWay("tools")}><Trans>Prometheus, sar, Windows perfmon, RVTools, Azure Migrate and others.</Trans></Choice>
          <Choice icon="upload" name={titles.files} onPress={() => setWay("files")}><Trans>servers.csv and a matrix for each metric, as Tabane writes them.</Trans></Choice>
        </div>
      ) : null}
      {way === "measure" ? <Measure onClose={onClose} /> : null}
      {way === "tools" ? <OtherTools onClose={onClose} onFiles={() => setWay("files")} /> : null}
      {way === "files" ? <SendFiles onClose={onClose} /> : null}
    </Dialog>
  );
}

function Choice({ icon, name, onPress, children }: { icon: IconName; name: string; onPress: () => void; children: ReactNode }) {
  return (
    <button type="button" onClick={onPress} className="flex items-start gap-3 rounded-lg border border-line bg-surface p-4 text-left hover:border-accent hover:bg-accent-soft">
      <span className="pt-0.5 text-accent"><Icon name={icon} /></span>
      <span className="grid gap-0.5"><span className="font-medium">{name}</span><span className="text-muted">{children}</span></span>
      <span className="ml-auto self-center text-muted"><Icon name="right" /></span>
    </button>
  );
}
