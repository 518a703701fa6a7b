/** A place where a package can be dropped; the page about its import opens then. */
import { Trans } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { type DragEvent, type ReactNode, useState } from "react";
import { open } from "~/api/importing";
import { isPackage } from "~/api/package";
import { Icon } from "~/design/Icon";
import { say } from "~/design/overlays";

/** Opens the page with a file, or says what else to do with it. */
export function useTake(): (file: File | null | undefined) => void {
  const navigate = useNavigate();
  return (file) => {
    if (!file) return;
    if (isPackage(file)) {
      void open(file);
      void navigate({ to: "/import" });
    } else {
      say(<Trans>{file.name} is no OVA package. Disk images are dropped on the page of images.</Trans>);
    }
  };
}

const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes("Files");

/** The button beside it does the same by the keyboard, so this is for the mouse alone. */
export function PackageDrop({ children, isDisabled }: { children: ReactNode; isDisabled?: boolean }) {
  const take = useTake();
  // Children are left and entered on the way over them.
  const [depth, setDepth] = useState(0);
  if (isDisabled) return <>{children}</>;
  return (
    <div className="relative grid gap-3 min-w-0"
      onDragEnter={(event) => { if (hasFiles(event)) setDepth((d) => d + 1); }}
      onDragLeave={(event) => { if (hasFiles(event)) setDepth((d) => Math.max(0, d - 1)); }}
      onDragOver={(event) => { if (hasFiles(event)) event.preventDefault(); }}
      onDrop={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        setDepth(0);
        take(event.dataTransfer.files[0]);
      }}>
      {children}
      {depth > 0 ? (
        <div className="absolute inset-0 z-10 grid place-items-center rounded-lg border-2 border-dashed border-accent bg-accent-soft/90 pointer-events-none">
          <p className="flex items-center gap-2 font-medium"><Icon name="upload" size={18} /><Trans>Drop an OVA package to import the VM in it</Trans></p>
        </div>
      ) : null}
    </div>
  );
}
