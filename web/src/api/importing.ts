/**
 * The import of a package, which goes on while other pages are looked at.
 *
 *   checking ─► sending ─► converting ─► creating ─► copying ─► clearing ─► done
 *
 * Each step finds what an earlier try has done, by the label with the package's digest, so an import that broke off goes
 * on when the same file is given again, here or on the command line.
 */
import { useSyncExternalStore } from "react";
import { type Problem, ProblemError, get, plain, post, remove } from "./client";
import { type Algorithm, digest, digestsOf } from "./digest";
import { type Disk, type Image, type Kind, type Vm, path } from "./objects";
import { type Package, PackageFault, readPackage } from "./package";
import type { components } from "./schema";
import { createOrGoOn, pause, send } from "./upload";

export type Plan = components["schemas"]["PackagePlan"];
export type Choices = components["schemas"]["PackageChoices"];
type Content = NonNullable<Plan["disks"][number]["content"]>;

export const LABEL = "imported-from";
export const STEPS = ["checking", "sending", "converting", "creating", "copying", "clearing"] as const;
export type Step = (typeof STEPS)[number];

export interface Importing {
  file?: File;
  package?: Package;
  fault?: PackageFault;
  /** Under way, or where it stopped. */
  step?: Step | "done";
  running: boolean;
  plan?: Plan;
  /** While checking: bytes that were read of each file. */
  read: Record<string, number>;
  problem?: Problem;
}

const NOTHING: Importing = { running: false, read: {} };
let present: Importing = NOTHING;
let stop: AbortController | undefined;
const listeners = new Set<() => void>();

function set(change: Partial<Importing>) {
  present = { ...present, ...change };
  for (const listener of listeners) listener();
}

export function useImporting(): Importing {
  return useSyncExternalStore((l) => { listeners.add(l); return () => listeners.delete(l); }, () => present);
}

/** Looks at a package; another one that is being imported is not disturbed. */
export async function open(file: File): Promise<void> {
  if (present.running) return;
  present = NOTHING;
  set({ file });
  try {
    const found = await readPackage(file);
    if (present.file === file) set({ package: found });
  } catch (error) {
    const fault = error instanceof PackageFault ? error : new PackageFault("damaged", String(error));
    if (present.file === file) set({ fault });
  }
}

export function close() {
  if (present.running) return;
  present = NOTHING;
  set({});
}

export function plan(of: Package, choices: Choices, signal?: AbortSignal): Promise<Plan> {
  const { descriptor, manifest, entries, descriptorName: descriptor_name } = of;
  const files = entries.map(({ name, length: size_bytes }) => ({ name, size_bytes }));
  const request = { descriptor_name, descriptor, ...(manifest === undefined ? {} : { manifest }), files, choices };
  return post<Plan>("/v1/packages/plan", request, signal ? { signal } : {});
}

/** What the plan labels VM and images with: whether there was an earlier try is asked before there is a plan. */
export const digestOf = (of: Package) => digest("sha256").update(new TextEncoder().encode(of.descriptor)).finish().slice(0, 32);

const contents = (of: Plan): Content[] => of.disks.flatMap((disk) => (disk.content ? [disk.content] : []));
const labelOf = (of: Plan) => of.vm.meta.labels?.[LABEL] ?? "";

function slice(from: Package, content: Content): Blob {
  const entry = from.entries.find((e) => e.name === content.file);
  if (!entry) throw new Error(content.file);
  return from.file.slice(entry.offset, entry.offset + entry.length);
}

/** One that an earlier try has made; all of them have the label. */
async function find<T extends { meta: { name: string } }>(kind: Kind, name: string, label: string, signal?: AbortSignal): Promise<T | undefined> {
  const { items } = await get<{ items: T[] }>(path(kind), { query: { labels: `${LABEL}=${label}` }, ...(signal ? { signal } : {}) });
  return items.find((object) => object.meta.name === name);
}

const WAIT_S = 60;
const RETRY_MS = 2_000;

/** Until it is ready; the server answers each time after a minute at most, and may be away meanwhile. */
async function ready<T>(where: string, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await get<T>(where, { query: { wait: "ready", timeout_s: WAIT_S }, signal });
    } catch (error) {
      const code = error instanceof ProblemError ? error.problem.code : "";
      if (code === "offline") await pause(RETRY_MS);
      else if (code !== "wait_timed_out") throw error;
    }
  }
}

const changed = (file: string, found: string) =>
  new ProblemError(plain("package_refused", "package refused", 0, `"${file}" is not what the manifest says (its digest is ${found})`, "it was damaged or changed: fetch the package again from where it comes"));

/** SHA-256 of each disk for the host to check what arrives: the manifest's, or made here while its other digest is checked. */
async function check(from: Package, of: Plan, signal: AbortSignal): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (const content of contents(of)) {
    const stated = content.digest;
    if (stated?.algorithm === "sha256") {
      digests.set(content.file, stated.hexadecimal);
      continue;
    }
    const algorithms: Algorithm[] = ["sha256", ...(stated ? [stated.algorithm] : [])];
    const told = (bytes: number) => set({ read: { ...present.read, [content.file]: bytes } });
    const [sha256, other] = await digestsOf(slice(from, content), algorithms, signal, told);
    if (stated && other !== stated.hexadecimal) throw changed(content.file, other ?? "");
    digests.set(content.file, sha256!);
  }
  return digests;
}

/** A try that failed is of no use for the next one. */
async function giveUpFailed(name: string, label: string, signal: AbortSignal) {
  const known = await find<Image>("image", name, label, signal);
  if (known?.status?.phase !== "failed") return;
  await remove(path("image", name));
  for (let tries = 0; tries < 100 && (await find<Image>("image", name, label, signal)); tries++) await pause(100);
}

async function make(from: Package, of: Plan, control: AbortController): Promise<Vm> {
  const { signal } = control;
  const label = labelOf(of);
  set({ step: "checking" });
  const digests = await check(from, of, signal);
  set({ step: "sending" });
  for (const content of contents(of)) {
    await giveUpFailed(content.image, label, signal);
    const { image: name, file, file_bytes: size_bytes, virtual_size_bytes_max } = content;
    await createOrGoOn({ meta: { name, labels: { [LABEL]: label } }, spec: { source: { upload: { size_bytes } }, sha256: digests.get(file)!, virtual_size_bytes_max } });
    await send(name, slice(from, content), control);
  }
  set({ step: "converting" });
  for (const content of contents(of)) await ready<Image>(path("image", content.image), signal);
  set({ step: "creating" });
  // Found by its label if the answer is lost.
  return post<Vm>(path("vm"), { meta: { name: of.vm.meta.name, labels: of.vm.meta.labels }, spec: of.vm.spec });
}

/** Makes the VM of the plan, or goes on with that. */
export async function run(from: Package, of: Plan): Promise<void> {
  const control = new AbortController();
  const { signal } = control;
  stop = control;
  const { problem: _, ...rest } = present;
  present = rest;
  set({ running: true, plan: of, read: {}, step: "checking" });
  addEventListener("beforeunload", holdBack);
  try {
    const known = await find<Vm>("vm", of.vm.meta.name, labelOf(of), signal);
    const vm = known ?? (await make(from, of, control));
    set({ step: "copying" });
    for (const disk of vm.spec.disks ?? []) if (disk.disk) await ready<Disk>(path("disk", disk.disk), signal);
    set({ step: "clearing" });
    // The images were only the way here: the VM has copies.
    await clear(of);
    set({ step: "done" });
  } catch (error) {
    if (!signal.aborted) set({ problem: error instanceof ProblemError ? error.problem : plain("console", "console", 0, String(error)) });
  } finally {
    removeEventListener("beforeunload", holdBack);
    set({ running: false });
  }
}

/** Takes away the images on the way to the VM. */
export async function clear(of: Plan): Promise<void> {
  for (const content of contents(of)) {
    if (await find<Image>("image", content.image, labelOf(of))) await remove(path("image", content.image));
  }
}

/** What was sent stays, so that it can go on. */
export function interrupt() {
  stop?.abort();
}

const holdBack = (event: BeforeUnloadEvent) => event.preventDefault();
