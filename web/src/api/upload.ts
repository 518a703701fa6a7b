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

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

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

async function follow(name: string, file: File, signal: AbortSignal) {
  let wait = 200;
  for (let tries = 0; tries < TRIES; ) {
    const image = await get<Image>(path("image", name), { signal });
    const phase = image.status?.phase ?? "pending";
    if (phase === "pending") {
      await pause(150);
      continue;
    }
    if (phase !== "uploading") return;
    const offset = image.status?.received_bytes ?? 0;
    try {
      await sendPart(name, offset, file.slice(offset, offset + PART_BYTES), signal, (sent) => put({ name, size: file.size, sent, state: "sending" }));
      tries = 0;
      wait = 200;
      if (offset + PART_BYTES >= file.size) return;
      // The next part begins where the host says that this one ended.
      for (let i = 0; i < 50 && ((await get<Image>(path("image", name), { signal })).status?.received_bytes ?? 0) <= offset; i++) await pause(50);
    } catch (error) {
      if (signal.aborted) throw error;
      tries += 1;
      if (tries >= TRIES) throw error;
      put({ name, size: file.size, sent: offset, state: "waiting" });
      await pause(wait);
      wait = Math.min(wait * 2, 5_000);
    }
  }
}

/** Makes the image, or goes on with one that waits for the rest of the same size; returns when that has begun. */
export async function startUpload(name: string, file: File, sha256?: string): Promise<void> {
  const spec = { source: { upload: { size_bytes: file.size } }, ...(sha256 ? { sha256 } : {}) };
  try {
    await post(path("image"), { meta: { name }, spec });
  } catch (error) {
    if (!(error instanceof ProblemError) || error.problem.code !== "name_taken") throw error;
    const known = await get<Image>(path("image", name));
    const source = known.spec.source as { upload?: { size_bytes: number } };
    const unfinished = ["pending", "uploading"].includes(known.status?.phase ?? "pending");
    if (!unfinished || source.upload?.size_bytes !== file.size) throw error;
  }
  const stop = new AbortController();
  stops.set(name, stop);
  put({ name, size: file.size, sent: 0, state: "sending" });
  void follow(name, file, stop.signal).then(
    () => {
      put({ name, size: file.size, sent: file.size, state: "done" });
      setTimeout(() => put(name), 3_000);
    },
    (error: unknown) => {
      if (stop.signal.aborted) return;
      const problem = error instanceof ProblemError ? error.problem : plain("console", "console", 0, String(error));
      put({ name, size: file.size, sent: 0, state: "failed", problem });
    },
  );
}
