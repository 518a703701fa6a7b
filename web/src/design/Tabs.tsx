/** The parts of a page, each with its own address. */
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";

export interface TabEntry {
  id: string;
  name: string;
}

export function TabLinks({ label, to, name, tabs, at }: { label: string; to: string; name: string; tabs: TabEntry[]; at: string }) {
  const nav = useRef<HTMLElement>(null);
  // On a narrow screen the present one may be out of sight.
  useEffect(() => {
    const link = nav.current?.querySelector<HTMLElement>("[aria-current]");
    if (nav.current && link) nav.current.scrollLeft = link.offsetLeft - nav.current.offsetLeft - (nav.current.clientWidth - link.offsetWidth) / 2;
  }, [at]);
  return (
    <nav ref={nav} aria-label={label} className="flex gap-1 border-b border-line overflow-x-auto">
      {tabs.map((tab, i) => (
        <Link key={tab.id} to={to} params={{ name, tab: i === 0 ? undefined : tab.id } as never} {...(tab.id === at ? { "aria-current": "page" as const } : {})}
          className={`px-3 h-9 inline-flex items-center whitespace-nowrap border-b-2 -mb-px ${tab.id === at ? "border-accent font-medium" : "border-transparent text-muted hover:text-text"}`}>
          {tab.name}
        </Link>
      ))}
    </nav>
  );
}
