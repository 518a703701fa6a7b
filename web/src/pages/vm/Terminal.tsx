/** The serial console. What was said before one came is said again; a connection that breaks is taken up by itself. */
import { Trans, useLingui } from "@lingui/react/macro";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Xterm } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Problem } from "~/api/client";
import { type Vm, isUp } from "~/api/objects";
import { Button, Empty } from "~/design/basics";
import { asProblem, ProblemNote } from "~/design/overlays";
import { StartButton } from "./power";
import { socketAddress } from "./socket";

type State = "connecting" | "open" | "closed";
const RETRY_MS = 1_500;

export default function Terminal({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const name = vm.meta.name;
  const holder = useRef<HTMLDivElement>(null);
  const terminal = useRef<Xterm>(undefined);
  const [state, setState] = useState<State>("connecting");
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  const up = isUp(vm);

  useEffect(() => {
    const element = holder.current;
    if (!element || !up) return;
    const xterm = new Xterm({ fontFamily: "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace", fontSize: 13, scrollback: 10_000, cursorBlink: true, screenReaderMode: true, theme: { background: "#0b0f10", foreground: "#d7e0e1", cursor: "#4fc3b4" } });
    const fit = new FitAddon();
    xterm.loadAddon(fit);
    xterm.open(element);
    fit.fit();
    terminal.current = xterm;
    const sizes = new ResizeObserver(() => fit.fit());
    sizes.observe(element);
    let socket: WebSocket | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const encoder = new TextEncoder();
    const input = xterm.onData((text) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(encoder.encode(text));
    });
    const again = () => {
      if (ended) return;
      setState("closed");
      timer = setTimeout(() => void connect(), RETRY_MS);
    };
    const connect = async () => {
      setState("connecting");
      try {
        const address = await socketAddress(name, "console");
        if (ended) return;
        socket = new WebSocket(address, ["binary"]);
      } catch (error) {
        setProblem(asProblem(error));
        again();
        return;
      }
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        // It begins with the last part of what was said before.
        xterm.reset();
        setProblem(undefined);
        setState("open");
        xterm.focus();
      };
      socket.onmessage = (event: MessageEvent<ArrayBuffer>) => xterm.write(new Uint8Array(event.data));
      socket.onclose = again;
    };
    void connect();
    return () => {
      ended = true;
      clearTimeout(timer);
      sizes.disconnect();
      input.dispose();
      socket?.close();
      xterm.dispose();
      terminal.current = undefined;
    };
  }, [name, up, turn]);

  const paste = useCallback(async () => {
    terminal.current?.paste(await navigator.clipboard.readText());
    terminal.current?.focus();
  }, []);

  if (!up) return <Empty icon="terminal" title={<Trans>The VM does not run. Start it to use its console.</Trans>}><StartButton vm={vm} /></Empty>;
  return (
    <div className="grid grid-cols-1 gap-2">
      <div className="flex flex-wrap items-center gap-2 text-muted">
        <span role="status">{state === "open" ? <Trans>Connected to the serial console.</Trans> : state === "connecting" ? <Trans>Connecting…</Trans> : <Trans>The connection ended; trying again…</Trans>}</span>
        <span className="ml-auto" />
        <Button small icon="copy" onPress={() => void paste()}><Trans>Paste</Trans></Button>
        <Button small icon="reset" onPress={() => setTurn(turn + 1)}><Trans>Reconnect</Trans></Button>
      </div>
      {problem && state !== "open" ? <ProblemNote problem={problem} /> : null}
      <div className="rounded-lg border border-line bg-[#0b0f10] p-2 h-[calc(100dvh-17rem)] min-h-72 overflow-hidden">
        <div ref={holder} role="group" aria-label={t`Serial console of ${name}`} className="h-full" />
      </div>
    </div>
  );
}
