/**
 * What an OVA package holds and where, read from the file where it lies: its headers, its descriptor, its manifest.
 *
 * The same archives are read and refused as by `tabane-convert/src/ova/index.rs`. A package comes from anywhere, so each
 * field is checked before it is used, and nothing is read that has no bound.
 */

/** A file inside the package. */
export interface Entry {
  /** A plain name: no folder, no `..`. */
  name: string;
  /** Of the content, from the beginning of the package. */
  offset: number;
  length: number;
}

export interface Package {
  file: File;
  entries: Entry[];
  descriptorName: string;
  descriptor: string;
  manifest?: string;
}

export type Reason =
  | "empty" | "not_tar" | "damaged" | "cut" | "beyond_end" | "too_many" | "nameless" | "folder" | "long_name" | "other_folder" | "control"
  | "twice" | "no_plain_file" | "no_descriptor" | "text_too_long" | "text_encoding";

/** Why a package is not read further; the page has the words. */
export class PackageFault extends Error {
  constructor(readonly reason: Reason, readonly entry = "") {
    super(`${reason} ${entry}`);
  }
}

const BLOCK = 512;
const ENTRIES_MAX = 1024;
const NAME_BYTES_MAX = 255;
const EXTENSION_BYTES_MAX = 64 * 1024;
const DESCRIPTOR_BYTES_MAX = 4 * 2 ** 20;
const MANIFEST_BYTES_MAX = 2 ** 20;

const bytesOf = async (file: Blob, from: number, length: number) => new Uint8Array(await file.slice(from, from + length).arrayBuffer());

function utf8(bytes: Uint8Array, reason: Reason = "damaged"): string {
  try {
    // With the mark at the beginning, if there is one: the manifest's digest is over it, too.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new PackageFault(reason);
  }
}

/** Up to the first zero. */
function field(header: Uint8Array, from: number, to: number): string {
  const bytes = header.subarray(from, to);
  const end = bytes.indexOf(0);
  return utf8(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Octal digits, or GNU's base 256; `undefined` for what is neither, or too large to count with. */
function number(bytes: Uint8Array): number | undefined {
  if (bytes[0]! & 0x80) {
    const high = bytes.subarray(0, Math.max(0, bytes.length - 8));
    if (!high.every((byte, i) => byte === (i === 0 ? 0x80 : 0))) return undefined;
    const value = bytes.subarray(high.length).reduce((sum, byte) => sum * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = String.fromCharCode(...bytes).replaceAll(/^[\0 ]+|[\0 ]+$/g, "");
  if (digits === "") return 0;
  return /^[0-7]{1,16}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

/** Refuses every name that is more than a name. */
export function plain(name: string): string {
  const bare = name.startsWith("./") ? name.slice(2) : name;
  const shown = name.slice(0, NAME_BYTES_MAX);
  if (bare === "") throw new PackageFault("nameless");
  if (bare === "." || bare === "..") throw new PackageFault("folder", shown);
  if (new TextEncoder().encode(bare).length > NAME_BYTES_MAX) throw new PackageFault("long_name", shown);
  if (/[/\\]/.test(bare)) throw new PackageFault("other_folder", shown);
  if (/\p{Cc}/u.test(bare)) throw new PackageFault("control", shown);
  return bare;
}

interface Extension {
  name?: string;
  length?: number;
}

/** What an extended header says of the entry behind it: GNU's long name, or records of `LENGTH KEY=VALUE\n`. */
function extensionOf(kind: string, bytes: Uint8Array, known: Extension): Extension {
  if (kind === "L") return { ...known, name: field(bytes, 0, bytes.length) };
  const found = { ...known };
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(32, at);
    const digits = space < 0 || space - at > 8 ? "" : utf8(bytes.subarray(at, space));
    const length = /^\d{1,8}$/.test(digits) ? Number(digits) : 0;
    const record = bytes.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(61);
    if (length <= digits.length + 1 || at + length > bytes.length || bytes[at + length - 1] !== 10 || equals < 0) throw new PackageFault("damaged");
    const [key, value] = [utf8(record.subarray(0, equals)), utf8(record.subarray(equals + 1))];
    if (key === "path") found.name = value;
    if (key === "size") {
      found.length = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
      if (!Number.isSafeInteger(found.length)) throw new PackageFault("damaged");
    }
    at += length;
  }
  return found;
}

function checked(header: Uint8Array, at: number) {
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i]!;
  if (number(header.subarray(148, 156)) !== sum) throw new PackageFault(at === 0 ? "not_tar" : "damaged");
}

/** Reads the headers, and skips what is between them. */
export async function index(file: Blob): Promise<Entry[]> {
  const entries: Entry[] = [];
  const names = new Set<string>();
  let extension: Extension = {};
  if (file.size === 0) throw new PackageFault("empty");
  for (let at = 0, headers = 0; at < file.size; headers++) {
    if (headers > 4 * ENTRIES_MAX || entries.length > ENTRIES_MAX) throw new PackageFault("too_many");
    if (file.size - at < BLOCK) throw new PackageFault("cut");
    const header = await bytesOf(file, at, BLOCK);
    if (header.every((byte) => byte === 0)) break;
    checked(header, at);
    const kind = String.fromCharCode(header[156]!);
    let name = field(header, 0, 100);
    // GNU's own form has other things where ustar has the beginning of a long name.
    if (field(header, 257, 263) === "ustar" && header[262] === 0 && header[345] !== 0) name = `${field(header, 345, 500)}/${name}`;
    const isFile = kind === "0" || kind === "\0" || kind === "7";
    const length = isFile && extension.length !== undefined ? extension.length : number(header.subarray(124, 136));
    if (length === undefined) throw new PackageFault("damaged", name);
    const content = at + BLOCK;
    if (content + length > file.size) throw new PackageFault("beyond_end", name);
    if (isFile) {
      const known = plain(extension.name ?? name);
      if (names.has(known)) throw new PackageFault("twice", known);
      names.add(known);
      entries.push({ name: known, offset: content, length });
      extension = {};
    } else if (kind === "5") {
      const folder = extension.name ?? name;
      if (!["", "."].includes(folder.replace(/\/+$/, ""))) throw new PackageFault("folder", folder.slice(0, NAME_BYTES_MAX));
      extension = {};
    } else if (kind === "x" || kind === "L") {
      if (length > EXTENSION_BYTES_MAX) throw new PackageFault("damaged", name);
      extension = extensionOf(kind, await bytesOf(file, content, length), extension);
    } else if (kind !== "g") {
      // A link or a device, perhaps. What is `g` holds for the whole archive, such as its comment.
      throw new PackageFault("no_plain_file", name.slice(0, NAME_BYTES_MAX));
    }
    at = content + Math.ceil(length / BLOCK) * BLOCK;
  }
  return entries;
}

const called = (entries: Entry[], ending: string) => entries.find((entry) => entry.name.toLowerCase().endsWith(ending));

async function textOf(file: Blob, entry: Entry, bytesMax: number): Promise<string> {
  if (entry.length > bytesMax) throw new PackageFault("text_too_long", entry.name);
  return utf8(await bytesOf(file, entry.offset, entry.length), "text_encoding");
}

export async function readPackage(file: File): Promise<Package> {
  const entries = await index(file);
  const descriptor = called(entries, ".ovf");
  if (!descriptor) throw new PackageFault("no_descriptor");
  const manifest = called(entries, ".mf");
  return {
    file,
    entries,
    descriptorName: descriptor.name,
    descriptor: await textOf(file, descriptor, DESCRIPTOR_BYTES_MAX),
    ...(manifest ? { manifest: await textOf(file, manifest, MANIFEST_BYTES_MAX) } : {}),
  };
}

export const isPackage = (file: { name: string }) => /\.ova$/i.test(file.name);
