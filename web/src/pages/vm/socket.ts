/** A websocket of a VM: a ticket, good once, then the way that it names. */
import { post } from "~/api/client";
import { path } from "~/api/objects";

export async function socketAddress(vm: string, door: "console" | "vnc"): Promise<string> {
  const { path: way } = await post<{ path: string }>(path("vm", vm, `${door}-tickets`));
  return `wss://${location.host}${way}`;
}
