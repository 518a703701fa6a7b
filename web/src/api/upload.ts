/**
 * Uploads of images: in parts, each from where the server says that it is. One that breaks off goes on; also after the
 * page was closed, when the same file is given again.
 */
import { useSyncExternalStore } from "react";
import { ProblemError, get, plain, post, type Problem } from "./client";
import { type Image, path } from "./objects";

export interface Upload {
  name: string;
  size: number;
  sent: number;
  state: "sending" | "waiting" | "done" | "failed";
  problem?: Problem;
}

const PART_BYTES = 32 * 2 ** 20;
const TRIES = 30;
let uploads: ReadonlyMap<string, Upload> = new Map();
const listeners = new Set<() => void>();
const stops = new Map<string, AbortController>();

function put(upload: Upload | string) {
  const next = new Map(uploads);
  if (typeof upload === "string") next.delete(upload);
  else next.set(upload.name, upload);
  uploads = next;
  for (const listener of listeners) listener();
}

export function useUploads(): ReadonlyMap<string, Upload> {
  return useSyncExternalStore((l) => { listeners.add(l); return () => listeners.delete(l); }, () => uploads);
}

export function stopUpload(name: string) {
  stops.get(name)?.abort();
  stops.delete(name);
  put(name);
}

export const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

function sendPart(name: string, offset: number, part: Blob, signal: AbortSignal, told: (bytes: number) => void): Promise<void> {
  // XMLHttpRequest, because fetch does not tell how much of a body was sent.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `${path("image", name, "content")}?offset_bytes=${offset}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.onprogress = (event) => told(offset + event.loaded);
    request.onload = () => {
      if (request.status < 300) return resolve();
      let problem = plain("http", "HTTP", request.status, `HTTP ${request.status}`);
      try {
        problem = JSON.parse(request.responseText) as Problem;
      } catch {
        // Not the server's own answer.
      }
      reject(new ProblemError(problem));
    };
    request.onerror = () => reject(new ProblemError(plain("offline", "offline", 0, "the connection broke off")));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(part);
  });
}

/** The image as it is, also when the server is away for a while. */
async function read(name: string, signal: AbortSignal): Promise<Image | undefined> {
  try {
    return await get<Image>(path("image", name), { signal });
  } catch (error) {
    if (error instanceof ProblemError && ["offline", "http"].includes(error.problem.code)) return undefined;
    throw error;
  }
}

async function follow(name: string, content: Blob, signal: AbortSignal) {
  const size = content.size;
  let wait = 200;
  for (let tries = 0; ; ) {
    const image = await read(name, signal);
    const phase = image?.status?.phase ?? "pending";
    if (image && phase === "pending") {
      await pause(150);
      continue;
    }
    if (image && phase !== "uploading") return;
    const offset = image?.status?.received_bytes ?? 0;
    try {
      if (!image) throw new ProblemError(plain("offline", "offline", 0, "the server does not answer"));
      await sendPart(name, offset, content.slice(offset, offset + PART_BYTES), signal, (sent) => put({ name, size, sent, state: "sending" }));
      tries = 0;
      wait = 200;
      if (offset + PART_BYTES >= size) return;
      // The next part begins where the host says that this one ended.
      for (let i = 0; i < 50 && ((await read(name, signal))?.status?.received_bytes ?? 0) <= offset; i++) await pause(50);
    } catch (error) {
      if (signal.aborted) throw error;
      tries += 1;
      if (tries >= TRIES) throw error;
      put({ name, size, sent: offset, state: "waiting" });
      await pause(wait);
      wait = Math.min(wait * 2, 5_000);
    }
  }
}

/** Sends the content of an image that is there; returns when the host has all of it. */
export async function send(name: string, content: Blob, stop: AbortController): Promise<void> {
  stops.set(name, stop);
  put({ name, size: content.size, sent: 0, state: "sending" });
  try {
    await follow(name, content, stop.signal);
    put({ name, size: content.size, sent: content.size, state: "done" });
    setTimeout(() => put(name), 3_000);
  } catch (error) {
    if (stop.signal.aborted) put(name);
    else {
      const problem = error instanceof ProblemError ? error.problem : plain("console", "console", 0, String(error));
      put({ name, size: content.size, sent: 0, state: "failed", problem });
    }
    throw error;
  } finally {
    stops.delete(name);
  }
}

export interface NewImage {
  meta: { name: string; labels?: Record<string, string> };
  spec: { source: { upload: { size_bytes: number } }; sha256?: string; virtual_size_bytes_max?: number };
}

/** Makes the image, or finds the one that waits for the rest of the same content. */
export async function createOrGoOn(image: NewImage): Promise<void> {
  try {
    await post(path("image"), image);
  } catch (error) {
    if (!(error instanceof ProblemError) || error.problem.code !== "name_taken") throw error;
    const known = await get<Image>(path("image", image.meta.name));
    const source = known.spec.source as { upload?: { size_bytes: number } };
    const phase = known.status?.phase ?? "pending";
    const digest = image.spec.sha256;
    // Without a checksum, what has arrived already may be anything.
    const unfinished = ["pending", "uploading"].includes(phase) || (digest !== undefined && phase !== "failed");
    const same = source.upload?.size_bytes === image.spec.source.upload.size_bytes && (known.spec.sha256 ?? undefined) === digest;
    if (!same || !unfinished || known.meta.deleted_at) throw error;
  }
}

/** Begins an upload, or goes on with one; returns when that has begun. */
export async function startUpload(name: string, file: File, sha256?: string): Promise<void> {
  await createOrGoOn({ meta: { name }, spec: { source: { upload: { size_bytes: file.size } }, ...(sha256 ? { sha256 } : {}) } });
  // What goes wrong is shown where the upload is.
  void send(name, file, new AbortController()).catch(() => {});
}
