/** The frame of each page: title, what can be done, the commands that do the same, content. */
import { Trans } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";
import { useLiveState } from "~/api/live";
import { Cli } from "~/design/Cli";
import { Icon } from "~/design/Icon";

export function Page({ title, titleText, back, badge, actions, cli, children }: {
  title: ReactNode;
  titleText: string;
  back?: { to: string; name: string };
  badge?: ReactNode;
  actions?: ReactNode;
  cli: string[];
  children: ReactNode;
}) {
  const { synced } = useLiveState();
  useEffect(() => {
    document.title = `${titleText} · Tabane`;
  }, [titleText]);
  return (
    <div className="grid gap-3 content-start">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-2 min-h-9">
        <h1 className="flex flex-wrap items-center gap-2 text-lg mr-auto min-w-0">
          {back ? (
            <>
              <Link to={back.to} className="text-muted hover:text-text font-normal">{back.name}</Link>
              <span className="text-muted"><Icon name="right" size={12} /></span>
            </>
          ) : null}
          <span className="min-w-0 wrap-anywhere">{title}</span>
          {badge}
        </h1>
        <div className="flex flex-wrap items-center gap-2">{actions}</div>
      </header>
      {synced ? children : <p role="status" className="flex items-center gap-2 text-muted py-10 justify-center"><Icon name="spinner" /><Trans>Loading…</Trans></p>}
      {cli.length ? <Cli commands={cli} /> : null}
    </div>
  );
}
