/** Creating a VM in four steps; the last one shows what the server would make of it. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { post } from "~/api/client";
import { useObjects } from "~/api/live";
import { type Image, type Vm, imagePhase, path } from "~/api/objects";
import { Button, ButtonLink, Empty, Panel, Phase } from "~/design/basics";
import { quoted } from "~/design/Cli";
import { Checkbox, NumberField, Select, Switch, TextField } from "~/design/fields";
import { Icon } from "~/design/Icon";
import { ProblemNote, useForm } from "~/design/overlays";
import { Page } from "~/shell/Page";
import { bytes, bytesForCli } from "~/words/format";
import { Diff } from "./vm/Diff";
import { differences } from "./vm/diff";
import { labelPatch } from "./vm/Settings";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

interface Extra {
  name: string;
  gib: number;
}

/** All that the wizard asks. */
interface Draft {
  name: string;
  image: string | null;
  labels: string;
  cpus: number;
  memoryMib: number;
  rootGib: number;
  full: boolean;
  pool: string | null;
  disks: Extra[];
  /** A CD beside the image. */
  cd: string | null;
  cdFirst: boolean;
  /** The guest has no virtio drivers. */
  plain: boolean;
  networks: string[];
  firmware: string;
  user: string;
  keys: string;
  userData: string;
  hostname: string;
  start: boolean;
}

const FIRST: Draft = {
  name: "", image: null, labels: "", cpus: 2, memoryMib: 2048, rootGib: 10, full: false, pool: null, disks: [], cd: null, cdFirst: false, plain: false, networks: ["default"], firmware: "bios", user: "", keys: "", userData: "", hostname: "", start: true,
};

export function requestOf(d: Draft, image: Image | undefined) {
  const keys = d.keys.split("\n").map((k) => k.trim()).filter(Boolean);
  const hasDisk = image?.status?.disk ?? true;
  const cds = cdsOf(d, image);
  const init = {
    ...(d.hostname ? { hostname: d.hostname } : {}),
    ...(d.user ? { user: d.user } : {}),
    ...(keys.length ? { ssh_keys: keys } : {}),
    ...(d.userData.trim() ? { user_data: d.userData } : {}),
  };
  const root = {
    name: "root",
    ...(d.image && hasDisk ? { image: d.image, clone: d.full ? "full" : "linked" } : {}),
    size_bytes: Math.round(d.rootGib * GIB),
    ...(d.pool ? { pool: d.pool } : {}),
    ...(d.plain ? { bus: "sata" } : {}),
  };
  return {
    meta: { name: d.name, labels: labelPatch(d.labels, {}) },
    spec: {
      power: d.start ? "on" : "off",
      cpus: d.cpus,
      memory_bytes: Math.round(d.memoryMib) * MIB,
      firmware: d.firmware,
      ...(image?.status?.kernel ? { boot_image: d.image } : {}),
      disks: [root, ...d.disks.map((e) => ({ name: e.name, size_bytes: Math.round(e.gib * GIB), ...(d.pool ? { pool: d.pool } : {}) }))],
      nics: d.networks.map((network, i) => ({ name: `nic${i}`, network, ...(d.plain ? { model: "e1000e" } : {}) })),
      ...(cds.length ? { cdroms: cds.map((cd, i) => ({ name: `cd${i}`, image: cd })) } : {}),
      ...(cds.length && d.cdFirst ? { boot: [...cds.map((_, i) => `cd${i}`), "root"] } : {}),
      init,
    },
  };
}

/** The image itself if it is a CD, and the one beside it. */
function cdsOf(d: Draft, image: Image | undefined): string[] {
  const own = image?.status?.cdrom && d.image ? [d.image] : [];
  return d.cd && d.cd !== d.image ? [...own, d.cd] : own;
}

export function commandOf(d: Draft, image: Image | undefined): string {
  const words = ["tabane vm create", d.name || "NAME"];
  const cds = cdsOf(d, image);
  if (d.image && !image?.status?.cdrom) words.push("--image", d.image);
  for (const cd of cds) words.push("--cdrom", cd);
  if (cds.length && d.cdFirst) words.push("--boot", [...cds.map((_, i) => `cd${i}`), "root"].join(","));
  if (d.plain) words.push("--disk-bus sata --nic-model e1000e");
  words.push("--cpus", String(d.cpus), "--memory", bytesForCli(Math.round(d.memoryMib) * MIB), "--disk", bytesForCli(Math.round(d.rootGib * GIB)));
  if (d.full) words.push("--full-clone");
  if (d.pool) words.push("--pool", d.pool);
  for (const network of d.networks) words.push("--network", network);
  if (d.firmware !== "bios") words.push("--firmware", d.firmware);
  if (d.user) words.push("--user", quoted(d.user));
  if (d.hostname) words.push("--hostname", quoted(d.hostname));
  if (d.keys.trim()) words.push("--ssh-key FILE");
  if (d.userData.trim()) words.push("--user-data FILE");
  for (const word of d.labels.split(/[\s,]+/).filter(Boolean)) words.push("--label", quoted(word));
  if (d.start) words.push("--start --wait agent");
  return words.join(" ");
}

export function VmCreate() {
  const { t } = useLingui();
  const navigate = useNavigate();
  const { image: asked } = useSearch({ from: "/shell/vms/new" });
  const images = useObjects("image");
  const [step, setStep] = useState(0);
  const [draft, setDraft] = useState<Draft>({ ...FIRST, image: asked ?? null });
  const set = <K extends keyof Draft>(key: K, value: Draft[K]) => setDraft((d) => ({ ...d, [key]: value }));
  const image = images.find((i) => i.meta.name === draft.image);
  const request = useMemo(() => requestOf(draft, image), [draft, image]);
  const key = useMemo(() => crypto.randomUUID(), []);
  const [would, setWould] = useState<Vm>();
  const check = useForm(async () => {
    setWould(undefined);
    setWould(await post<Vm>(path("vm"), request, { query: { dry_run: true } }));
  });
  const create = useForm(async () => {
    await post<Vm>(path("vm"), request, { headers: { "Idempotency-Key": `${key}.${JSON.stringify(request).length}` } });
    await navigate({ to: "/vms/$name/{-$tab}", params: { name: draft.name, tab: draft.start ? "console" : undefined } });
  });
  const steps = [t`Image`, t`Size and disks`, t`Network and access`, t`Preview`];
  const last = steps.length - 1;
  useEffect(() => {
    if (step === last) void check.submit();
    // Only on arrival at the last step.
  }, [step]);
  const problem = create.problem ?? check.problem;
  const ready = draft.name.trim() !== "";
  return (
    <Page title={t`Create a VM`} titleText={t`Create a VM`} back={{ to: "/vms", name: t`VMs` }} cli={[commandOf(draft, image)]}>
      <ol className="flex flex-wrap gap-1" aria-label={t`Steps`}>
        {steps.map((name, i) => (
          <li key={name}>
            <button type="button" disabled={i > 0 && !ready} onClick={() => setStep(i)} {...(i === step ? { "aria-current": "step" as const } : {})}
              className={`flex items-center gap-2 rounded-full border pl-1 pr-3 h-8 disabled:opacity-60 ${i === step ? "border-accent bg-accent-soft font-medium" : "border-line bg-surface"}`}>
              <span className={`grid place-items-center size-6 rounded-full text-xs ${i <= step ? "bg-accent text-on-accent" : "bg-idle-soft text-muted"}`}>{i < step ? <Icon name="check" size={12} /> : i + 1}</span>
              {name}
            </button>
          </li>
        ))}
      </ol>
      <form className="grid gap-3 max-w-4xl" onSubmit={(event) => {
        event.preventDefault();
        if (step < last) setStep(step + 1);
        else void create.submit();
      }}>
        {step === 0 ? <First draft={draft} set={set} images={images} /> : null}
        {step === 1 ? <Sizes draft={draft} set={set} image={image} images={images} /> : null}
        {step === 2 ? <Access draft={draft} set={set} image={image} /> : null}
        {step === 3 ? (
          <Panel title={<Trans>What the server would make</Trans>}>
            {problem ? <ProblemNote problem={problem} /> : would ? <Diff differences={differences({}, { meta: { name: would.meta.name, labels: would.meta.labels }, spec: would.spec })} /> : <p className="flex gap-2 text-muted"><Icon name="spinner" /><Trans>The server checks it…</Trans></p>}
            <div className="mt-4"><Switch isSelected={draft.start} onChange={(v) => set("start", v)}><Trans>Start it at once</Trans></Switch></div>
          </Panel>
        ) : null}
        <div className="flex gap-2">
          {step > 0 ? <Button onPress={() => setStep(step - 1)}><Trans>Back</Trans></Button> : <ButtonLink to="/vms"><Trans>Cancel</Trans></ButtonLink>}
          <span className="ml-auto" />
          {step < last
            ? <Button type="submit" look="primary" isDisabled={!ready}><Trans>Next</Trans></Button>
            : <Button type="submit" look="primary" busy={create.busy} isDisabled={!would}>{draft.start ? <Trans>Create and start</Trans> : <Trans>Create</Trans>}</Button>}
        </div>
      </form>
    </Page>
  );
}

interface StepProps {
  draft: Draft;
  set: <K extends keyof Draft>(key: K, value: Draft[K]) => void;
}

function Pick({ chosen, onPick, children, name }: { chosen: boolean; onPick: () => void; children: ReactNode; name: string }) {
  return (
    <button type="button" aria-pressed={chosen} aria-label={name} onClick={onPick}
      className={`text-left rounded-lg border p-3 min-w-0 ${chosen ? "border-accent bg-accent-soft" : "border-line-strong/50 hover:bg-sunken"}`}>
      {children}
    </button>
  );
}

function First({ draft, set, images }: StepProps & { images: readonly Image[] }) {
  const { t } = useLingui();
  return (
    <Panel title={<Trans>Name and image</Trans>}>
      <div className="grid gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField label={t`Name`} value={draft.name} onChange={(v) => set("name", v)} mono autoFocus isRequired placeholder="web1" hint={t`Letters a–z, digits and hyphens; 63 at most.`} />
          <TextField label={t`Labels`} value={draft.labels} onChange={(v) => set("labels", v)} mono placeholder="env=prod, team=web" />
        </div>
        <div>
          <p className="text-xs font-medium text-muted mb-1"><Trans>Image</Trans></p>
          {images.length === 0 ? (
            <Empty icon="image" title={<Trans>There are no images yet.</Trans>}><ButtonLink to="/images" look="primary"><Trans>Get an image</Trans></ButtonLink></Empty>
          ) : (
            <div className="grid gap-2 sm:grid-cols-2 lg:grid-cols-3">
              {images.map((image) => (
                <Pick key={image.meta.name} name={image.meta.name} chosen={draft.image === image.meta.name} onPick={() => {
                  set("image", image.meta.name);
                  const gib = image.status?.cdrom ? 20 : (image.status?.virtual_size_bytes ?? 0) / GIB;
                  if (gib > 0) set("rootGib", Math.max(gib < 1 ? 1 : Math.ceil(gib), draft.rootGib));
                  // A template has the size of the machine that it was made of.
                  const { cpus, memory_bytes: memory, firmware } = image.spec.defaults ?? {};
                  if (cpus) set("cpus", cpus);
                  if (memory) set("memoryMib", memory / MIB);
                  if (firmware) set("firmware", firmware);
                }}>
                  <span className="flex items-center gap-2"><span className="font-medium truncate mr-auto">{image.meta.name}</span>{imagePhase(image) === "ready" ? null : <Phase phase={imagePhase(image)} />}</span>
                  <span className="block text-xs text-muted truncate">{image.status?.cdrom ? <Trans>CD, to install from</Trans> : image.status?.os ?? image.spec.os ?? "–"} · {bytes(image.status?.virtual_size_bytes)}</span>
                </Pick>
              ))}
              <Pick name={t`No image`} chosen={draft.image === null} onPick={() => set("image", null)}>
                <span className="font-medium"><Trans>No image</Trans></span>
                <span className="block text-xs text-muted"><Trans>An empty disk</Trans></span>
              </Pick>
            </div>
          )}
        </div>
      </div>
    </Panel>
  );
}

function Sizes({ draft, set, image, images }: StepProps & { image: Image | undefined; images: readonly Image[] }) {
  const { t } = useLingui();
  const pools = useObjects("pool");
  const all = useObjects("flavor");
  const flavors = useMemo(() => all.toSorted((a, b) => a.spec.cpus - b.spec.cpus || a.spec.memory_bytes - b.spec.memory_bytes), [all]);
  const hasDisk = image?.status?.disk ?? true;
  return (
    <>
      <Panel title={<Trans>Size</Trans>}>
        <div className="grid gap-4">
          <div className="grid gap-2 grid-cols-2 sm:grid-cols-4">
            {flavors.map((flavor) => (
              <Pick key={flavor.meta.name} name={flavor.meta.name} chosen={draft.cpus === flavor.spec.cpus && draft.memoryMib * MIB === flavor.spec.memory_bytes} onPick={() => {
                set("cpus", flavor.spec.cpus);
                set("memoryMib", flavor.spec.memory_bytes / MIB);
                if (flavor.spec.disk_bytes) set("rootGib", flavor.spec.disk_bytes / GIB);
              }}>
                <span className="font-medium">{flavor.meta.name}</span>
                <span className="block text-xs text-muted"><Plural value={flavor.spec.cpus} one="# CPU" other="# CPUs" /> · {bytes(flavor.spec.memory_bytes)}</span>
              </Pick>
            ))}
          </div>
          <div className="grid gap-4 grid-cols-2 sm:grid-cols-4">
            <NumberField label={t`CPUs`} value={draft.cpus} onChange={(v) => set("cpus", v)} min={1} max={255} />
            <NumberField label={t`Memory`} unit="MiB" value={draft.memoryMib} onChange={(v) => set("memoryMib", v)} min={32} />
            <Select label={t`Firmware`} value={draft.firmware} onChange={(v) => set("firmware", v)} choices={[{ id: "bios", name: "BIOS" }, { id: "uefi", name: "UEFI" }, { id: "uefi-secure-boot", name: "UEFI Secure Boot" }]} />
          </div>
        </div>
      </Panel>
      <Panel title={<Trans>Disks</Trans>} actions={<Button small icon="plus" onPress={() => set("disks", [...draft.disks, { name: `data${draft.disks.length || ""}`, gib: 20 }])}><Trans>Add a disk</Trans></Button>}>
        <div className="grid gap-4">
          <div className="grid gap-4 sm:grid-cols-3">
            <NumberField label={t`Size of the first disk`} unit="GiB" value={draft.rootGib} onChange={(v) => set("rootGib", v)} min={0.1} />
            <Select label={t`Pool`} value={draft.pool ?? ""} onChange={(v) => set("pool", v || null)} choices={[{ id: "", name: t`The default one` }, ...pools.map((p) => ({ id: p.meta.name, name: p.meta.name }))]} />
            {draft.image && hasDisk ? (
              <Select label={t`How it is made`} value={draft.full ? "full" : "linked"} onChange={(v) => set("full", v === "full")}
                choices={[{ id: "linked", name: t`Linked clone`, told: t`At once; stands on the image` }, { id: "full", name: t`Full copy`, told: t`Independent of the image` }]} />
            ) : null}
          </div>
          {draft.disks.map((disk, i) => {
            const change = (part: Partial<Extra>) => set("disks", draft.disks.map((d, j) => (i === j ? { ...d, ...part } : d)));
            return (
              <div key={i} className="grid gap-4 grid-cols-[1fr_1fr_auto] sm:grid-cols-[1fr_1fr_1fr] items-end">
                <TextField label={t`Name`} value={disk.name} onChange={(v) => change({ name: v })} mono />
                <NumberField label={t`Size`} unit="GiB" value={disk.gib} onChange={(v) => change({ gib: v })} min={0.01} />
                <span><Button icon="trash" look="ghost" aria-label={t`Remove ${disk.name}`} onPress={() => set("disks", draft.disks.filter((_, j) => j !== i))} /></span>
              </div>
            );
          })}
        </div>
      </Panel>
      <Panel title={<Trans>CD and devices</Trans>}>
        <div className="grid gap-4 sm:grid-cols-3">
          <Select label={image?.status?.cdrom ? t`A second CD` : t`CD`} value={draft.cd ?? ""} onChange={(v) => set("cd", v || null)} hint={t`Drivers or an installer; it can be changed while the VM runs.`}
            choices={[{ id: "", name: t`None` }, ...images.filter((i) => i.status?.cdrom && i.meta.name !== draft.image).map((i) => ({ id: i.meta.name, name: i.meta.name }))]} />
          {cdsOf(draft, image).length ? (
            <Select label={t`Boot first`} value={draft.cdFirst ? "cd" : "disk"} onChange={(v) => set("cdFirst", v === "cd")} hint={t`A disk with nothing on it is passed over.`}
              choices={[{ id: "disk", name: t`The disk` }, { id: "cd", name: t`The CD` }]} />
          ) : null}
          <div className="self-center"><Switch isSelected={draft.plain} onChange={(v) => set("plain", v)}><Trans>No virtio drivers in the guest: SATA disk, Intel nics</Trans></Switch></div>
        </div>
      </Panel>
    </>
  );
}

function Access({ draft, set, image }: StepProps & { image: Image | undefined }) {
  const { t } = useLingui();
  const networks = useObjects("network");
  return (
    <>
      <Panel title={<Trans>Networks</Trans>}>
        <div className="grid gap-1">
          {networks.map((n) => {
            const name = n.meta.name;
            return (
              <Checkbox key={name} isSelected={draft.networks.includes(name)} onChange={(on) => set("networks", on ? [...draft.networks, name] : draft.networks.filter((x) => x !== name))}>
                <span className="font-medium">{name}</span> <span className="text-muted">{n.spec.kind ?? "user"} {n.spec.cidr ?? ""}</span>
              </Checkbox>
            );
          })}
        </div>
      </Panel>
      <Panel title={<Trans>Access and cloud-init</Trans>}>
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField label={t`Host name`} value={draft.hostname} onChange={(v) => set("hostname", v)} mono placeholder={draft.name} />
          <TextField label={t`User`} value={draft.user} onChange={(v) => set("user", v)} mono placeholder={image?.status?.default_user ?? image?.spec.default_user ?? "debian"} />
          <div className="sm:col-span-2"><TextField label={t`Public SSH keys, one a line`} value={draft.keys} onChange={(v) => set("keys", v)} mono lines={3} placeholder="ssh-ed25519 AAAA… you@there" /></div>
          <div className="sm:col-span-2"><TextField label={t`Own cloud-init user-data`} value={draft.userData} onChange={(v) => set("userData", v)} mono lines={5} placeholder={"#cloud-config\npackages: [nginx]"} /></div>
        </div>
      </Panel>
    </>
  );
}
