/** The display, by noVNC. */
import { Trans, useLingui } from "@lingui/react/macro";
import type RFB from "@novnc/novnc";
import { useEffect, useRef, useState } from "react";
import type { Problem } from "~/api/client";
import { type Vm, isUp } from "~/api/objects";
import { Button, Empty } from "~/design/basics";
import { asProblem, ProblemNote } from "~/design/overlays";
import { StartButton } from "./power";
import { socketAddress } from "./socket";

type State = "connecting" | "open" | "closed";

export default function Display({ vm }: { vm: Vm }) {
  const { t } = useLingui();
  const name = vm.meta.name;
  const holder = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const rfb = useRef<RFB>(undefined);
  const [state, setState] = useState<State>("connecting");
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  const up = isUp(vm);
  useEffect(() => {
    const element = holder.current;
    if (!element || !up) return;
    let ended = false;
    const connect = async () => {
      setState("connecting");
      setProblem(undefined);
      try {
        const [{ default: Rfb }, address] = await Promise.all([import("@novnc/novnc"), socketAddress(name, "vnc")]);
        if (ended) return;
        const session = new Rfb(element, address, { wsProtocols: ["binary"], shared: true });
        session.scaleViewport = true;
        session.background = "#000";
        session.addEventListener("connect", () => setState("open"));
        session.addEventListener("disconnect", () => { if (!ended) setState("closed"); });
        rfb.current = session;
      } catch (error) {
        if (ended) return;
        setProblem(asProblem(error));
        setState("closed");
      }
    };
    void connect();
    return () => {
      ended = true;
      rfb.current?.disconnect();
      rfb.current = undefined;
      element.replaceChildren();
    };
  }, [name, up, turn]);
  if (!up) return <Empty icon="screen" title={<Trans>The VM does not run. Start it to see its display.</Trans>}><StartButton vm={vm} /></Empty>;
  return (
    <div className="grid gap-2">
      <div className="flex flex-wrap items-center gap-2 text-muted">
        <span role="status">{state === "open" ? <Trans>Connected to the display.</Trans> : state === "connecting" ? <Trans>Connecting…</Trans> : <Trans>The connection ended.</Trans>}</span>
        <span className="ml-auto" />
        <Button small icon="keyboard" isDisabled={state !== "open"} onPress={() => rfb.current?.sendCtrlAltDel()}>Ctrl+Alt+Del</Button>
        <Button small icon="full" onPress={() => void frame.current?.requestFullscreen()}><Trans>Full screen</Trans></Button>
        <Button small icon="reset" onPress={() => setTurn(turn + 1)}><Trans>Reconnect</Trans></Button>
      </div>
      {problem ? <ProblemNote problem={problem} /> : null}
      <div ref={frame} className="rounded-lg border border-line bg-black overflow-hidden h-[calc(100dvh-17rem)] min-h-72">
        <div ref={holder} role="group" aria-label={t`Display of ${name}`} className="h-full" data-state={state} />
      </div>
    </div>
  );
}
