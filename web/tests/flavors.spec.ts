/** Sizes with names, and what can be changed of a snapshot. */
import { expect, test } from "@playwright/test";
import { accessible, open, signIn } from "./browser";
import { tabane } from "./world";

const read = (kind: string, name: string) => JSON.parse(tabane(kind, "get", name, "-o", "json")).spec;

test("a flavor is made, changed, counted and deleted", async ({ page }) => {
  const complaints = await signIn(page);
  await open(page, "/flavors");
  await expect(page.getByRole("row", { name: /small/ })).toContainText("1 GiB");
  await page.getByRole("button", { name: "Create a flavor" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name" }).fill("builder");
  await dialog.getByRole("textbox", { name: "CPUs" }).fill("6");
  await dialog.getByRole("textbox", { name: "Memory (GiB)" }).fill("1.5");
  await dialog.getByRole("checkbox", { name: "With a size for the first disk" }).press("Space");
  await dialog.getByRole("textbox", { name: "What it is for" }).fill("for builds");
  await dialog.getByRole("textbox", { name: "Name" }).focus();
  const command = (await dialog.locator("code").first().textContent()) ?? "";
  expect(command).toBe("tabane flavor create builder --cpus 6 --memory 1536MiB --disk 20GiB --description 'for builds'");
  await accessible(page, "making a flavor");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await expect(page.getByRole("row", { name: /builder/ })).toContainText("1.5 GiB");
  const made = read("flavor", "builder");
  // The command line makes the same.
  tabane(...command.replace("'for builds'", "for-builds").replace("builder", "other").split(" ").slice(1));
  expect({ ...read("flavor", "other"), description: "for builds" }).toEqual(made);
  tabane("flavor", "delete", "other");

  tabane("vm", "set", "spare", "--label", "flavor=builder");
  await page.getByRole("row", { name: /builder/ }).getByRole("link", { name: "1" }).click();
  await expect(page).toHaveURL(/\/vms\?q=flavor%3Dbuilder/);
  await expect(page.getByRole("row", { name: /spare/ })).toBeVisible();
  await expect(page.getByRole("row", { name: /web1/ })).toHaveCount(0);
  tabane("vm", "set", "spare", "--label", "flavor=");

  await open(page, "/flavors");
  await page.getByRole("button", { name: "Actions for builder" }).click();
  await page.getByRole("menuitem", { name: "Change" }).click();
  await dialog.getByRole("textbox", { name: "CPUs" }).fill("8");
  await dialog.getByRole("checkbox", { name: "With a size for the first disk" }).press("Space");
  await dialog.getByRole("button", { name: "Change", exact: true }).click();
  await expect(page.getByRole("row", { name: /builder/ })).toContainText("the image's");
  expect(read("flavor", "builder")).toMatchObject({ cpus: 8, memory_bytes: 1.5 * 2 ** 30 });
  await page.getByRole("button", { name: "Actions for builder" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByRole("row", { name: /builder/ })).toHaveCount(0);
  expect(complaints).toEqual([]);
});

test("a snapshot's note and expiry are changed, and how many there can be is shown", async ({ page }) => {
  test.setTimeout(120_000);
  const complaints = await signIn(page);
  tabane("snapshot", "create", "spare", "kept", "--note", "first words");
  await open(page, "/vms/spare/snapshots");
  await expect(page.getByText(/^\d+ of at most 32$/)).toBeVisible();
  const line = page.getByRole("listitem").filter({ hasText: "kept" });
  await expect(line).toContainText("first words");
  const change = async () => {
    await page.getByRole("button", { name: "Actions for kept" }).click();
    await page.getByRole("menuitem", { name: "Note and expiry" }).click();
  };
  await change();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Note" }).fill("other words");
  await dialog.getByRole("button", { name: /It goes/ }).click();
  await page.getByRole("option", { name: "after some days" }).click();
  await dialog.getByRole("textbox", { name: "Days from now" }).fill("3");
  await dialog.getByRole("textbox", { name: "Note" }).focus();
  await expect(dialog.locator("code").first()).toHaveText("tabane snapshot set kept --note 'other words' --expires 3d");
  await accessible(page, "a snapshot's note and expiry");
  await dialog.getByRole("button", { name: "Change", exact: true }).click();
  await expect(line).toContainText("other words");
  await expect(line).toContainText("goes at");
  const spec = read("snapshot", "kept");
  expect(Math.abs(Date.parse(spec.expires_at) - Date.now() - 3 * 86_400_000)).toBeLessThan(60_000);
  await change();
  await dialog.getByRole("button", { name: /It goes/ }).click();
  await page.getByRole("option", { name: "never" }).click();
  await dialog.getByRole("button", { name: "Change", exact: true }).click();
  await expect(line).not.toContainText("goes at");
  expect(read("snapshot", "kept").expires_at).toBeUndefined();
  tabane("snapshot", "delete", "kept", "--wait", "deleted");
  expect(complaints).toEqual([]);
});
