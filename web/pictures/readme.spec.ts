/** Pictures of a small shop's servers, for the README in both languages. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Page, expect, test } from "@playwright/test";
import { open, signIn } from "../tests/browser";
import { tabane } from "../tests/world";

const FOLDER = fileURLToPath(new URL("../../docs/images", import.meta.url));
const BYTES_MAX = 150_000;

async function take(page: Page, name: string) {
  const path = join(FOLDER, `${name}.png`);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.screenshot({ path, animations: "disabled" });
  expect(statSync(path).size).toBeLessThanOrEqual(BYTES_MAX);
}

test.beforeAll(() => {
  for (const [name, labels] of [["shop-1", "app=shop"], ["shop-2", "app=shop"], ["mail", "app=mail"], ["build", "app=ci"]] as const) {
    tabane("vm", "create", name, "--image", "tiny", "--memory", "256MiB", "--cpus", "2", "--label", labels, "--label", "env=prod", ...(name === "build" ? [] : ["--start", "--wait", "agent", "--timeout", "240"]));
  }
  tabane("snapshot", "create", "web1", "before-upgrade", "--note", "before the upgrade");
  tabane("snapshot", "create", "web1", "after-upgrade", "--memory");
});

test("light, in English", async ({ page }) => {
  await signIn(page);
  await open(page, "/");
  await page.waitForTimeout(800);
  await take(page, "dashboard");
  await open(page, "/vms/web1/console");
  await expect(page.getByText("Connected to the serial console.")).toBeVisible();
  await page.waitForTimeout(1_500);
  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("uname -sr; hostname -i; uptime\n");
  await page.waitForTimeout(2_500);
  await take(page, "console");
  await open(page, "/vms/web1/snapshots");
  await page.waitForTimeout(500);
  await take(page, "snapshots");
});

test.describe("dark", () => {
  test.use({ colorScheme: "dark" });
  test("the list of VMs and one of them", async ({ page }) => {
    await signIn(page);
    await open(page, "/vms");
    await page.waitForTimeout(500);
    await take(page, "vms-dark");
    await open(page, "/vms/web1");
    await page.waitForTimeout(3_000);
    await take(page, "vm-dark");
  });
});

test.describe("in Japanese", () => {
  test.use({ locale: "ja-JP" });
  test("dashboard and layers", async ({ page }) => {
    await signIn(page);
    await page.waitForTimeout(800);
    await take(page, "dashboard-ja");
    await open(page, "/layers");
    await page.waitForTimeout(500);
    await take(page, "layers-ja");
  });
});
