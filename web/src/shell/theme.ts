/** Dark or light: the system's until somebody chooses. */
import { useSyncExternalStore } from "react";

type Theme = "dark" | "light";
const KEPT = "tabane.theme";
const listeners = new Set<() => void>();
const present = (): Theme => (document.documentElement.dataset["theme"] === "dark" ? "dark" : "light");

function become(theme: Theme) {
  document.documentElement.dataset["theme"] = theme;
  for (const listener of listeners) listener();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
  if (!localStorage.getItem(KEPT)) become(event.matches ? "dark" : "light");
});

export function useTheme(): [Theme, (theme: Theme) => void] {
  const theme = useSyncExternalStore((l) => { listeners.add(l); return () => listeners.delete(l); }, present);
  return [theme, (chosen) => { localStorage.setItem(KEPT, chosen); become(chosen); }];
}
