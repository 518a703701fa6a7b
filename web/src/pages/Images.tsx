/** Images that VMs are made from: built, fetched, or dropped here. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import { DropZone, FileTrigger } from "react-aria-components";
import { post, remove } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Image, imagePhase, isTemplate, path, unmet } from "~/api/objects";
import { isPackage } from "~/api/package";
import { useMay } from "~/api/session";
import { startUpload, stopUpload, useUploads } from "~/api/upload";
import { Button, ButtonLink, Empty, ProgressLine } from "~/design/basics";
import { type Column, DataTable } from "~/design/DataTable";
import { Select, TextField } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { Confirm, Dialog, FormEnd, Menu, ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes } from "~/words/format";
import { ImageState } from "./parts/ImageState";
import { useTake } from "./parts/PackageDrop";

/** A file's name as an image's: web-server_1.qcow2 becomes web-server-1. */
export function nameOf(file: string): string {
  const stem = file.toLowerCase().replace(/(\.(raw|img|qcow2|vmdk|vhd|vhdx|vdi|iso))+$/, "");
  return stem.replaceAll(/[^a-z0-9-]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 63) || "image";
}

export function Images() {
  const { t } = useLingui();
  const all = useObjects("image");
  const images = useMemo(() => all.filter((i) => !isTemplate(i)), [all]);
  const uploads = useUploads();
  const { change } = useMay();
  const [asked, setAsked] = useState<{ what: "get" } | { what: "upload"; file: File } | { what: "delete"; image: Image }>();
  const close = () => setAsked(undefined);
  const takePackage = useTake();
  const columns = useMemo<Column<Image>[]>(
    () => [
      { id: "name", name: t`Name`, width: "minmax(8rem,1.5fr)", by: (i) => i.meta.name, cell: (i) => <span className="font-medium">{i.meta.name}</span> },
      {
        id: "phase", name: t`State`, width: "minmax(7rem,2fr)", by: imagePhase,
        cell: (i) => <ImageState image={i} />,
      },
      { id: "os", name: t`System`, width: "minmax(6rem,1fr)", wide: true, by: (i) => i.status?.os ?? i.spec.os ?? "", cell: (i) => i.status?.os ?? i.spec.os ?? "–" },
      { id: "virtual", name: t`Disk size`, width: "6.5rem", wide: true, right: true, by: (i) => i.status?.virtual_size_bytes ?? 0, cell: (i) => bytes(i.status?.virtual_size_bytes || undefined) },
      { id: "size", name: t`Stored`, width: "6.5rem", wide: true, right: true, by: (i) => i.status?.size_bytes ?? 0, cell: (i) => bytes(i.status?.size_bytes || undefined) },
      { id: "hosts", name: t`Host`, width: "minmax(5rem,1fr)", wide: true, cell: (i) => i.spec.host ?? "–" },
      {
        id: "do", name: "", width: "2.75rem",
        cell: (i) => change ? (
          <Menu name={t`Actions for ${i.meta.name}`} entries={[
            { id: "delete", name: t`Delete`, icon: "trash", danger: true, onAction: () => setAsked({ what: "delete", image: i }) },
          ]} />
        ) : null,
      },
    ],
    [t, change],
  );
  const table = (
    <section className="rounded-lg border border-line bg-surface">
      <DataTable name={t`Images`} rows={images} columns={columns} keyOf={(i) => i.meta.name}
        empty={<Empty icon="image" title={<Trans>There are no images yet.</Trans>}>{change ? <Button look="primary" onPress={() => setAsked({ what: "get" })}><Trans>Get an image</Trans></Button> : null}</Empty>} />
    </section>
  );
  const take = (file: File | null | undefined) => {
    if (file && isPackage(file)) takePackage(file);
    else if (file) setAsked({ what: "upload", file });
  };
  return (
    <Page title={t`Images`} titleText={t`Images`} cli={["tabane image list", "tabane image build debian-12", "tabane image import NAME FILE"]}
      actions={change ? (
        <>
          <ButtonLink to="/vms/new" icon="vm"><Trans>Create a VM</Trans></ButtonLink>
          <Button look="primary" icon="plus" onPress={() => setAsked({ what: "get" })}><Trans>Get an image</Trans></Button>
        </>
      ) : null}>
      {change ? (
        <DropZone aria-label={t`Drop an image file here`}
          onDrop={(event) => {
            const item = event.items.find((i) => i.kind === "file");
            if (item?.kind === "file") void item.getFile().then(take);
          }}
          className="group rounded-lg border border-dashed border-line-strong bg-surface px-4 py-3 data-[drop-target]:border-accent data-[drop-target]:bg-accent-soft">
          <div className="flex flex-wrap items-center gap-3">
            <span className="text-muted"><Icon name="upload" size={18} /></span>
            <span className="min-w-0 flex-1 basis-60"><Trans>Drop a disk image here (raw, qcow2, vmdk, vhd, vhdx or vdi) to upload it, or an OVA package to import the VM in it.</Trans></span>
            <FileTrigger onSelect={(files) => take(files?.[0])}><Button small><Trans>Choose a file</Trans></Button></FileTrigger>
          </div>
          {[...uploads.values()].map((u) => (
            <div key={u.name} className="grid grid-cols-[1fr_auto] items-center gap-3 mt-3">
              {u.problem ? <ProblemNote problem={u.problem} /> : (
                <ProgressLine label={t`Upload of ${u.name}`} progress={{
                  step: u.name, fraction: u.size ? u.sent / u.size : 0, detail: u.state === "waiting" ? t`the connection broke off; going on soon` : `${bytes(u.sent)} / ${bytes(u.size)}`,
                }} />
              )}
              <Button small icon="close" onPress={() => stopUpload(u.name)} aria-label={t`Stop the upload of ${u.name}`} />
            </div>
          ))}
        </DropZone>
      ) : null}
      {images.some((i) => i.status?.progress && imagePhase(i) !== "ready") ? (
        <section className="grid gap-3 rounded-lg border border-line bg-surface p-4">
          {images.filter((i) => i.status?.progress && imagePhase(i) !== "ready").map((i) => (
            <div key={i.meta.name}><span className="font-medium">{i.meta.name}</span><ProgressLine progress={i.status?.progress} label={t`Progress of ${i.meta.name}`} /></div>
          ))}
        </section>
      ) : null}
      {images.filter((i) => imagePhase(i) === "failed").map((i) => <Failed key={i.meta.name} image={i} onDelete={change ? () => setAsked({ what: "delete", image: i }) : undefined} />)}
      {table}
      {asked?.what === "get" ? <Get onClose={close} /> : null}
      {asked?.what === "upload" ? <Send file={asked.file} onClose={close} /> : null}
      {asked?.what === "delete" ? (
        <Confirm title={t`Delete the image ${asked.image.meta.name}?`} name={asked.image.meta.name} action={t`Delete`} onClose={close} onConfirm={() => remove(path("image", asked.image.meta.name))}>
          <p><Trans>Disks that were made from it stay as they are.</Trans></p>
        </Confirm>
      ) : null}
    </Page>
  );
}

/** Why there is no image, in full: in the table there is room for its beginning only. */
function Failed({ image, onDelete }: { image: Image; onDelete: (() => void) | undefined }) {
  const { t } = useLingui();
  const said = unmet(image.status?.conditions).find((c) => c.message)?.message;
  if (!said) return null;
  return (
    <section aria-label={t`Why ${image.meta.name} failed`} className="flex flex-wrap items-start gap-x-3 gap-y-2 rounded-lg border border-bad/40 bg-bad-soft px-4 py-2.5">
      <span className="text-bad pt-0.5"><Icon name="alert" /></span>
      <p className="min-w-0 flex-1 basis-52 wrap-anywhere"><span className="font-medium">{image.meta.name}</span>: {said}</p>
      {onDelete ? <Button small icon="trash" onPress={onDelete}><Trans>Delete</Trans></Button> : null}
    </section>
  );
}

function Send({ file, onClose }: { file: File; onClose: () => void }) {
  const { t } = useLingui();
  const [name, setName] = useState(nameOf(file.name));
  const [sha256, setSha256] = useState("");
  const { busy, problem, submit, fault } = useForm(async () => {
    await startUpload(name, file, sha256.trim().toLowerCase() || undefined);
    onClose();
  });
  return (
    <Dialog title={t`Upload ${file.name}`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <p className="text-muted"><Trans>{bytes(file.size)} are sent. If the connection breaks off, it goes on where it stopped; drop the same file with the same name to go on later.</Trans></p>
        <TextField label={t`Name of the image`} value={name} onChange={setName} mono isRequired autoFocus />
        <TextField label={t`SHA-256 of the file (optional)`} value={sha256} onChange={setSha256} mono fault={fault("spec.sha256")} />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={t`Upload`} busy={busy} />
      </form>
    </Dialog>
  );
}

const RECIPES = ["debian-12", "debian-13", "tiny"];

function Get({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [way, setWay] = useState("build");
  const [recipe, setRecipe] = useState("debian-12");
  const [name, setName] = useState("debian-12");
  const [url, setUrl] = useState("");
  const [sha256, setSha256] = useState("");
  const { busy, problem, submit, fault } = useForm(async () => {
    const source = way === "build" ? { build: { recipe } } : { url: { url } };
    await post(path("image"), { meta: { name }, spec: { source, ...(way === "url" && sha256.trim() ? { sha256: sha256.trim().toLowerCase() } : {}) } });
    onClose();
  });
  return (
    <Dialog title={t`Get an image`} onClose={onClose}>
      <form onSubmit={submit} className="grid gap-4">
        <Select label={t`From`} value={way} onChange={setWay} choices={[{ id: "build", name: t`Build it here` }, { id: "url", name: t`Fetch it from an address` }]} />
        {way === "build" ? (
          <Select label={t`Recipe`} value={recipe} onChange={(r) => { setRecipe(r); setName(r); }}
            choices={RECIPES.map((r) => ({ id: r, name: r, told: r === "tiny" ? t`a few seconds; to try things` : t`some minutes` }))} />
        ) : (
          <>
            <TextField label={t`Address`} value={url} onChange={(v) => { setUrl(v); setName(nameOf(v.split("/").pop() ?? "")); }} mono isRequired placeholder="https://…/disk.qcow2" fault={fault("spec.source.url.url", "spec.source.url")} />
            <TextField label={t`SHA-256 of the file (optional)`} value={sha256} onChange={setSha256} mono fault={fault("spec.sha256")} />
          </>
        )}
        <TextField label={t`Name of the image`} value={name} onChange={setName} mono isRequired />
        {problem ? <ProblemNote problem={problem} /> : null}
        <FormEnd onCancel={onClose} submit={way === "build" ? t`Build` : t`Fetch`} busy={busy} />
      </form>
    </Dialog>
  );
}
