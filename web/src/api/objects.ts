/** The nouns of the API as the console sees them, and short words for what is asked of them most. */
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Vm = Schemas["Vm"];
export type Image = Schemas["Image"];
export type Disk = Schemas["Disk"];
export type Pool = Schemas["Pool"];
export type Network = Schemas["Network"];
export type Host = Schemas["Host"];
export type Event = Schemas["Event"];
export type Flavor = Schemas["Flavor"];
export type Snapshot = Schemas["Snapshot"];
export type Token = Schemas["Token"];
export type Condition = Schemas["Condition"];
export type Progress = Schemas["Progress"];
export type AuditRecord = Schemas["AuditRecord"];
export type Session = Schemas["Session"];

export interface Kinds {
  vm: Vm;
  image: Image;
  disk: Disk;
  pool: Pool;
  network: Network;
  host: Host;
  event: Event;
  token: Token;
  snapshot: Snapshot;
  flavor: Flavor;
  survey: Schemas["Survey"];
  plan: Schemas["Plan"];
  wave: Schemas["Wave"];
  collection: Schemas["Collection"];
}
export type Kind = keyof Kinds;

export const PLURAL: Record<Kind, string> = {
  vm: "vms",
  image: "images",
  disk: "disks",
  pool: "pools",
  network: "networks",
  host: "hosts",
  event: "events",
  token: "tokens",
  snapshot: "snapshots",
  flavor: "flavors",
  survey: "surveys",
  plan: "plans",
  wave: "waves",
  collection: "collections",
};

export function path(kind: Kind, name?: string, action?: string): string {
  const base = `/v1/${PLURAL[kind]}`;
  return name === undefined ? base : `${base}/${encodeURIComponent(name)}${action ? `/${action}` : ""}`;
}

interface Deletable {
  meta: { deleted_at?: string | null };
}

const leaving = (object: Deletable) => Boolean(object.meta.deleted_at);

export function vmPhase(vm: Vm): string {
  return leaving(vm) ? "deleting" : (vm.status?.phase ?? "pending");
}

export function imagePhase(image: Image): string {
  return leaving(image) ? "deleting" : (image.status?.phase ?? "pending");
}

/** An image that was made of a VM. */
export const isTemplate = (image: Image) => "snapshot" in image.spec.source;

export function diskPhase(disk: Disk): string {
  return leaving(disk) ? "deleting" : (disk.status?.phase ?? "pending");
}

/** One that no host makes before a VM wants it. */
export const isUnplaced = (disk: Disk) => !disk.spec.vm && !disk.spec.host && !disk.status?.size_bytes && !leaving(disk);

export function snapshotPhase(snapshot: Snapshot): string {
  return leaving(snapshot) ? "deleting" : (snapshot.status?.phase ?? "pending");
}

export function hostPhase(host: Host): string {
  if (leaving(host)) return "deleting";
  if (host.status?.phase === "unreachable") return "unreachable";
  if (host.spec.drain) return "draining";
  return host.spec.cordoned ? "cordoned" : (host.status?.phase ?? "pending");
}

export function networkPhase(network: Network): string {
  if (leaving(network)) return "deleting";
  const hosts = Object.values(network.status?.hosts ?? {}) as { ready: boolean }[];
  return hosts.some((h) => !h.ready) ? "failed" : "ready";
}

export function poolPhase(pool: Pool): string {
  if (leaving(pool)) return "deleting";
  const hosts = Object.values(pool.status?.hosts ?? {}) as { ready: boolean }[];
  return hosts.some((h) => h.ready) ? "ready" : "pending";
}

/** A VM whose QEMU is there. */
export function isUp(vm: Vm): boolean {
  return ["running", "paused", "stopping"].includes(vmPhase(vm));
}

export function vmAddresses(vm: Vm): string[] {
  const told = vm.status?.guest?.addresses ?? [];
  const given = (vm.spec.nics ?? []).map((nic) => nic.address).filter((a): a is string => Boolean(a));
  return [...new Set([...told, ...given])];
}

/** What has not been reached, for what wants attention. Conditions of a VM that is off are none. */
export function unmet(conditions: Condition[] | undefined): Condition[] {
  return (conditions ?? []).filter((c) => !c.met);
}
