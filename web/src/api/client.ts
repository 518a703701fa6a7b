/** Calls of the API. Every failure is a {@link ProblemError} with what the server said and what to do next. */
import type { components } from "./schema";

export type Problem = components["schemas"]["Problem"];

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

type Query = Record<string, string | number | boolean | undefined>;

export interface Options {
  query?: Query;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let whenSignedOut = () => {};

/** Says what to do when the server does not know the session any more. */
export function onSignedOut(callback: () => void) {
  whenSignedOut = callback;
}

export function signedOut() {
  whenSignedOut();
}

export function address(path: string, query?: Query): string {
  const words = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== false);
  if (words.length === 0) return path;
  return `${path}?${new URLSearchParams(words.map(([key, value]) => [key, String(value)])).toString()}`;
}

/** What an answer that is no success says; also for answers that are not the server's own. */
export async function problemOf(response: Response): Promise<Problem> {
  try {
    const told = (await response.json()) as Partial<Problem>;
    if (typeof told.code === "string" && typeof told.detail === "string") return told as Problem;
  } catch {
    // Something in between answered, such as a proxy.
  }
  return plain("http", `HTTP ${response.status}`, response.status, response.statusText || `HTTP ${response.status}`);
}

export function plain(code: string, title: string, status: number, detail: string, hint?: string): Problem {
  return { type: `/v1/problems/${code}`, code, title, status, detail, ...(hint ? { hint } : {}) };
}

/** A reading that did not get through is tried once more: the network may just have changed. */
async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (init.method !== "GET" || init.signal?.aborted) throw error;
    await new Promise((done) => setTimeout(done, 300));
    return fetch(url, init);
  }
}

async function send(method: string, path: string, body: unknown, options: Options): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method, headers, ...(options.signal ? { signal: options.signal } : {}) };
  if (body !== undefined) init.body = JSON.stringify(body);
  let response: Response;
  try {
    response = await reach(address(path, options.query), init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ProblemError(plain("offline", "offline", 0, "the server does not answer", "see whether it runs and is reachable"));
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (response.status === 401 && path !== "/v1/session") signedOut();
    throw new ProblemError(problem);
  }
  return response;
}

async function parsed<T>(response: Response): Promise<T> {
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export async function get<T>(path: string, options: Options = {}): Promise<T> {
  return parsed(await send("GET", path, undefined, options));
}

export async function post<T>(path: string, body?: unknown, options: Options = {}): Promise<T> {
  return parsed(await send("POST", path, body, options));
}

export async function patch<T>(path: string, body: unknown, options: Options = {}): Promise<T> {
  return parsed(await send("PATCH", path, body, options));
}

export async function remove<T>(path: string, options: Options = {}): Promise<T> {
  return parsed(await send("DELETE", path, undefined, options));
}

export async function blob(path: string, options: Options = {}): Promise<Blob> {
  return (await send("GET", path, undefined, options)).blob();
}
