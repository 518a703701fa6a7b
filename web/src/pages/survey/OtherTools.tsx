/** How to make a survey of what other tools have measured: their files are many, and are read where they lie. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { Button } from "~/design/basics";
import { Command } from "~/design/Cli";
import { Select } from "~/design/fields";

export function OtherTools({ onClose, onFiles }: { onClose: () => void; onFiles: () => void }) {
  const { t } = useLingui();
  const [tool, setTool] = useState("prometheus");
  const tools = [
    { id: "prometheus", name: "Prometheus", files: "*.json", told: t`answers of range queries over metrics of node_exporter` },
    { id: "sar", name: "sar (sysstat)", files: "sa.txt", told: t`what sadf writes of its daily files` },
    { id: "perfmon", name: "Windows perfmon", files: "*.csv", told: t`counter logs as CSV; relog makes them of BLG files` },
    { id: "rvtools", name: "RVTools (VMware)", files: "export.xlsx", told: t`an inventory: what VMs have, without loads over time` },
    { id: "azure-migrate", name: "Azure Migrate", files: "assessment.csv", told: t`an inventory: what servers have, without loads over time` },
    { id: "vmware-inventory", name: "VMware PowerCLI", files: "vms.csv", told: t`an inventory: what VMs have, without loads over time` },
    { id: "hyperv-inventory", name: "Hyper-V", files: "vms.csv", told: t`an inventory: what VMs have, without loads over time` },
    { id: "bitbrains", name: "Bitbrains (GWA-T-12)", files: "*.csv", told: t`a file for each VM` },
    { id: "planetlab", name: "PlanetLab", files: "20110303/*", told: t`a file for each VM and day, CPU alone` },
  ];
  const chosen = tools.find((entry) => entry.id === tool);
  return (
    <div className="grid gap-4">
      <Select label={t`What has measured`} value={tool} onChange={setTool} choices={tools} hint={chosen?.told} />
      <div className="grid gap-2">
        <p><Trans>Where its files are, run</Trans></p>
        <div className="grid gap-1 rounded-lg border border-line bg-sunken px-3 py-1.5">
          <Command command={`tabane survey import ${tool} ${chosen?.files ?? ""} --to traces`} />
          <Command command="tabane survey push NAME --traces traces" />
        </div>
      </div>
      <p className="text-muted"><Trans>The first makes a folder of traces and says what is odd about the files; the second sends it here. The folder can also be sent from this page.</Trans></p>
      <div className="flex justify-end gap-2 pt-2">
        <Button onPress={onClose}><Trans>Close</Trans></Button>
        <Button icon="upload" onPress={onFiles}><Trans>Send files</Trans></Button>
      </div>
    </div>
  );
}
