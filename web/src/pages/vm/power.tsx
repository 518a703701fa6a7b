/** What can be done to VMs by a button: the same for one and for many. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { type ReactNode, useState } from "react";
import { post, remove } from "~/api/client";
import { type Vm, path, vmPhase } from "~/api/objects";
import { useMay } from "~/api/session";
import { Button } from "~/design/basics";
import type { IconName } from "~/design/Icon";
import { Confirm, complain, say } from "~/design/overlays";

export type Action = "start" | "shutdown" | "force-off" | "pause" | "resume" | "reset" | "delete";

export interface Offer {
  action: Action;
  name: string;
  icon: IconName;
  danger?: boolean;
  /** For which VMs it makes sense. */
  fits: (vm: Vm) => boolean;
}

const up = ["running", "paused", "stopping", "starting", "preparing"];

export function useOffers(): Offer[] {
  const { t } = useLingui();
  const phase = (wanted: string[]) => (vm: Vm) => wanted.includes(vmPhase(vm));
  return [
    { action: "start", name: t`Start`, icon: "play", fits: phase(["stopped", "crashed", "failed", "pending"]) },
    { action: "shutdown", name: t`Shut down`, icon: "stop", fits: phase(["running", "paused", "starting"]) },
    { action: "pause", name: t`Pause`, icon: "pause", fits: phase(["running"]) },
    { action: "resume", name: t`Resume`, icon: "play", fits: phase(["paused"]) },
    { action: "reset", name: t`Reset`, icon: "reset", danger: true, fits: phase(["running", "paused"]) },
    { action: "force-off", name: t`Force off`, icon: "bolt", danger: true, fits: phase(up) },
    { action: "delete", name: t`Delete`, icon: "trash", danger: true, fits: (vm) => vmPhase(vm) !== "deleting" },
  ];
}

async function run(action: Action, name: string) {
  if (action === "delete") await remove(path("vm", name));
  else await post(path("vm", name, action));
}

/** At most this many requests at once. */
const AT_ONCE = 8;

async function runAll(action: Action, names: string[]): Promise<number> {
  const queue = names.slice();
  let failed = 0;
  let first: unknown;
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      try {
        await run(action, name);
      } catch (error) {
        failed += 1;
        first ??= error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (first) complain(first);
  return names.length - failed;
}

/** For places that are of no use while the VM is off. */
export function StartButton({ vm }: { vm: Vm }) {
  const { change } = useMay();
  const start = useOffers().find((offer) => offer.action === "start");
  if (!change || !start?.fits(vm)) return null;
  return <Button look="primary" icon="play" onPress={() => void runAll("start", [vm.meta.name])}><Trans>Start it</Trans></Button>;
}

/** Does what was chosen, and asks first when it takes something away. */
export function usePower(): { ask: (action: Action, vms: Vm[]) => void; dialog: ReactNode; may: boolean } {
  const { t } = useLingui();
  const { change } = useMay();
  const [asked, setAsked] = useState<{ action: Action; vms: Vm[] }>();
  const perform = async (action: Action, vms: Vm[]) => {
    const done = await runAll(action, vms.map((vm) => vm.meta.name));
    if (vms.length > 1 && done > 0) say(<Plural value={done} one="# VM was told." other="# VMs were told." />);
  };
  const ask = (action: Action, vms: Vm[]) => {
    if (["delete", "force-off", "reset"].includes(action)) setAsked({ action, vms });
    else void perform(action, vms);
  };
  const close = () => setAsked(undefined);
  let dialog: ReactNode = null;
  if (asked) {
    const { action, vms } = asked;
    const one = vms.length === 1 ? vms[0]!.meta.name : undefined;
    const subject = one ?? t`${vms.length} VMs`;
    const titles = { delete: t`Delete ${subject}?`, "force-off": t`Cut the power of ${subject}?`, reset: t`Reset ${subject}?` } as Record<string, string>;
    const buttons = { delete: t`Delete`, "force-off": t`Force off`, reset: t`Reset` } as Record<string, string>;
    const typed = action === "delete" ? (one ?? String(vms.length)) : undefined;
    dialog = (
      <Confirm title={titles[action]} action={buttons[action]} onClose={close} onConfirm={() => perform(action, vms)} {...(typed === undefined ? {} : { name: typed })}>
        {action === "delete"
          ? <p><Trans>The VM and its disks are deleted for good. Disks marked to be kept stay.</Trans></p>
          : <p><Trans>The guest is not asked: what it has not written to its disks yet is lost.</Trans></p>}
        {one ? null : <p className="mt-2 max-h-32 overflow-auto font-mono text-xs text-muted">{vms.map((vm) => vm.meta.name).join("  ")}</p>}
      </Confirm>
    );
  }
  return { ask, dialog, may: change };
}
