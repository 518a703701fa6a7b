/** A survey is begun in the browser: servers are named, measured over real SSH, looked at while they are, and kept. */
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { accessible, open, signIn } from "./browser";
import { sshd } from "./sshd";
import { goingOn, tabane } from "./world";

test("servers are measured, seen live, and become surveys", async ({ page }) => {
  test.setTimeout(240_000);
  const server = await sshd(join(process.env["CONSOLE_TEST_FOLDER"] ?? "", "sshd"));
  const complaints = await signIn(page);
  const dialog = page.getByRole("dialog");
  try {
    await open(page, "/surveys");
    await page.getByRole("button", { name: "New survey" }).first().click();
    await accessible(page, "the ways to a survey");
    // What other tools have measured is read where it lies.
    await dialog.getByRole("button", { name: /other tools/ }).click();
    await dialog.getByRole("button", { name: /What has measured/ }).click();
    await page.getByRole("option", { name: /perfmon/ }).click();
    await expect(dialog.getByText("tabane survey import perfmon *.csv --to traces")).toBeVisible();
    await accessible(page, "what other tools have measured");
    await dialog.getByRole("button", { name: "Another way" }).click();

    await dialog.getByRole("button", { name: /over SSH/ }).click();
    await dialog.getByRole("textbox", { name: "Name" }).fill("rack1");
    const sources = dialog.getByRole("textbox", { name: "Servers" });
    await sources.fill("web1, web2 # both\n# none\n10.0.0.0/30");
    await expect(dialog).toContainText("3 servers or subnets");
    await sources.fill("-oProxyCommand=x");
    await dialog.getByRole("button", { name: "Go on" }).click();
    await expect(dialog.getByText(/is no source/).first()).toBeVisible();
    await sources.fill(`root@127.0.0.1:${server.port}  # this one\nroot@127.0.0.1:1\n`);
    await dialog.getByRole("textbox", { name: "A sample every (s)" }).fill("1");
    await dialog.getByRole("textbox", { name: "A sample every (s)" }).press("Tab");
    await accessible(page, "servers to measure");
    await dialog.getByRole("button", { name: "Go on" }).click();

    // It says what to run; that is run.
    await expect(page).toHaveURL(/\/collections\/rack1$/);
    const command = page.locator("main code", { hasText: "survey run" });
    await expect(command).toHaveText("tabane survey run --collection rack1");
    await accessible(page, "a collection that waits");
    const words = (await command.textContent())?.split(" ").slice(1) ?? [];
    const collector = goingOn(...words, "--ssh-config", server.config);
    const ended = new Promise<number | null>((done) => collector.once("exit", done));
    const measured = page.getByRole("row", { name: new RegExp(`127.0.0.1:${server.port}`) });
    await expect(measured).toContainText("measured", { timeout: 60_000 });
    await expect(measured.getByRole("meter", { name: "CPU" })).toBeVisible({ timeout: 60_000 });
    await expect(page.getByRole("row", { name: /127\.0\.0\.1:1\b/ })).toContainText("not reached", { timeout: 30_000 });
    await expect(page.locator("dl")).toContainText("1 / 2");
    await expect(page.getByRole("progressbar", { name: "Time gone by" })).toBeVisible();
    const samples = async () => Number((await page.locator("dl dd").nth(2).textContent())?.replace(/\D/g, ""));
    const before = await samples();
    await expect.poll(samples, { timeout: 60_000 }).toBeGreaterThan(before);
    await accessible(page, "a collection that runs");
    await expect(page.locator("canvas")).toHaveCount(2);
    await page.screenshot({ path: "test-results/collection.png" });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForTimeout(400);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0);
    await page.setViewportSize({ width: 1280, height: 844 });

    // A survey while it goes on, and one of all at the end.
    await page.getByRole("button", { name: "Make a survey now" }).click();
    await dialog.getByRole("button", { name: "Make it" }).click();
    await expect(page.getByRole("link", { name: "rack1-1" })).toBeVisible({ timeout: 60_000 });
    await page.getByRole("button", { name: "End", exact: true }).click();
    await dialog.getByRole("button", { name: "End", exact: true }).click();
    await expect(page.getByRole("link", { name: "rack1", exact: true })).toBeVisible({ timeout: 60_000 });
    expect(await ended).toBe(0);
    await expect(page.locator("h1")).toContainText("ended");
    await expect(page.getByRole("button", { name: "End", exact: true })).toHaveCount(0);
    await page.getByRole("link", { name: "rack1", exact: true }).click();
    await expect(page.getByRole("row", { name: /^rack1 ready/ })).toBeVisible({ timeout: 60_000 });

    // It goes from its page, and from the list.
    await page.getByRole("link", { name: "rack1", exact: true }).first().click();
    await page.getByRole("button", { name: "Actions for rack1" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect(page).toHaveURL(/\/surveys$/);
    await expect(page.getByRole("table", { name: "Collections" })).toHaveCount(0);
    expect(complaints.filter((told) => !told.includes("400"))).toEqual([]);
    tabane("survey", "delete", "rack1-1", "rack1");
  } finally {
    server.process.kill();
  }
});
