/** Parts that need no browser. */
import { expect, test } from "@playwright/test";
import { applied, place } from "../src/api/live";
import { differences } from "../src/pages/vm/diff";
import { ago, bytes, bytesForCli, lasting } from "../src/words/format";

const object = (name: string, value = 0) => ({ meta: { name }, value });
const put = (name: string, value = 0) => ({ change: "put" as const, kind: "vm", revision: 1, object: object(name, value) });
const gone = (name: string) => ({ change: "gone" as const, kind: "vm", revision: 1, name });
const empty = () => ({ list: [], index: new Map() });
const names = (table: { list: readonly { meta: { name: string } }[] }) => table.list.map((o) => o.meta.name);

test("a table stays sorted, whatever comes in whatever order", () => {
  let table = applied(empty(), [put("c"), put("a"), put("b")]);
  expect(names(table)).toEqual(["a", "b", "c"]);
  const before = table;
  table = applied(table, [put("b", 7), gone("a"), gone("never")]);
  expect(names(table)).toEqual(["b", "c"]);
  expect(table.list[0]).toEqual(object("b", 7));
  expect(names(before), "an older version is not touched").toEqual(["a", "b", "c"]);
  // So many at once are sorted in another way.
  const many = Array.from({ length: 500 }, (_, i) => put(`n${String((i * 7919) % 500).padStart(3, "0")}`));
  const grown = names(applied(table, [...many, gone("c"), put("c2")]));
  expect(grown).toEqual(grown.toSorted());
  expect(grown).toHaveLength(502);
  expect(grown).not.toContain("c");
  expect(place([object("a"), object("c")], "b")).toBe(1);
});

test("differences name the field, also inside lists", () => {
  const before = { cpus: 1, disks: [{ name: "root", size: 1 }], tpm: false };
  const after = { cpus: 2, disks: [{ name: "root", size: 1 }, { name: "data", size: 9 }], tpm: false };
  expect(differences(before, after)).toEqual([
    { path: "cpus", before: "1", after: "2" },
    { path: "disks[data].name", before: undefined, after: "data" },
    { path: "disks[data].size", before: undefined, after: "9" },
  ]);
  expect(differences(before, before)).toEqual([]);
});

test("figures are written as the command line writes them", () => {
  expect([0, 512, 1024, 1536, 64 * 2 ** 20, 2.5 * 2 ** 30].map(bytes)).toEqual(["0 B", "512 B", "1 KiB", "1.5 KiB", "64 MiB", "2.5 GiB"]);
  expect(bytes(undefined)).toBe("–");
  expect([2 ** 30, 192 * 2 ** 20, 1000].map(bytesForCli)).toEqual(["1GiB", "192MiB", "1000"]);
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(lasting("2026-01-01T20:30:00Z", now)).toBe("3 h 30 min");
  expect(["2025-12-29T20:00:00Z", "2026-01-01T23:45:00Z", "2026-01-01T23:59:20Z"].map((at) => lasting(at, now, "ja"))).toEqual(["3日4時間", "15分", "40秒"]);
  expect(ago("2026-01-01T23:58:00Z", now, "en")).toBe("2 min. ago");
  expect(ago("2026-01-01T23:58:00Z", now, "ja")).toContain("2");
});
