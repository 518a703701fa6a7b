/** The steps that make a template of a machine, in their order, and what each does. */
import { useLingui } from "@lingui/react/macro";
import type { components } from "~/api/schema";

export type Step = components["schemas"]["GeneraliseStep"];

export const STEPS: readonly Step[] = [
  "machine-id", "ssh-host-keys", "cloud-init", "hostname", "network-names", "dhcp-leases", "random-seed", "storage-names", "users", "history", "temporary-files", "logs", "trim",
];

export function useSteps(): Record<Step, string> {
  const { t } = useLingui();
  return {
    "machine-id": t`The machine's identity (machine-id)`,
    "ssh-host-keys": t`SSH host keys`,
    "cloud-init": t`What cloud-init has done`,
    hostname: t`The host name`,
    "network-names": t`Names of nics and MAC addresses`,
    "dhcp-leases": t`Leased addresses`,
    "random-seed": t`Stored random seeds`,
    "storage-names": t`Names of iSCSI initiator and NVMe host`,
    users: t`The users that were named`,
    history: t`Histories of shells and editors`,
    "temporary-files": t`Temporary files and caches of packages`,
    logs: t`Logs and journals`,
    trim: t`Space that no file takes`,
  };
}
