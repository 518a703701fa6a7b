/** What lies over a page: dialogs, menus, and messages that go by themselves. */
import { Trans, useLingui } from "@lingui/react/macro";
import { type FormEvent, type ReactNode, useState, useSyncExternalStore } from "react";
import {
  Button as AriaButton, Dialog as AriaDialog, Heading, Menu as AriaMenu, MenuItem as AriaMenuItem, MenuTrigger, Modal, ModalOverlay, Popover,
} from "react-aria-components";
import { type Problem, ProblemError, plain } from "~/api/client";
import { Button, IconButton } from "./basics";
import { TextField } from "./fields";
import { Icon, type IconName } from "./Icon";

export function Dialog({ title, onClose, children, wide }: { title: ReactNode; onClose: () => void; children: ReactNode; wide?: boolean }) {
  const { t } = useLingui();
  return (
    <ModalOverlay isOpen isDismissable onOpenChange={(open) => { if (!open) onClose(); }}
      className="fixed inset-0 z-40 grid grid-cols-[minmax(0,1fr)] place-items-center bg-black/45 p-4 overflow-auto">
      <Modal className={`w-full min-w-0 ${wide ? "max-w-3xl" : "max-w-lg"} rounded-xl border border-line bg-raised shadow-pop data-[entering]:animate-[pop_140ms_ease-out]`}>
        <AriaDialog className="outline-none max-h-[90dvh] flex flex-col">
          <header className="flex items-center gap-2 px-5 pt-4">
            <Heading slot="title" className="text-base mr-auto min-w-0 break-words">{title}</Heading>
            <IconButton icon="close" name={t`Close`} onPress={onClose} />
          </header>
          <div className="px-5 pb-5 pt-2 overflow-auto">{children}</div>
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

/** The end of a form in a dialog. */
export function FormEnd({ onCancel, submit, busy, danger, isDisabled }: { onCancel: () => void; submit: ReactNode; busy?: boolean; danger?: boolean; isDisabled?: boolean }) {
  return (
    <div className="flex justify-end gap-2 pt-2">
      <Button onPress={onCancel}><Trans>Cancel</Trans></Button>
      <Button type="submit" look={danger ? "danger" : "primary"} busy={Boolean(busy)} isDisabled={Boolean(isDisabled)}>{submit}</Button>
    </div>
  );
}

export function useForm(action: () => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (event?: FormEvent) => {
    event?.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await action();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  const fault = (...fields: string[]) => {
    const found = (problem?.faults ?? []).find((f) => fields.some((field) => f.field === field || f.field.startsWith(`${field}.`) || f.field.startsWith(`${field}[`)));
    return found ? `${found.message}${found.hint ? ` – ${found.hint}` : ""}` : undefined;
  };
  return { busy, problem, submit, fault, setProblem };
}

/** Asks before something that cannot be undone; the name has to be typed when that is worth it. */
export function Confirm({ title, name, children, action, onConfirm, onClose }: {
  title: ReactNode;
  /** Has to be typed. */
  name?: string;
  children: ReactNode;
  action: ReactNode;
  onConfirm: () => Promise<void>;
  onClose: () => void;
}) {
  const { t } = useLingui();
  const [typed, setTyped] = useState("");
  const { busy, problem, submit } = useForm(async () => {
    await onConfirm();
    onClose();
  });
  const ready = name === undefined || typed === name;
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-3">
        <div>{children}</div>
        {name === undefined ? null : <TextField label={t`Type ${name} to confirm`} value={typed} onChange={setTyped} autoFocus mono />}
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={action} busy={busy} danger isDisabled={!ready} />
      </form>
    </Dialog>
  );
}

export interface MenuEntry {
  id: string;
  name: string;
  icon?: IconName;
  danger?: boolean;
  isDisabled?: boolean;
  onAction: () => void;
}

export function Menu({ name, icon = "more", entries, children }: { name: string; icon?: IconName; entries: MenuEntry[]; children?: ReactNode }) {
  return (
    <MenuTrigger>
      {children ?? (
        <AriaButton aria-label={name} className="grid place-items-center size-8 rounded-md text-muted hover:bg-sunken hover:text-text">
          <Icon name={icon} />
        </AriaButton>
      )}
      <Popover placement="bottom end" className="min-w-44 rounded-lg border border-line bg-raised shadow-pop p-1 data-[entering]:animate-[pop_120ms_ease-out]">
        <AriaMenu aria-label={name} items={entries} className="outline-none" disabledKeys={entries.filter((e) => e.isDisabled).map((e) => e.id)}>
          {(entry) => (
            <AriaMenuItem id={entry.id} onAction={entry.onAction} textValue={entry.name}
              className={`flex items-center gap-2 rounded px-2 h-8 cursor-pointer data-[focused]:bg-sunken data-[disabled]:opacity-45 ${entry.danger ? "text-bad" : ""}`}>
              {entry.icon ? <Icon name={entry.icon} /> : null}
              {entry.name}
            </AriaMenuItem>
          )}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}

export function asProblem(error: unknown): Problem {
  return error instanceof ProblemError ? error.problem : plain("console", "console", 0, error instanceof Error ? error.message : String(error));
}

/** What went wrong, with the field and what to do next. */
export function ProblemNote({ problem }: { problem: Problem }) {
  const faults = problem.faults ?? [];
  return (
    <div role="alert" className="flex gap-2 rounded-md border border-bad/40 bg-bad-soft px-3 py-2 text-text">
      <span className="text-bad pt-0.5"><Icon name="alert" /></span>
      <div className="min-w-0 break-words">
        {faults.length > 1 ? (
          <ul>
            {faults.map((f) => (
              <li key={f.field + f.message}><code>{f.field}</code> {f.message}{f.hint ? <span className="text-muted"> – {f.hint}</span> : null}</li>
            ))}
          </ul>
        ) : (
          <>
            <p className="font-medium">{problem.detail}</p>
            {problem.hint ? <p className="text-muted">{problem.hint}</p> : null}
          </>
        )}
        <p className="text-xs text-muted"><code>{problem.code}</code>{problem.field ? <> · <code>{problem.field}</code></> : null}</p>
      </div>
    </div>
  );
}

interface Message {
  id: number;
  text?: ReactNode;
  problem?: Problem;
}

let messages: Message[] = [];
let last = 0;
const listeners = new Set<() => void>();

function tell(message: Omit<Message, "id">, forMs: number) {
  last += 1;
  const id = last;
  messages = [...messages, { ...message, id }].slice(-4);
  for (const l of listeners) l();
  setTimeout(() => dismiss(id), forMs);
}

function dismiss(id: number) {
  messages = messages.filter((m) => m.id !== id);
  for (const l of listeners) l();
}

export const say = (text: ReactNode) => tell({ text }, 4_000);
export const complain = (error: unknown) => tell({ problem: asProblem(error) }, 12_000);

/** Runs something that was asked for by a button, and says when it fails. */
export async function attempt(action: () => Promise<unknown>, done?: ReactNode) {
  try {
    await action();
    if (done) say(done);
  } catch (error) {
    complain(error);
  }
}

export function Messages() {
  const { t } = useLingui();
  const all = useSyncExternalStore((l) => { listeners.add(l); return () => listeners.delete(l); }, () => messages);
  return (
    <div role="region" aria-label={t`Messages`} aria-live="polite" className="fixed right-4 bottom-4 z-50 grid gap-2 w-[min(26rem,calc(100vw-2rem))]">
      {all.map((m) => (
        <div key={m.id} className="flex items-start gap-2 rounded-lg border border-line bg-raised shadow-pop p-2 animate-[pop_160ms_ease-out]">
          <div className="min-w-0 flex-1">
            {m.problem ? <ProblemNote problem={m.problem} /> : <p className="flex gap-2 px-2 py-1.5"><span className="text-good"><Icon name="check" /></span>{m.text}</p>}
          </div>
          <IconButton icon="close" name={t`Dismiss`} onPress={() => dismiss(m.id)} />
        </div>
      ))}
    </div>
  );
}
