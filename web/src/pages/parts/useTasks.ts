/** Work under way, drawn from the phases and progress of all objects. */
import { useMemo } from "react";
import { useObjects } from "~/api/live";
import { type Condition, type Progress, diskPhase, hostPhase, imagePhase, isUnplaced, snapshotPhase, unmet, vmPhase } from "~/api/objects";
import { toneOf } from "~/words/states";

export interface Task {
  kind: string;
  name: string;
  phase: string;
  progress?: Progress;
}

export function useTasks(): Task[] {
  const [vms, images, disks, hosts, snapshots] = [useObjects("vm"), useObjects("image"), useObjects("disk"), useObjects("host"), useObjects("snapshot")];
  return useMemo(() => {
    const tasks: Task[] = [];
    const add = (kind: string, name: string, phase: string, progress?: Progress | null) => {
      if (toneOf(phase) === "busy") tasks.push({ kind, name, phase, ...(progress ? { progress } : {}) });
    };
    for (const i of images) add("image", i.meta.name, imagePhase(i), i.status?.progress);
    for (const s of snapshots) add("snapshot", s.meta.name, snapshotPhase(s));
    for (const h of hosts) add("host", h.meta.name, hostPhase(h));
    for (const v of vms) add("vm", v.meta.name, vmPhase(v), v.status?.arrival?.progress);
    for (const d of disks) if (!d.spec.vm && !isUnplaced(d)) add("disk", d.meta.name, diskPhase(d));
    return tasks;
  }, [vms, images, disks, hosts, snapshots]);
}

export interface Alert {
  kind: string;
  name: string;
  phase: string;
  condition?: Condition;
}

/** What wants attention: bad phases, and conditions that are not met where they should be. */
export function useAlerts(): Alert[] {
  const [vms, images, hosts, disks] = [useObjects("vm"), useObjects("image"), useObjects("host"), useObjects("disk")];
  return useMemo(() => {
    const alerts: Alert[] = [];
    const add = (kind: string, name: string, phase: string, conditions: Condition[] | undefined, always: boolean) => {
      const bad = toneOf(phase) === "bad";
      const found = unmet(conditions).filter((c) => bad || (always && c.kind !== "agent"));
      if (found.length) for (const condition of found) alerts.push({ kind, name, phase, condition });
      else if (bad) alerts.push({ kind, name, phase });
    };
    for (const h of hosts) add("host", h.meta.name, hostPhase(h), h.status?.conditions, true);
    for (const v of vms) add("vm", v.meta.name, vmPhase(v), v.status?.conditions, vmPhase(v) === "running");
    for (const i of images) add("image", i.meta.name, imagePhase(i), i.status?.conditions, false);
    for (const d of disks) add("disk", d.meta.name, diskPhase(d), d.status?.conditions, false);
    return alerts;
  }, [vms, images, hosts, disks]);
}
