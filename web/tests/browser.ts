/** What tests do in the browser. */
import AxeBuilder from "@axe-core/playwright";
import { type Page, expect } from "@playwright/test";
import { base, token } from "./world";

/** Signs in by hand, as everybody does. Complaints of the browser's console are collected in what is returned. */
export async function signIn(page: Page): Promise<string[]> {
  const complaints: string[] = [];
  page.on("console", (message) => {
    // A server that keeps no measurements says so. Other guests' links come and go on this machine, which Chromium takes
    // for another network; the console asks again.
    const passing = message.location().url.includes("/metrics?") || message.text().includes("ERR_NETWORK_CHANGED");
    if (message.type() === "error" && !passing) complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  await page.goto(`${base()}/`);
  await expect(page).toHaveURL(/\/signin/);
  await page.locator("input[type=password]").fill(token());
  await page.locator("button[type=submit]").click();
  await expect(page.locator("aside code").first()).toBeVisible();
  return complaints;
}

export async function open(page: Page, path: string) {
  await page.goto(`${base()}${path}`);
  await expect(page.locator("h1")).toBeVisible();
  await expect(page.locator("aside code").first()).toBeVisible();
}

/** No serious or critical violation of WCAG, as axe sees it. */
export async function accessible(page: Page, where: string) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const bad = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  const told = bad.map((v) => `${v.id}: ${v.help}\n${v.nodes.slice(0, 3).map((n) => `  ${n.html.slice(0, 200)}\n  ${n.failureSummary}`).join("\n")}`);
  expect(told, where).toEqual([]);
}
