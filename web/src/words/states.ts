/** Words of the API, such as phases and reasons, in the reader's language; what is not known here is shown as it is. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react";
import { useCallback } from "react";

export type Tone = "good" | "warn" | "bad" | "busy" | "idle";

const TONES: Record<string, Tone> = {
  running: "good",
  ready: "good",
  paused: "warn",
  cordoned: "warn",
  warning: "warn",
  crashed: "bad",
  failed: "bad",
  unreachable: "bad",
  error: "bad",
  pending: "busy",
  moving: "busy",
  preparing: "busy",
  starting: "busy",
  stopping: "busy",
  deleting: "busy",
  draining: "busy",
  uploading: "busy",
  reading: "busy",
  making: "busy",
  done: "good",
  measured: "good",
  silent: "bad",
  lost: "bad",
  waiting: "busy",
  "rolled-back": "warn",
  fetching: "busy",
  building: "busy",
  converting: "busy",
  creating: "busy",
  taking: "busy",
  reverting: "busy",
};

export function toneOf(phase: string): Tone {
  return TONES[phase] ?? "idle";
}

const WORDS: Record<string, MessageDescriptor> = {
  running: msg({ context: "state", message: "running" }),
  ready: msg({ context: "state", message: "ready" }),
  paused: msg({ context: "state", message: "paused" }),
  stopped: msg({ context: "state", message: "stopped" }),
  crashed: msg({ context: "state", message: "crashed" }),
  failed: msg({ context: "state", message: "failed" }),
  unreachable: msg({ context: "state", message: "unreachable" }),
  cordoned: msg({ context: "state", message: "cordoned" }),
  pending: msg({ context: "state", message: "pending" }),
  moving: msg({ context: "state", message: "moving" }),
  preparing: msg({ context: "state", message: "preparing" }),
  starting: msg({ context: "state", message: "starting" }),
  stopping: msg({ context: "state", message: "stopping" }),
  deleting: msg({ context: "state", message: "deleting" }),
  draining: msg({ context: "state", message: "draining" }),
  reading: msg({ context: "state", message: "being read" }),
  measured: msg({ context: "state", message: "measured" }),
  lost: msg({ context: "state", message: "not reached" }),
  ended: msg({ context: "state", message: "ended" }),
  planned: msg({ context: "state", message: "planned" }),
  done: msg({ context: "state", message: "done" }),
  "rolled-back": msg({ context: "state", message: "rolled back" }),
  making: msg({ context: "state", message: "being made" }),
  uploading: msg({ context: "state", message: "uploading" }),
  fetching: msg({ context: "state", message: "fetching" }),
  building: msg({ context: "state", message: "building" }),
  converting: msg({ context: "state", message: "converting" }),
  creating: msg({ context: "state", message: "creating" }),
  taking: msg({ context: "state", message: "taking" }),
  reverting: msg({ context: "state", message: "reverting" }),
  info: msg({ context: "level", message: "info" }),
  warning: msg({ context: "level", message: "warning" }),
  error: msg({ context: "level", message: "error" }),
  viewer: msg({ context: "role", message: "viewer" }),
  operator: msg({ context: "role", message: "operator" }),
  admin: msg({ context: "role", message: "administrator" }),
  join: msg({ context: "role", message: "join" }),
  host: msg({ context: "role", message: "host" }),
  off: msg({ context: "power", message: "off" }),
  on: msg({ context: "power", message: "on" }),
  "forced-off": msg({ context: "power", message: "forced off" }),
  agent: msg({ context: "condition", message: "Guest agent" }),
  identity: msg({ context: "condition", message: "Identity" }),
  disks: msg({ context: "condition", message: "Disks" }),
  network: msg({ context: "condition", message: "Network" }),
  storage: msg({ context: "condition", message: "Storage" }),
  placed: msg({ context: "condition", message: "Placement" }),
  image: msg({ context: "condition", message: "Image" }),
  content: msg({ context: "condition", message: "Content" }),
  hardware: msg({ context: "condition", message: "Hardware" }),
  linked: msg({ context: "clone", message: "linked clone" }),
  full: msg({ context: "clone", message: "full copy" }),
  crash: msg({ context: "consistency", message: "as after a power failure" }),
  "file-system": msg({ context: "consistency", message: "file systems at rest" }),
  memory: msg({ context: "consistency", message: "nothing interrupted" }),
  restart: msg({ context: "on crash", message: "restart it" }),
  // What happened, and why a condition is as it is.
  started: msg({ context: "reason", message: "started" }),
  guest_shutdown: msg({ context: "reason", message: "guest shut down" }),
  host_lost: msg({ context: "reason", message: "host lost" }),
  panicked: msg({ context: "reason", message: "kernel panic" }),
  io_error: msg({ context: "reason", message: "storage error" }),
  io_resumed: msg({ context: "reason", message: "storage well again" }),
  step_failed: msg({ context: "reason", message: "step failed" }),
  waiting: msg({ context: "reason", message: "waits" }),
  merge_failed: msg({ context: "reason", message: "merge failed" }),
  reverted: msg({ context: "reason", message: "reverted" }),
  snapshot_taken: msg({ context: "reason", message: "snapshot taken" }),
  snapshot_failed: msg({ context: "reason", message: "snapshot failed" }),
  moved: msg({ context: "reason", message: "moved" }),
  restarting: msg({ context: "reason", message: "restarts" }),
  held: msg({ context: "reason", message: "held" }),
  missing: msg({ context: "reason", message: "missing" }),
  answers: msg({ context: "reason", message: "answers" }),
  silent: msg({ context: "reason", message: "silent" }),
  power: msg({ context: "condition", message: "Power" }),
  // What somebody did, in the audit log.
  create: msg({ context: "verb", message: "created" }),
  update: msg({ context: "verb", message: "changed" }),
  delete: msg({ context: "verb", message: "deleted" }),
  start: msg({ context: "verb", message: "switched on" }),
  revert: msg({ context: "verb", message: "reverted" }),
  export: msg({ context: "verb", message: "exported" }),
  exec: msg({ context: "verb", message: "ran a command" }),
  console: msg({ context: "verb", message: "opened the console" }),
  vnc: msg({ context: "verb", message: "opened the display" }),
  "sign-in": msg({ context: "verb", message: "signed in" }),
  "sign-out": msg({ context: "verb", message: "signed out" }),
  hold: msg({ context: "on crash", message: "hold it" }),
};

/** A word of the API in the reader's language. */
export function useWord(): (word: string) => string {
  const { i18n } = useLingui();
  return useCallback(
    (word: string) => {
      const known = WORDS[word];
      return known ? i18n._(known) : word.replaceAll("_", " ");
    },
    [i18n],
  );
}
