/** CD drives, boot order and limits: chosen in the wizard, changed on the VM's page. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { accessible, open, signIn } from "./browser";
import { tabane } from "./world";

/** The least that is an ISO 9660 volume: its descriptor, and blocks behind it. */
function importCd(name: string) {
  const folder = mkdtempSync(join(tmpdir(), "tabane-cd-"));
  const volume = Buffer.alloc(200 * 2048);
  volume.write("\x01CD001\x01", 16 * 2048, "latin1");
  volume.write(name, 20 * 2048, "latin1");
  const file = join(folder, `${name}.iso`);
  writeFileSync(file, volume);
  tabane("image", "import", name, file);
  rmSync(folder, { recursive: true });
}

const spec = (vm: string) => JSON.parse(tabane("vm", "get", vm, "-o", "json")).spec;

test("a VM is made to install from a CD, which is then changed", async ({ page }) => {
  test.setTimeout(180_000);
  importCd("setup");
  importCd("drivers");
  const complaints = await signIn(page);
  await open(page, "/vms/new");
  await page.getByLabel("Name", { exact: true }).fill("fromcd");
  await page.getByRole("button", { name: "setup" }).click();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("button", { name: /Boot first/ }).click();
  await page.getByRole("option", { name: "The CD" }).click();
  await accessible(page, "the wizard's devices");
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByRole("button", { name: "Next" }).click();
  await expect(page.locator("aside code")).toContainText("tabane vm create fromcd --cdrom setup --boot cd0,root");
  await expect(page.getByText("spec.cdroms[cd0].image")).toBeVisible();
  await page.getByRole("switch", { name: "Start it at once" }).press("Space");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await expect(page).toHaveURL(/\/vms\/fromcd/);
  expect(spec("fromcd")).toMatchObject({ cdroms: [{ name: "cd0", image: "setup" }], boot: ["cd0", "root"] });
  expect(spec("fromcd").disks).toHaveLength(1);

  await open(page, "/vms/fromcd/devices");
  await page.getByRole("button", { name: "Insert a CD into cd0" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: /CD/ }).first().click();
  await page.getByRole("option", { name: "drivers" }).click();
  await accessible(page, "inserting a CD");
  await dialog.getByRole("button", { name: "Insert" }).click();
  await expect(dialog).toBeHidden();
  expect(spec("fromcd").cdroms).toEqual([{ name: "cd0", image: "drivers" }]);
  await page.getByRole("button", { name: "Eject the CD of cd0" }).click();
  await expect(page.getByText("cd0 is being emptied.")).toBeVisible();
  expect(spec("fromcd").cdroms).toEqual([{ name: "cd0" }]);

  await page.getByRole("button", { name: "Change the order" }).click();
  await dialog.getByRole("textbox").fill("nothing");
  await dialog.getByRole("button", { name: "Change" }).click();
  await expect(dialog.getByRole("alert")).toContainText("no disk, CD drive or nic");
  await dialog.getByRole("textbox").fill("root");
  await dialog.getByRole("button", { name: "Change" }).click();
  await expect(dialog).toBeHidden();
  expect(spec("fromcd").boot).toEqual(["root"]);

  await page.getByRole("button", { name: "Limit root" }).click();
  await dialog.getByRole("textbox", { name: "Requests a second" }).fill("500");
  await dialog.getByRole("textbox", { name: /Bandwidth/ }).fill("50");
  await dialog.getByRole("button", { name: "Limit" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText("At most requests 500/s, all 50 MiB/s")).toBeVisible();
  expect(spec("fromcd").disks[0].limits).toEqual({ iops: 500, bytes_per_s: 50 * 2 ** 20 });
  // The browser itself complains of what the server refused, and of nothing else.
  expect(complaints.filter((c) => !c.includes("status of 400"))).toEqual([]);
  tabane("vm", "delete", "fromcd", "--wait", "deleted");
  tabane("image", "delete", "setup");
  tabane("image", "delete", "drivers");
});
