/** What surrounds all pages: where one can go, whether the view is live, language, theme, who is signed in. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button as AriaButton } from "react-aria-components";
import { remove } from "~/api/client";
import { live, useLiveState } from "~/api/live";
import { useMay, useSession } from "~/api/session";
import { IconButton } from "~/design/basics";
import { Icon, type IconName } from "~/design/Icon";
import { Menu, Messages, attempt } from "~/design/overlays";
import { LOCALES, type Locale, choose } from "~/words/i18n";
import { useWord } from "~/words/states";
import { Jump } from "./Jump";
import { useTheme } from "./theme";

interface Place {
  to: string;
  name: string;
  icon: IconName;
  exact?: boolean;
}

function usePlaces(): { name: string; places: Place[] }[] {
  const { t } = useLingui();
  const { administer } = useMay();
  return [
    { name: t`Overview`, places: [{ to: "/", name: t`Dashboard`, icon: "dashboard", exact: true }, { to: "/layers", name: t`Layers`, icon: "layers" }] },
    { name: t`Planning`, places: [{ to: "/surveys", name: t`Surveys`, icon: "survey" }, { to: "/plans", name: t`Plans`, icon: "plan" }] },
    { name: t`Guests`, places: [{ to: "/vms", name: t`VMs`, icon: "vm" }, { to: "/templates", name: t`Templates`, icon: "template" }, { to: "/flavors", name: t`Flavors`, icon: "flavor" }, { to: "/images", name: t`Images`, icon: "image" }] },
    {
      name: t`Hardware`,
      places: [
        { to: "/hosts", name: t`Hosts`, icon: "host" },
        { to: "/networks", name: t`Networks`, icon: "network" },
        { to: "/pools", name: t`Pools`, icon: "pool" },
        { to: "/disks", name: t`Disks`, icon: "disk" },
      ],
    },
    {
      name: t`Operation`,
      places: [
        { to: "/events", name: t`Events`, icon: "event" },
        ...(administer ? [{ to: "/audit", name: t`Audit`, icon: "audit" } as const, { to: "/tokens", name: t`Tokens`, icon: "token" } as const] : []),
      ],
    },
  ];
}

function Navigation({ onGo }: { onGo?: () => void }) {
  const { t } = useLingui();
  const groups = usePlaces();
  return (
    <nav aria-label={t`Main`} className="grid gap-4 content-start p-3">
      {groups.map((group) => (
        <div key={group.name}>
          <p className="px-2 pb-1 text-[11px] font-medium tracking-wide text-muted">{group.name}</p>
          <ul className="grid gap-px">
            {group.places.map((place) => (
              <li key={place.to}>
                <Link to={place.to} onClick={onGo} activeOptions={{ exact: place.exact ?? false, includeSearch: false }}
                  className="flex items-center gap-2.5 rounded-md px-2 h-8 text-muted hover:bg-sunken hover:text-text"
                  activeProps={{ className: "!bg-accent-soft !text-text font-medium [&_svg]:text-accent", "aria-current": "page" }}>
                  <Icon name={place.icon} />
                  {place.name}
                </Link>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

function LiveMark() {
  const { state } = useLiveState();
  const looks = { live: "text-good", connecting: "text-busy", lost: "text-bad" };
  const words = { live: <Trans>Live</Trans>, connecting: <Trans>Connecting…</Trans>, lost: <Trans>Connection lost, trying again…</Trans> };
  return (
    <span role="status" className={`inline-flex items-center gap-1.5 text-xs ${looks[state]}`}>
      <span aria-hidden className={`size-2 rounded-full bg-current ${state === "live" ? "" : "animate-pulse"}`} />
      <span className={state === "lost" ? "" : "max-sm:sr-only"}>{words[state]}</span>
    </span>
  );
}

function Who() {
  const { t } = useLingui();
  const word = useWord();
  const session = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const signOut = () =>
    attempt(async () => {
      await remove("/v1/session");
      live.end(client);
      client.clear();
      await navigate({ to: "/signin" });
    });
  if (!session) return null;
  return (
    <Menu name={t`Signed in as ${session.principal}`} entries={[{ id: "out", name: t`Sign out`, icon: "leave", onAction: () => void signOut() }]}>
      <AriaButton aria-label={t`Signed in as ${session.principal}`} className="flex items-center gap-2 rounded-md px-1.5 h-8 hover:bg-sunken">
        <span className="grid place-items-center size-6 rounded-full bg-accent text-on-accent text-xs font-semibold uppercase">{session.principal.slice(0, 1)}</span>
        <span className="max-md:sr-only">{session.principal} <span className="text-muted">· {word(session.role)}</span></span>
      </AriaButton>
    </Menu>
  );
}

export function LanguageMenu() {
  const { t, i18n } = useLingui();
  return (
    <Menu name={t`Language`} icon="globe"
      entries={(Object.keys(LOCALES) as Locale[]).map((locale) => ({
        id: locale,
        name: LOCALES[locale],
        ...(i18n.locale === locale ? { icon: "check" as const } : {}),
        onAction: () => void choose(locale),
      }))} />
  );
}

export function ThemeButton() {
  const { t } = useLingui();
  const [theme, set] = useTheme();
  const dark = theme === "dark";
  return <IconButton icon={dark ? "sun" : "moon"} name={dark ? t`Light theme` : t`Dark theme`} onPress={() => set(dark ? "light" : "dark")} />;
}

export function Mark() {
  return (
    <span className="flex items-center gap-2 font-semibold text-[15px] tracking-tight">
      <img src="/mark.svg" alt="" width={22} height={22} />
      Tabane
    </span>
  );
}

export function Shell() {
  const { t } = useLingui();
  const [open, setOpen] = useState(false);
  return (
    <div className="min-h-dvh grid grid-rows-[auto_1fr] lg:grid-cols-[212px_1fr]">
      <a href="#content" className="sr-only focus:not-sr-only focus:fixed focus:z-50 focus:m-2 focus:rounded-md focus:bg-accent focus:px-3 focus:py-2 focus:text-on-accent">
        <Trans>Skip to content</Trans>
      </a>
      <header className="lg:col-span-2 sticky top-0 z-30 flex items-center gap-1.5 h-12 px-3 border-b border-line bg-surface">
        <span className="lg:hidden"><IconButton icon={open ? "close" : "menu"} name={open ? t`Close the menu` : t`Open the menu`} onPress={() => setOpen(!open)} /></span>
        <Link to="/" aria-label="Tabane" className="mr-3 lg:w-[190px]"><Mark /></Link>
        <Jump />
        <span className="ml-auto" />
        <LiveMark />
        <LanguageMenu />
        <ThemeButton />
        <Who />
      </header>
      <div className={`${open ? "block fixed inset-0 top-12 z-20 bg-surface overflow-auto animate-[slide_140ms_ease-out]" : "hidden"} lg:block lg:static lg:bg-surface lg:border-r lg:border-line`}>
        <div className="lg:sticky lg:top-12"><Navigation onGo={() => setOpen(false)} /></div>
      </div>
      <main id="content" tabIndex={-1} className="min-w-0 p-3 sm:p-5 max-w-[1680px] w-full">
        <Outlet />
      </main>
      <Messages />
    </div>
  );
}
