/** `tabane up` in a folder of its own, with the image `tiny` and running guests, for all tests. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const binary = process.env["TABANE_BIN"] ?? join(process.env["CARGO_TARGET_DIR"] ?? join(root, "target"), "debug/tabane");
const READY_MS = 60_000;

const environment = (folder: string) => {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("TABANE_")));
  return { ...clean, TABANE_DATA_DIR: folder };
};

/** Starts a command of the command line against the world, which goes on until it is killed. */
export function goingOn(...words: string[]): ChildProcess {
  const folder = process.env["CONSOLE_TEST_FOLDER"] ?? "";
  return spawn(binary, words, { env: environment(folder), cwd: folder, stdio: ["ignore", "ignore", openSync(join(folder, "going-on.log"), "a")] });
}

/** Runs the command line against the world; its standard output. */
export function tabane(...words: string[]): string {
  const folder = process.env["CONSOLE_TEST_FOLDER"] ?? "";
  return execFileSync(binary, words, { env: environment(folder), encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 300_000 });
}

export const base = () => process.env["CONSOLE_TEST_URL"] ?? "";
export const fingerprint = () => process.env["CONSOLE_TEST_FINGERPRINT"] ?? "";
export const token = () => process.env["CONSOLE_TEST_TOKEN"] ?? "";

async function up(folder: string): Promise<ChildProcess> {
  const log = join(folder, "up.log");
  const child = spawn(binary, ["up", "--name", "h1", "--listen", "127.0.0.1:0"], { env: environment(folder), stdio: ["ignore", "ignore", openSync(log, "a")] });
  const began = Date.now();
  for (;;) {
    const said = readFileSync(log, "utf8");
    const [, url, pinned] = /API\s+(https:\/\/[^/#\s]+)\/#(\w+)/.exec(said) ?? [];
    const key = /tbn_admin_[\w-]+/.exec(said)?.[0];
    if (url && key) {
      process.env["CONSOLE_TEST_URL"] = url;
      process.env["CONSOLE_TEST_FINGERPRINT"] = pinned;
      process.env["CONSOLE_TEST_TOKEN"] = key;
      return child;
    }
    if (child.exitCode !== null || Date.now() - began > READY_MS) throw new Error(`tabane up is not ready:\n${said}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

export default async function setup() {
  // QEMUs run as users of their own and have to pass through.
  const folder = mkdtempSync("/var/tmp/tabane-console-");
  chmodSync(folder, 0o711);
  process.env["CONSOLE_TEST_FOLDER"] = folder;
  const server = await up(folder);
  tabane("image", "build", "tiny");
  for (const name of ["web1", "db1"]) {
    tabane("vm", "create", name, "--image", "tiny", "--memory", "192MiB", "--label", "env=prod", "--start", "--wait", "agent", "--timeout", "240");
  }
  tabane("vm", "create", "spare", "--image", "tiny", "--memory", "128MiB", "--label", "env=test");
  tabane("network", "create", "lan", "--kind", "user");
  return async () => {
    // Clones go before what they stand on.
    const vms = JSON.parse(tabane("vm", "list", "-o", "json")) as { meta: { name: string; created_at: string } }[];
    vms.sort((a, b) => (a.meta.created_at < b.meta.created_at ? 1 : -1));
    try {
      for (const { meta } of vms) tabane("vm", "delete", meta.name, "--wait", "deleted");
    } finally {
      server.kill("SIGTERM");
      await new Promise((done) => server.once("exit", done));
      rmSync(folder, { recursive: true, force: true });
    }
  };
}
