/** Which command does the same as a page, filled with the real names. */
import { useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { IconButton } from "./basics";

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function Cli({ commands }: { commands: string[] }) {
  const { t } = useLingui();
  return (
    <aside aria-label={t`The same on the command line`} className="flex flex-wrap items-center gap-x-3 gap-y-1 rounded-lg border border-line bg-sunken px-3 py-1.5">
      <span className="text-[11px] font-semibold tracking-wider text-muted">CLI</span>
      {commands.map((command) => <Command key={command} command={command} />)}
    </aside>
  );
}

/** A command that can be copied. */
export function Command({ command }: { command: string }) {
  const { t } = useLingui();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(command);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <span className="inline-flex items-center gap-0.5 min-w-0 max-w-full">
      <code className="min-w-0 wrap-anywhere">{command}</code>
      <IconButton icon={copied ? "check" : "copy"} name={copied ? t`Copied` : t`Copy: ${command}`} onPress={copy} />
    </span>
  );
}
