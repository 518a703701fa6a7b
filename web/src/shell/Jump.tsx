/** Ctrl-K: straight to any VM, host, image or page by a part of its name. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { Button as AriaButton } from "react-aria-components";
import { useTable } from "~/api/live";
import { Dialog } from "~/design/overlays";
import { Icon, type IconName } from "~/design/Icon";

interface Target {
  key: string;
  name: string;
  told: string;
  icon: IconName;
  to: string;
}

const SHOWN = 12;

export function Jump() {
  const { t } = useLingui();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const listener = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen(true);
      }
    };
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, []);
  return (
    <>
      <AriaButton onPress={() => setOpen(true)} aria-label={t`Jump to…`}
        className="flex items-center gap-2 h-8 px-2 sm:w-64 rounded-md sm:border border-line text-muted hover:text-text sm:bg-sunken">
        <Icon name="search" />
        <span className="max-sm:hidden"><Trans>Jump to…</Trans></span>
        <kbd className="ml-auto max-sm:hidden text-[11px]">Ctrl K</kbd>
      </AriaButton>
      {open ? <Chooser onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function Chooser({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [vms, hosts, images, plans] = [useTable("vm"), useTable("host"), useTable("image"), useTable("plan")];
  const targets = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    const pages: [string, string, IconName][] = [
      ["/", t`Dashboard`, "dashboard"], ["/layers", t`Layers`, "layers"], ["/vms", t`VMs`, "vm"], ["/vms/new", t`Create a VM`, "plus"], ["/import", t`Import a VM`, "upload"], ["/templates", t`Templates`, "template"], ["/flavors", t`Flavors`, "flavor"], ["/images", t`Images`, "image"],
      ["/hosts", t`Hosts`, "host"], ["/networks", t`Networks`, "network"], ["/pools", t`Pools`, "pool"], ["/disks", t`Disks`, "disk"], ["/events", t`Events`, "event"],
      ["/surveys", t`Surveys`, "survey"], ["/plans", t`Plans`, "plan"],
    ];
    const found: Target[] = [];
    const add = (target: Target) => {
      if (found.length < SHOWN && target.name.toLowerCase().includes(wanted)) found.push(target);
      return found.length < SHOWN;
    };
    for (const [to, name, icon] of pages) add({ key: to, name, told: t`Page`, icon, to });
    if (wanted) {
      for (const vm of vms()) if (!add({ key: `vm/${vm.meta.name}`, name: vm.meta.name, told: t`VM`, icon: "vm", to: `/vms/${vm.meta.name}` })) break;
      for (const host of hosts()) if (!add({ key: `host/${host.meta.name}`, name: host.meta.name, told: t`Host`, icon: "host", to: `/hosts/${host.meta.name}` })) break;
      for (const image of images()) if (!add({ key: `image/${image.meta.name}`, name: image.meta.name, told: t`Image`, icon: "image", to: "/images" })) break;
      for (const plan of plans()) if (!add({ key: `plan/${plan.meta.name}`, name: plan.meta.name, told: t`Plan`, icon: "plan", to: `/plans/${plan.meta.name}` })) break;
    }
    return found;
  }, [text, vms, hosts, images, plans, t]);
  const go = (target: Target | undefined) => {
    if (!target) return;
    onClose();
    void navigate({ to: target.to });
  };
  return (
    <Dialog title={t`Jump to…`} onClose={onClose}>
      <input autoFocus role="combobox" aria-label={t`Name of a page, VM, host or image`} aria-expanded="true" aria-controls="jump" aria-activedescendant={`jump-${at}`}
        value={text} className="control" onChange={(e) => { setText(e.target.value); setAt(0); }}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown") setAt(Math.min(at + 1, targets.length - 1));
          else if (e.key === "ArrowUp") setAt(Math.max(at - 1, 0));
          else if (e.key === "Enter") go(targets[at]);
          else return;
          e.preventDefault();
        }} />
      <div role="listbox" id="jump" aria-label={t`Found`} className="mt-2 min-h-72">
        {targets.map((target, i) => (
          <div key={target.key} id={`jump-${i}`} role="option" aria-selected={i === at} tabIndex={-1} onClick={() => go(target)} onMouseMove={() => setAt(i)}
            className={`flex items-center gap-2 px-2 h-8 rounded cursor-pointer ${i === at ? "bg-accent-soft" : ""}`}>
            <span className="text-muted"><Icon name={target.icon} /></span>
            <span className="truncate min-w-0">{target.name}</span>
            <span className="ml-auto pl-2 text-xs text-muted whitespace-nowrap">{target.told}</span>
          </div>
        ))}
      </div>
    </Dialog>
  );
}
