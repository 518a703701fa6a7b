/** Who is signed in, and what he may do; the server decides, this only hides what would be refused. */
import { useQuery } from "@tanstack/react-query";
import { get } from "./client";
import type { Session } from "./objects";

/** `null` when nobody is signed in. */
export const sessionQuery = {
  queryKey: ["session"],
  queryFn: async () => (await get<Session | undefined>("/v1/session")) ?? null,
  staleTime: Infinity,
};

export function useSession(): Session | undefined {
  return useQuery(sessionQuery).data ?? undefined;
}

export function useMay(): { change: boolean; administer: boolean } {
  const role = useSession()?.role;
  return { change: role === "operator" || role === "admin", administer: role === "admin" };
}
