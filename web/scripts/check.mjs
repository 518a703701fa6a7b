// What has to hold of the sources before anything is built: types made from the API's present description, every text
// in both languages, no lint, no type error.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const failures = [];

function run(program, ...args) {
  const done = spawnSync("npx", ["--no-install", program, ...args], { cwd: here, encoding: "utf8" });
  const told = `${done.stdout}${done.stderr}`.split("\n").filter((line) => !line.startsWith("npm warn")).join("\n").trim();
  return { ok: done.status === 0, told, out: done.stdout };
}

function expect(what, ok, told) {
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
  if (!ok) failures.push(`${what}\n${told}`);
}

const types = run("openapi-typescript", "../crates/tabane-server/openapi.json");
const kept = readFileSync(`${here}/src/api/schema.ts`, "utf8");
expect("types are made from the API's description", types.ok && types.out.trim() === kept.trim(), "npm run types writes them anew");

const catalogues = ["en", "ja"].map((locale) => `${here}/src/locales/${locale}.po`);
const before = catalogues.map((file) => readFileSync(file, "utf8"));
const extracted = run("lingui", "extract", "--clean");
const after = catalogues.map((file) => readFileSync(file, "utf8"));
catalogues.forEach((file, i) => writeFileSync(file, before[i]));
const bare = (text) => text.replace(/"POT-Creation-Date.*\n/, "");
expect("catalogues hold the texts of the sources", extracted.ok && before.every((text, i) => bare(text) === bare(after[i])), `npm run extract, then translate\n${extracted.told}`);

const missing = after[1].split("\n\n").slice(1).filter((block) => /\nmsgstr ""\s*$/.test(block.trimEnd()));
expect("every text is there in Japanese", missing.length === 0, missing.join("\n\n"));

const lint = run("oxlint", "--deny-warnings", "src", "tests", "pictures", "scripts");
expect("lint", lint.ok, lint.told);

const tsc = run("tsc", "-p", ".");
expect("types fit", tsc.ok, tsc.told);

if (failures.length) {
  console.error(`\n${failures.join("\n\n")}`);
  process.exit(1);
}
