/** An SSH server on loopback, with keys of its own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";

export interface Sshd {
  port: number;
  /** A configuration of ssh that signs in, and knows the server. */
  config: string;
  process: ChildProcess;
}

async function freePort(): Promise<number> {
  return new Promise((done) => {
    const listener = createServer();
    listener.listen(0, "127.0.0.1", () => {
      const { port } = listener.address() as { port: number };
      listener.close(() => done(port));
    });
  });
}

const answers = (port: number) => new Promise<boolean>((done) => {
  const socket = connect(port, "127.0.0.1", () => { socket.destroy(); done(true); });
  socket.on("error", () => done(false));
});

export async function sshd(folder: string): Promise<Sshd> {
  mkdirSync(folder, { recursive: true });
  mkdirSync("/run/sshd", { recursive: true });
  const port = await freePort();
  const file = (name: string) => join(folder, name);
  for (const key of ["host_key", "user_key"]) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(key)]);
  const [kind, host] = readFileSync(file("host_key.pub"), "utf8").split(" ");
  writeFileSync(file("known_hosts"), `[127.0.0.1]:${port} ${kind} ${host}\n`);
  writeFileSync(file("sshd_config"), `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${file("host_key")}\nAuthorizedKeysFile ${file("user_key.pub")}\nStrictModes no\nUsePAM no\nPidFile none\n`);
  writeFileSync(file("ssh_config"), `Host *\n  IdentityFile ${file("user_key")}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${file("known_hosts")}\n  GlobalKnownHostsFile /dev/null\n`);
  const process = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", file("sshd_config")], { stdio: ["ignore", "ignore", openSync(file("log"), "a")] });
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries > 600) throw new Error(`sshd does not answer:\n${readFileSync(file("log"), "utf8")}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return { port, config: file("ssh_config"), process };
}
