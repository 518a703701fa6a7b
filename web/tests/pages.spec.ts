/** Every page opens, in every dress: no complaint of the browser, nothing that a screen reader stumbles over. */
import { expect, test } from "@playwright/test";
import { accessible, open, signIn } from "./browser";
import { base } from "./world";

const PAGES = [
  "/", "/layers", "/vms", "/vms?q=env%3Dprod&phase=running", "/vms/new", "/import", "/vms/web1", "/vms/web1/devices", "/vms/web1/snapshots", "/vms/web1/console", "/vms/web1/display", "/vms/web1/settings", "/vms/web1/events",
  "/vms/none", "/surveys", "/collections/none", "/plans", "/plans/none", "/hosts", "/hosts/h1", "/templates", "/flavors", "/images", "/networks", "/pools", "/disks", "/tokens", "/events", "/audit",
];

const DRESSES = [
  { name: "light", use: { colorScheme: "light" as const } },
  { name: "dark in Japanese", use: { colorScheme: "dark" as const, locale: "ja-JP" } },
  { name: "phone", use: { colorScheme: "light" as const, viewport: { width: 390, height: 844 }, hasTouch: true } },
];

for (const dress of DRESSES) {
  test.describe(dress.name, () => {
    test.use(dress.use);
    test(`every page (${dress.name})`, async ({ page }) => {
      test.setTimeout(300_000);
      const complaints = await signIn(page);
      for (const path of PAGES) {
        await test.step(path, async () => {
          await open(page, path);
          await page.waitForTimeout(400);
          await accessible(page, path);
          const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          expect(tooWide, `${path} scrolls sideways`).toBeLessThanOrEqual(0);
          await expect(page).toHaveTitle(/Tabane/);
        });
      }
      expect(complaints).toEqual([]);
    });
  });
}

test("who is not signed in sees the sign-in page alone", async ({ page }) => {
  await page.goto(`${base()}/vms/web1`);
  await expect(page).toHaveURL(/\/signin\?next=%2Fvms%2Fweb1/);
  await accessible(page, "/signin");
  await page.locator("input[type=password]").fill("tbn_admin_wrong");
  await page.locator("button[type=submit]").click();
  await expect(page.getByRole("alert")).toContainText("unauthenticated");
});

test("the first load is at most 500 kB", async ({ page }) => {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  const watched = new Set<string>();
  let total = 0;
  session.on("Network.requestWillBeSent", ({ requestId, request }) => {
    if (request.url.includes("/v1/")) watched.add(requestId);
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (!watched.has(requestId)) total += encodedDataLength;
  });
  await signIn(page);
  await page.waitForLoadState("load");
  expect(total).toBeGreaterThan(50_000);
  expect(total).toBeLessThanOrEqual(500_000);
  console.log(`first load, sign-in and dashboard: ${Math.round(total / 1000)} kB`);
});

test("the keyboard is enough", async ({ page }) => {
  await signIn(page);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(page.locator("#content")).toBeFocused();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("web1");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/vms\/web1$/);
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
});

test("language and theme are switched and kept", async ({ page }) => {
  await signIn(page);
  await page.getByRole("button", { name: "Language" }).click();
  await page.getByRole("menuitem", { name: "日本語" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("ダッシュボード");
  await page.getByRole("button", { name: "ダークテーマ" }).click();
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page.locator("html")).toHaveAttribute("lang", "ja");
});
