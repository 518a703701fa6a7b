/** Packages as strangers make them: read in every form of tar, and refused where they would lead out of themselves. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { type Algorithm, digest, digestsOf } from "../src/api/digest";
import { PackageFault, index, readPackage } from "../src/api/package";

/** What GNU tar writes of the files that `make` leaves in a folder. */
function tar(words: string[], make: (folder: string) => void): Buffer<ArrayBuffer> {
  const folder = mkdtempSync(join(tmpdir(), "console-tar-"));
  try {
    make(folder);
    return Buffer.from(execFileSync("tar", ["-C", folder, "-cf", "-", ...words], { stdio: ["ignore", "pipe", "pipe"], maxBuffer: 2 ** 26 }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const file = (folder: string) => writeFileSync(join(folder, "x"), "x");
const fileOf = (bytes: Uint8Array<ArrayBuffer>) => new File([bytes], "x.ova");

async function refused(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const error = await readPackage(fileOf(bytes)).then(() => undefined, (e: unknown) => e);
  expect(error).toBeInstanceOf(PackageFault);
  return (error as PackageFault).reason;
}

/** With a right checksum, so that the fields behind it are looked at. */
function sealed(bytes: Buffer<ArrayBuffer>, at = 0): Buffer<ArrayBuffer> {
  bytes.fill(32, at + 148, at + 156);
  const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148, "latin1");
  return bytes;
}

test("every form of tar is read, and the content is where it says", async () => {
  const long = `${"d".repeat(150)}.vmdk`;
  for (const form of ["ustar", "gnu", "pax"]) {
    const name = form === "ustar" ? "disk.vmdk" : long;
    const bytes = tar(["--format", form, "x.ovf", "x.mf", name], (folder) => {
      writeFileSync(join(folder, "x.ovf"), "\u{feff}descriptor");
      writeFileSync(join(folder, "x.mf"), "manifest");
      writeFileSync(join(folder, name), Buffer.alloc(1000, 7));
    });
    const found = await readPackage(fileOf(bytes));
    expect(found.entries.map((e) => [e.name, e.length]), form).toEqual([["x.ovf", 13], ["x.mf", 8], [name, 1000]]);
    expect([found.descriptorName, found.descriptor, found.manifest], form).toEqual(["x.ovf", "\u{feff}descriptor", "manifest"]);
    const { offset } = found.entries[2]!;
    expect(bytes.subarray(offset, offset + 1000).every((byte) => byte === 7), form).toBe(true);
  }
});

test("what leads out of a package is refused", async () => {
  for (const name of ["../x", "/etc/passwd", "a/b", "..", "a\\b", "a\nb"]) {
    const bytes = tar(["-P", `--transform=s|^x$|${name.replace("\\", "\\\\").replace("\n", "\\n")}|`, "x"], file);
    const expected = name === ".." ? "folder" : name === "a\nb" ? "control" : "other_folder";
    expect(await refused(bytes), JSON.stringify(name)).toBe(expected);
  }
  expect(await refused(tar(["x"], (folder) => symlinkSync("/etc/shadow", join(folder, "x"))))).toBe("no_plain_file");
  expect(await refused(tar(["x", "x", "--hard-dereference"], file))).toBe("twice");
  expect(await refused(tar(["a"], (folder) => mkdirSync(join(folder, "a"))))).toBe("folder");
  // The same by an extended header, which the name in the plain one hides.
  const pax = tar(["--format", "pax", "--pax-option=path:=../../x", "x"], file);
  expect(await refused(pax)).toBe("other_folder");
});

test("what is cut short, damaged or too large is told", async () => {
  const bytes = tar(["x.ovf"], (folder) => writeFileSync(join(folder, "x.ovf"), Buffer.alloc(5000, 65)));
  expect((await readPackage(fileOf(bytes))).descriptor).toBe("A".repeat(5000));
  expect(await refused(bytes.subarray(0, 3000))).toBe("beyond_end");
  expect(await refused(bytes.subarray(0, 100))).toBe("cut");
  expect(await refused(Buffer.alloc(0))).toBe("empty");
  expect(await refused(Buffer.alloc(4096))).toBe("no_descriptor");
  const flipped = Buffer.from(bytes);
  flipped[3]! ^= 1;
  expect(await refused(flipped)).toBe("not_tar");
  // Sizes that no file has: in octal, in base 256, and in an extended header.
  for (const size of ["77777777777\0", `\x80${"\0".repeat(4)}${"\xff".repeat(7)}`, `\xff${"\xff".repeat(11)}`, "99999999999\0"]) {
    const absurd = Buffer.from(bytes);
    absurd.write(size, 124, "latin1");
    expect(["beyond_end", "damaged"], size).toContain(await refused(sealed(absurd)));
  }
  for (const size of ["99999999999999999999", "-5", "1e3", "9007199254740991"]) {
    const pax = tar(["--format", "pax", `--pax-option=size:=${size}`, "x"], file);
    expect(["beyond_end", "damaged"], size).toContain(await refused(pax));
  }
  const binary = tar(["x.ovf"], (folder) => writeFileSync(join(folder, "x.ovf"), Buffer.from([0xff, 0xfe, 0])));
  expect(await refused(binary)).toBe("text_encoding");
  const long = tar(["x.ovf"], (folder) => writeFileSync(join(folder, "x.ovf"), Buffer.alloc(5 * 2 ** 20, 65)));
  expect(await refused(long)).toBe("text_too_long");
  const many = tar(["."], (folder) => {
    for (let i = 0; i < 1100; i++) writeFileSync(join(folder, `f${i}`), "");
  });
  expect(await refused(many)).toBe("too_many");
});

test("no archive leads outside of itself, whatever is written into its headers", async () => {
  const bytes = tar(["--format", "pax", `--pax-option=comment:=${"c".repeat(90)}`, "x.ovf", "x.vmdk"], (folder) => {
    writeFileSync(join(folder, "x.ovf"), "descriptor");
    writeFileSync(join(folder, "x.vmdk"), Buffer.alloc(700, 7));
  });
  // Each time the same numbers.
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  let [read, refusals] = [0, 0];
  for (let turn = 0; turn < 600; turn++) {
    const changed = Buffer.from(bytes);
    const block = random(bytes.length / 512) * 512;
    for (let i = random(12); i >= 0; i--) changed[block + (random(3) === 0 ? 124 + random(12) : random(512))] = random(256);
    try {
      for (const entry of await index(new Blob([sealed(changed, block)]))) {
        expect(entry.offset + entry.length).toBeLessThanOrEqual(bytes.length);
        expect(entry.name).not.toMatch(/[/\\]|^\.{0,2}$/);
      }
      read += 1;
    } catch (error) {
      expect(error).toBeInstanceOf(PackageFault);
      refusals += 1;
    }
  }
  expect(Math.min(read, refusals), `${read} were read, ${refusals} refused`).toBeGreaterThan(50);
});

test("digests are those of the standard, in whatever pieces the bytes come", async () => {
  const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, i) => (i * 7 + (i >> 5)) % 256));
  for (const algorithm of ["sha1", "sha256", "sha512"] as Algorithm[]) {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1_000, 3_000]) {
      const made = digest(algorithm);
      for (let at = 0, step = 1; at < length; at += step, step = (step * 3) % 97 || 1) made.update(bytes.subarray(at, Math.min(length, at + step)));
      expect(made.finish(), `${algorithm} of ${length} bytes`).toBe(createHash(algorithm).update(bytes.subarray(0, length)).digest("hex"));
    }
  }
  const large = Buffer.alloc(24 * 2 ** 20 + 5, "tabane");
  for (const algorithm of ["sha1", "sha256", "sha512"] as Algorithm[]) {
    const began = performance.now();
    const [made] = await digestsOf(new Blob([large]), [algorithm], new AbortController().signal, () => {});
    const mib = Math.round(24_000 / (performance.now() - began));
    expect(made).toBe(createHash(algorithm).update(large).digest("hex"));
    console.log(`${algorithm}: ${mib} MiB/s`);
  }
  const stop = new AbortController();
  stop.abort();
  await expect(digestsOf(new Blob([large]), ["sha1"], stop.signal, () => {})).rejects.toThrow();
});
