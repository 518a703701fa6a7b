/** A token for a session. The token itself is not kept by the browser. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { post } from "~/api/client";
import type { Session } from "~/api/objects";
import { Button } from "~/design/basics";
import { TextField } from "~/design/fields";
import { ProblemNote, useForm } from "~/design/overlays";
import { LanguageMenu, Mark, ThemeButton } from "~/shell/Shell";

export function SignIn() {
  const { t } = useLingui();
  const { next } = useSearch({ from: "/signin" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const [token, setToken] = useState("");
  const { busy, problem, submit } = useForm(async () => {
    const session = await post<Session>("/v1/session", { token: token.trim() });
    client.setQueryData(["session"], session);
    setToken("");
    // Only ways within the console.
    const to = next?.startsWith("/") && !next.startsWith("//") ? next : "/";
    await navigate({ href: to });
  });
  useEffect(() => {
    document.title = `${t`Sign in`} · Tabane`;
  }, [t]);
  return (
    <main className="min-h-dvh grid place-items-center p-4">
      <div className="w-full max-w-sm">
        <div className="flex items-center justify-between mb-3">
          <Mark />
          <span className="flex"><LanguageMenu /><ThemeButton /></span>
        </div>
        <form onSubmit={submit} className="grid gap-4 rounded-xl border border-line bg-surface p-6 shadow-pop">
          <div>
            <h1 className="text-base"><Trans>Sign in</Trans></h1>
            <p className="text-muted mt-1"><Trans>With a token of this server. It is exchanged for a session of twelve hours and not kept in the browser.</Trans></p>
          </div>
          <TextField label={t`Token`} value={token} onChange={setToken} type="password" mono autoFocus isRequired placeholder="tbn_…" />
          {problem ? <ProblemNote problem={problem} /> : null}
          <Button type="submit" look="primary" busy={busy} isDisabled={token.trim() === ""}><Trans>Sign in</Trans></Button>
          <details className="text-muted">
            <summary className="cursor-pointer"><Trans>Where do I get a token?</Trans></summary>
            <p className="mt-2"><Trans><code>tabane up</code> prints the administrator's token once, at its first start. As root on the server you can always make another:</Trans></p>
            <pre className="mt-2 overflow-auto rounded-md bg-sunken border border-line p-2 text-text">tabane token create me --role admin</pre>
          </details>
        </form>
      </div>
    </main>
  );
}
