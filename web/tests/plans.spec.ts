/** Planning: a survey is sent, a plan is made of it, servers are dragged about, and another plan is put beside it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { accessible, open, signIn } from "./browser";
import { tabane } from "./world";

const BINS = 8 * 24;

/** Nine servers over eight days, in three kinds: busy by day, busy at night, and with much memory. */
function traces(): string[] {
  const folder = join(process.env["CONSOLE_TEST_FOLDER"] ?? "", "traces");
  mkdirSync(folder, { recursive: true });
  const head = `# first_bin_unix=1767225600 step_s=3600 columns=server,v0..v${BINS - 1}\n`;
  let [servers, cpu, memory] = ["server,cores,cpu_cap_mhz,mem_cap_mib\n", head, head];
  for (let i = 0; i < 9; i++) {
    const name = `${["shop", "batch", "db"][i % 3]}-${Math.floor(i / 3) + 1}`;
    const load = (bin: number) => {
      const hour = bin % 24;
      const day = hour >= 8 && hour < 18;
      return i % 3 === 0 ? (day ? 14_000 : 1_500) : i % 3 === 1 ? (day ? 1_200 : 15_000) : 4_000;
    };
    servers += `${name},8,20000,${i % 3 === 2 ? 24_576 : 8_192}\n`;
    cpu += `${name},${Array.from({ length: BINS }, (_, bin) => load(bin)).join(",")}\n`;
    memory += `${name},${Array.from({ length: BINS }, () => (i % 3 === 2 ? 20_000 : 5_000)).join(",")}\n`;
  }
  const files: [string, string][] = [["servers.csv", servers], ["cpu_mhz.csv", cpu], ["mem_mib.csv", memory]];
  return files.map(([name, content]) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  });
}

test("a survey is sent, planned, tried otherwise, and compared", async ({ page }) => {
  test.setTimeout(240_000);
  const files = traces();
  const complaints = await signIn(page);
  await open(page, "/surveys");
  await expect(page.getByText("There are no surveys.")).toBeVisible();
  await page.getByRole("button", { name: "New survey" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Send files" }).click();
  await dialog.getByRole("textbox", { name: "Name" }).fill("january");
  await dialog.locator("input[type=file]").setInputFiles(files);
  await expect(dialog.getByRole("list", { name: "Files" })).toContainText("cpu_mhz.csv");
  await accessible(page, "the dialog that sends a survey");
  await dialog.getByRole("button", { name: "Send", exact: true }).click();
  const survey = page.getByRole("row", { name: /january/ });
  await expect(survey).toContainText("ready");
  await expect(survey).toContainText("8.0");

  await open(page, "/plans");
  await page.getByRole("button", { name: "Make a plan" }).first().click();
  await dialog.getByRole("textbox", { name: "Name" }).fill("first");
  for (const [field, value] of [["Cores", "16"], ["Speed of a core (MHz)", "2500"], ["Memory (GiB)", "96"], ["Price", "9000"], ["Search for (s)", "2"]] as const) {
    await dialog.getByRole("textbox", { name: field }).fill(value);
    await dialog.getByRole("textbox", { name: field }).press("Tab");
  }
  await accessible(page, "the dialog that makes a plan");
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(page).toHaveURL(/\/plans\/first$/);
  await expect(page.getByRole("article", { name: "host-001" })).toBeVisible({ timeout: 60_000 });
  await accessible(page, "/plans/first");

  // By keyboard: taken up at its handle, dropped on a host that is not there yet.
  const fresh = page.getByRole("article", { name: "A new host of type host" });
  const rows = page.getByRole("article", { name: "host-001" }).getByRole("row");
  await rows.first().focus();
  const names = await rows.evaluateAll((all) => all.map((row) => row.getAttribute("aria-label") ?? ""));
  for (let i = 0; i < names.indexOf("shop-1"); i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("button", { name: "Move shop-1" })).toBeFocused();
  await page.keyboard.press("Enter");
  const isThere = () => fresh.evaluate((card) => card.contains(document.activeElement));
  for (let i = 0; i < 8 && !(await isThere()); i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const verdict = page.getByRole("status").filter({ hasText: "1 move" });
  await expect(verdict).toContainText("It fits");
  await expect(verdict).toContainText("+9,000");
  const made = page.getByRole("article", { name: "host-new-1" });
  await expect(made).toContainText("shop-1");
  await accessible(page, "/plans/first with a move");

  // By mouse: more than a host can carry.
  const hosts = JSON.parse(tabane("plan", "document", "first")) as { hosts: { id: string; spare?: boolean; servers: string[] }[] };
  const [one, other] = hosts.hosts.filter((host) => !host.spare);
  const onto = page.getByRole("article", { name: one?.id ?? "" });
  const others = (other?.servers ?? []).filter((server) => server !== "shop-1");
  let moves = 1;
  for (const server of others) {
    moves += 1;
    // A page that is drawn anew under the mouse lets go of what it carries.
    await expect(async () => {
      await page.getByRole("row", { name: server, exact: true }).dragTo(onto.getByRole("grid"));
      await expect(page.getByRole("status").filter({ hasText: `${moves} moves` })).toBeVisible({ timeout: 5_000 });
    }).toPass({ timeout: 60_000 });
  }
  await expect(page.getByRole("status").filter({ hasText: `${moves} moves` })).toContainText("It does not fit");
  await expect(onto).toContainText("too full or not allowed");
  await page.getByRole("button", { name: "As planned" }).click();
  await expect(page.getByText("It does not fit")).toHaveCount(0);
  await expect(made).toHaveCount(0);
  // Nothing of it was kept.
  expect(JSON.parse(tabane("plan", "document", "first"))).toEqual(hosts);

  await page.getByRole("link", { name: "What if" }).click();
  const growth = page.getByRole("slider", { name: "Growth of CPU load" });
  await growth.focus();
  for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowRight");
  await expect(page.getByText("100 %", { exact: true })).toBeVisible();
  await expect(page.locator("form code").first()).toContainText("--set growth.cpu_percent=100");
  const fill = page.getByRole("slider", { name: "Fill hosts to" });
  const filled = await fill.inputValue();
  const hint = page.getByText("Memory and disk space never are");
  await expect(hint).toHaveCount(0);
  await fill.focus();
  await page.keyboard.press("End");
  await expect(hint).toBeVisible();
  await accessible(page, "/plans/first/what-if");
  await fill.fill(filled);
  await expect(hint).toHaveCount(0);
  await page.getByRole("button", { name: "Make it" }).click();
  await expect(page).toHaveURL(/\/plans\/first-2\/compare$/);
  await expect(page.getByRole("row", { name: /^Hosts/ })).toBeVisible({ timeout: 60_000 });
  const figures = JSON.parse(tabane("plan", "compare", "first", "first-2", "-o", "json")) as { a: { hosts: number }; b: { hosts: number } };
  expect(figures.b.hosts).toBeGreaterThan(figures.a.hosts);
  await expect(page.getByRole("row", { name: /^Hosts/ })).toHaveText(`Hosts${figures.a.hosts}${figures.b.hosts}`);
  await accessible(page, "/plans/first-2/compare");

  // The pilot runs; without facts it does not pass, and is called back.
  await open(page, "/plans/first/waves");
  const pilot = page.getByRole("article", { name: "pilot" });
  await expect(pilot).toContainText("planned");
  await pilot.getByRole("button", { name: "Begin" }).click();
  await expect(pilot).toContainText("running");
  await pilot.getByRole("button", { name: "Review" }).click();
  await dialog.getByRole("button", { name: /Measured since/ }).click();
  await page.getByRole("option", { name: "january" }).click();
  await dialog.getByRole("textbox", { name: "Migrations that failed" }).fill("0");
  await accessible(page, "the dialog of a review");
  await dialog.getByRole("button", { name: "Review", exact: true }).click();
  await expect(pilot).toContainText("Not passed yet");
  await expect(pilot).toContainText("Guests that answer");
  await accessible(page, "/plans/first/waves");
  await pilot.getByRole("button", { name: "Done" }).click();
  await expect(page.getByRole("region", { name: "Messages" })).toContainText("not all of its gates have passed");
  await pilot.getByRole("button", { name: "Actions for pilot" }).click();
  await page.getByRole("menuitem", { name: "Roll back" }).click();
  await expect(pilot).toContainText("rolled back");
  expect(JSON.parse(tabane("wave", "get", "first-pilot", "-o", "json")).spec.state).toBe("rolled-back");

  // After a wave that is done the rest is planned anew, by a plan that knows what is over.
  const folder = process.env["CONSOLE_TEST_FOLDER"] ?? "";
  const [kinds, policy] = [join(folder, "hosts.toml"), join(folder, "policy.toml")];
  writeFileSync(kinds, '[[host_type]]\nname = "small"\ncpu_cores = 16\ncpu_mhz = 40000\nmemory_mib = 65536\nprice = 5000\n');
  writeFileSync(policy, "spare_hosts = 0\ntime_limit_s = 1\n[phases]\npilot_servers = 2\nwave_servers = 4\nwatch_days = 7\nfirst_date = \"2027-01-04\"\nwindows = [{ days = [\"sat\"], from = \"22:00\", hours = 12 }]\n");
  tabane("plan", "create", "short", "--survey", "january", "--hosts", kinds, "--policy", policy, "--wait", "ready");
  tabane("wave", "create", "short-pilot", "--plan", "short", "--wave", "pilot");
  tabane("wave", "run", "short-pilot");
  const asked = JSON.parse(tabane("plan", "document", "short")).gates.map((gate: { metric: string }) => gate.metric);
  const stated = [...new Set<string>(asked)].filter((metric) => /_share$|alerts$/.test(metric) && metric !== "host_overloaded_share");
  const facts = join(folder, "facts.toml");
  writeFileSync(facts, stated.map((metric: string) => `${metric} = ${/failed|alerts/.test(metric) ? "0.0" : "1.0"}\n`).join(""));
  tabane("wave", "review", "short-pilot", "--measured", "january", "--facts", facts);
  tabane("wave", "done", "short-pilot");
  await open(page, "/plans/short/waves");
  await expect(pilot).toContainText("Sat, Jan 9 22:00 · 12 h · ");
  await page.getByRole("button", { name: "Replan the rest" }).click();
  await expect(dialog.getByRole("textbox", { name: "Name" })).toHaveValue("short-after-pilot");
  // Until it has faded in its colours are others.
  await page.waitForTimeout(800);
  await accessible(page, "the dialog that replans");
  await dialog.getByRole("button", { name: "Make it" }).click();
  await expect(page).toHaveURL(/\/plans\/short-after-pilot\/compare$/);
  await expect(page.getByRole("link", { name: "Waves" })).toBeVisible({ timeout: 60_000 });
  await page.getByRole("link", { name: "Waves" }).click();
  await expect(pilot).toContainText("Carried out by the plan short");
  await expect(pilot.getByRole("button")).toHaveCount(0);
  await accessible(page, "/plans/short-after-pilot/waves");
  tabane("plan", "delete", "short-after-pilot");
  tabane("wave", "roll-back", "short-pilot");
  tabane("wave", "delete", "short-pilot");
  tabane("plan", "delete", "short");

  // A survey stays as long as a plan stands on it.
  await open(page, "/surveys");
  await page.getByRole("button", { name: "Actions for january" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(dialog).toContainText("stands on the survey january");
  await page.keyboard.press("Escape");
  expect(complaints.filter((told) => !told.includes("409"))).toEqual([]);

  // On a phone, too, everything is beneath each other.
  for (const [path, width] of [["/plans", 1280], ["/surveys", 1280], ["/plans", 390], ["/plans/first", 390], ["/plans/first/what-if", 390], ["/plans/first/compare", 390], ["/plans/first/waves", 390]] as const) {
    await page.setViewportSize({ width, height: 844 });
    await open(page, path);
    await page.waitForTimeout(400);
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(tooWide, `${path} scrolls sideways at ${width}`).toBeLessThanOrEqual(0);
  }
  tabane("wave", "delete", "first-pilot");
  tabane("plan", "delete", "first", "first-2");
  tabane("survey", "delete", "january");
});
