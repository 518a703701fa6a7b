/**
 * The one stream that keeps everything live.
 *
 *   GET /v1/watch ──► parse ──► pending changes ──(30 ms)──► TanStack Query's cache ──► pages
 *
 * When it breaks it is taken up where it was; when the server has forgotten that point it begins anew, and what was
 * not told again is gone. Invariant: a table in the cache is replaced, never changed, except for its index.
 */
import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useSyncExternalStore } from "react";
import { address, problemOf, signedOut } from "./client";
import type { Kind, Kinds } from "./objects";

export interface Table<T> {
  /** In order of names. */
  list: readonly T[];
  /** Shared by all versions of the table; read it for the newest state only. */
  index: Map<string, T>;
}

interface Named {
  meta: { name: string };
}

type Change =
  | { change: "put"; kind: string; revision: number; object: Named }
  | { change: "gone"; kind: string; revision: number; name: string }
  | { change: "synced"; revision: number };

export type LiveState = "connecting" | "live" | "lost";

const FLUSH_MS = 30;
const RETRY_MS_MAX = 5_000;
/** Older events are asked for by whoever wants them. */
const EVENTS = 1_000;

const EMPTY: Table<never> = { list: [], index: new Map<string, never>() };
const key = (kind: string) => ["objects", kind];

class Live {
  state: LiveState = "connecting";
  synced = false;
  private readonly listeners = new Set<() => void>();
  private stop: AbortController | undefined;
  private resume: number | undefined;
  private pending: Change[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** While a stream begins anew: what it has told of so far. */
  private seen: Set<string> | undefined;

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private become(state: LiveState, synced = this.synced) {
    if (state === this.state && synced === this.synced) return;
    this.state = state;
    this.synced = synced;
    for (const listener of this.listeners) listener();
  }

  start(client: QueryClient) {
    if (this.stop) return;
    const stop = new AbortController();
    this.stop = stop;
    void this.follow(client, stop.signal);
  }

  end(client: QueryClient) {
    this.stop?.abort();
    this.stop = undefined;
    this.resume = undefined;
    this.pending = [];
    client.removeQueries({ queryKey: ["objects"] });
    this.become("connecting", false);
  }

  private async follow(client: QueryClient, signal: AbortSignal) {
    let wait = 250;
    while (!signal.aborted) {
      try {
        const path = address("/v1/watch", { events: EVENTS, resume: this.resume });
        const response = await fetch(path, { signal, headers: { accept: "text/event-stream" } });
        if (response.status === 401) return signedOut();
        if (response.status === 410) this.resume = undefined;
        else if (!response.ok || !response.body) throw new Error((await problemOf(response)).detail);
        else {
          wait = 250;
          if (this.resume === undefined) this.seen = new Set();
          else this.become("live");
          await this.read(client, response.body);
        }
      } catch {
        if (signal.aborted) return;
      }
      if (signal.aborted) return;
      this.become("lost");
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(wait * 2, RETRY_MS_MAX);
    }
  }

  private async read(client: QueryClient, body: ReadableStream<Uint8Array>) {
    const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data:"));
        if (data) this.take(client, JSON.parse(data.slice(5)) as Change);
      }
    }
  }

  private take(client: QueryClient, change: Change) {
    this.resume = change.revision;
    this.pending.push(change);
    if (change.change === "put") this.seen?.add(`${change.kind}/${change.object.meta.name}`);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.flush(client);
    }, FLUSH_MS);
  }

  private flush(client: QueryClient) {
    const changes = new Map<string, Change[]>();
    let synced = false;
    for (const change of this.pending) {
      if (change.change === "synced") synced = true;
      else changes.set(change.kind, append(changes.get(change.kind), change));
    }
    this.pending = [];
    for (const [kind, all] of changes) {
      client.setQueryData<Table<Named>>(key(kind), (table) => applied(table ?? { list: [], index: new Map() }, all));
    }
    if (synced) {
      if (this.seen) this.forget(client, this.seen);
      this.seen = undefined;
      this.become("live", true);
    }
  }

  /** Takes away what a stream that began anew has not told of. */
  private forget(client: QueryClient, seen: Set<string>) {
    for (const [queryKey, table] of client.getQueriesData<Table<Named>>({ queryKey: ["objects"] })) {
      const kind = String(queryKey[1]);
      const gone = (table?.list ?? []).filter((object) => !seen.has(`${kind}/${object.meta.name}`));
      if (!table || gone.length === 0) continue;
      const changes = gone.map((o): Change => ({ change: "gone", kind, revision: 0, name: o.meta.name }));
      client.setQueryData(queryKey, applied(table, changes));
    }
  }
}

function append(list: Change[] | undefined, change: Change): Change[] {
  if (!list) return [change];
  list.push(change);
  return list;
}

/** Where a name is in a sorted list, or where it would be. */
export function place(list: readonly Named[], name: string): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.meta.name < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function applied(table: Table<Named>, changes: Change[]): Table<Named> {
  const index = table.index;
  const list = table.list.slice();
  // Many new or gone ones at once: sorting once is cheaper than moving the tail for each.
  const added = changes.filter((c) => c.change === "put" && !index.has(c.object.meta.name)).length;
  const sortLater = added > 64;
  for (const change of changes) {
    if (change.change === "put") {
      const name = change.object.meta.name;
      if (sortLater) {
        index.set(name, change.object);
        continue;
      }
      const at = place(list, name);
      list.splice(at, index.has(name) ? 1 : 0, change.object);
      index.set(name, change.object);
    } else if (change.change === "gone" && index.delete(change.name) && !sortLater) {
      list.splice(place(list, change.name), 1);
    }
  }
  if (!sortLater) return { list, index };
  const all = [...index.values()];
  all.sort((a, b) => (a.meta.name < b.meta.name ? -1 : 1));
  return { list: all, index };
}

export const live = new Live();

export function useLiveState(): { state: LiveState; synced: boolean } {
  const state = useSyncExternalStore(live.subscribe, () => live.state);
  const synced = useSyncExternalStore(live.subscribe, () => live.synced);
  return { state, synced };
}

const options = <K extends string>(kind: K) => ({
  queryKey: key(kind),
  queryFn: () => Promise.reject(new Error("the watch brings it")),
  enabled: false,
  staleTime: Infinity,
  gcTime: Infinity,
  structuralSharing: false as const,
});

/** All objects of a kind, in order of names, always as they are now. */
export function useObjects<K extends Kind>(kind: K): readonly Kinds[K][] {
  const { data } = useQuery<Table<Kinds[K]>>(options(kind));
  return (data ?? (EMPTY as Table<Kinds[K]>)).list;
}

/** Objects of a kind that may not exist on this server. */
export function useOthers<T>(kind: string): readonly T[] {
  const { data } = useQuery<Table<T>>(options(kind));
  return (data ?? (EMPTY as Table<T>)).list;
}

/** One object, or `undefined` while or when it is not there. */
export function useObject<K extends Kind>(kind: K, name: string | undefined): Kinds[K] | undefined {
  const { data } = useQuery<Table<Kinds[K]>, Error, Kinds[K] | undefined>({
    ...options(kind),
    select: (table) => (name === undefined ? undefined : table.index.get(name)),
  });
  return data;
}

/** The present state without following it. */
export function useTable<K extends Kind>(kind: K): () => readonly Kinds[K][] {
  const client = useQueryClient();
  return useMemo(() => () => client.getQueryData<Table<Kinds[K]>>(key(kind))?.list ?? [], [client, kind]);
}
