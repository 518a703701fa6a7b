/** A whole VM as one file: exported, and imported by the page into a VM that starts and answers. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Page, expect, test } from "@playwright/test";
import { accessible, open, signIn } from "./browser";
import { base, tabane, token } from "./world";

let folder = "";
const ova = () => join(folder, "db1.ova");
const MARK = "came-along-in-the-package";

test.beforeAll(() => {
  folder = mkdtempSync("/var/tmp/console-import-");
  // In its disk's last sectors, where nothing else is. The kernel of this guest is not on its disk, so it does not travel.
  tabane("vm", "exec", "db1", "--", "sh", "-c", `printf ${MARK} | dd of=/dev/vda bs=512 seek=1000 conv=notrunc && sync`);
  tabane("vm", "export", "db1", "-o", ova());
});
test.afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function choose(page: Page, file: string) {
  await open(page, "/import");
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Choose a file" }).click()]);
  await chooser.setFiles(file);
}

const images = () => (JSON.parse(tabane("image", "list", "-o", "json")) as { meta: { name: string } }[]).map((i) => i.meta.name);

test("a package becomes a VM that starts and answers", async ({ page }) => {
  test.setTimeout(300_000);
  const complaints = await signIn(page);
  await open(page, "/vms");
  await page.getByRole("link", { name: "Import a VM" }).click();
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Choose a file" }).click()]);
  await chooser.setFiles(ova());
  const main = page.getByRole("main");
  await expect(main.getByText("db1-root.vmdk", { exact: false })).toBeVisible();
  await expect(main.getByText("192 MiB")).toBeVisible();
  // The package's own name is taken.
  await expect(main.getByText("There is a VM of this name already: choose another.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Import", exact: true })).toBeDisabled();
  await page.getByRole("textbox", { name: "Name" }).fill("brought");
  await page.getByRole("button", { name: /Network of nic0/ }).click();
  await page.getByRole("option", { name: "lan" }).click();
  await expect(page.locator("aside code")).toContainText("tabane vm import db1.ova --name brought --network default=lan");
  await accessible(page, "the plan of an import");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("brought is imported.")).toBeVisible({ timeout: 120_000 });
  await accessible(page, "an import that is done");
  expect(images().filter((name) => name.startsWith("import-"))).toEqual([]);
  const made = JSON.parse(tabane("vm", "get", "brought", "-o", "json"));
  expect(made.spec.nics[0].network).toBe("lan");
  expect(made.spec.memory_bytes).toBe(192 * 2 ** 20);
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  const kernel = await fetch(`${base()}/v1/vms/brought`, {
    method: "PATCH", headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" }, body: JSON.stringify({ spec: { boot_image: "tiny" } }),
  });
  expect(kernel.status).toBe(200);
  await page.getByRole("button", { name: "Start it" }).click();
  await page.getByRole("link", { name: "Open it" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("running", { timeout: 120_000 });
  await expect.poll(() => JSON.parse(tabane("vm", "get", "brought", "-o", "json")).status.guest?.agent, { timeout: 120_000 }).toBeTruthy();
  expect(tabane("vm", "exec", "brought", "--", "sh", "-c", "hostname; dd if=/dev/vda bs=512 skip=1000 count=1 2>/dev/null | tr -d '\\0'")).toBe(`brought\n${MARK}`);
  expect(complaints).toEqual([]);
});

test("an import that breaks off goes on when the same file is dropped again", async ({ page }) => {
  test.setTimeout(300_000);
  await signIn(page);
  // The disk's first part never gets through, and then the window is closed.
  let cut = 0;
  await page.route("**/v1/images/import-again-*/content?*", async (route) => {
    cut += 1;
    await route.abort("connectionreset");
  });
  await choose(page, ova());
  await page.getByRole("textbox", { name: "Name" }).fill("again");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("the connection broke off; going on soon")).toBeVisible();
  expect(images()).toContain("import-again-root");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByRole("button", { name: "Go on" })).toBeVisible();
  await page.unroute("**/v1/images/import-again-*/content?*");
  expect(cut).toBeGreaterThan(0);

  // Another day, on the list of VMs.
  await open(page, "/vms");
  const transfer = await page.evaluateHandle((content) => {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    const made = new DataTransfer();
    made.items.add(new File([bytes], "db1.ova"));
    return made;
  }, readFileSync(ova()).toString("base64"));
  await page.getByRole("table", { name: "VMs" }).dispatchEvent("dragenter", { dataTransfer: transfer });
  await expect(page.getByText("Drop an OVA package to import the VM in it")).toBeVisible();
  await page.getByRole("table", { name: "VMs" }).dispatchEvent("drop", { dataTransfer: transfer });
  await expect(page.getByText("An import of this package was begun; it goes on where it stopped.")).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Name" })).toHaveValue("again");
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByText("again is imported.")).toBeVisible({ timeout: 120_000 });
  expect(images().filter((name) => name.startsWith("import-"))).toEqual([]);
  expect(JSON.parse(tabane("vm", "get", "again", "-o", "json")).spec.disks).toHaveLength(1);
});

test("what was changed on its way is refused, and says why", async ({ page }) => {
  test.setTimeout(120_000);
  await signIn(page);
  execFileSync("tar", ["xf", ova()], { cwd: folder });
  const vmdk = readFileSync(join(folder, "db1-root.vmdk"));
  vmdk[vmdk.length >> 1]! ^= 1;
  writeFileSync(join(folder, "db1-root.vmdk"), vmdk);
  execFileSync("tar", ["cf", "flipped.ova", "db1.ovf", "db1.mf", "db1-root.vmdk"], { cwd: folder });
  await choose(page, join(folder, "flipped.ova"));
  await page.getByRole("textbox", { name: "Name" }).fill("flipped");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText(/SHA-256|sha256|checksum/i, { timeout: 60_000 });
  await page.getByRole("button", { name: "Give up, and delete what was sent" }).click();
  await expect(page.getByText("Drop an OVA package here: a whole VM in one file")).toBeVisible();
  await expect.poll(() => images().filter((name) => name.startsWith("import-"))).toEqual([]);

  // The same with a digest that hosts do not know: the browser finds it before anything is sent.
  execFileSync("bash", ["-c", "for f in db1.ovf; do echo \"SHA1($f)= $(sha1sum < $f | cut -c1-40)\"; done > db1.mf; echo \"SHA1(db1-root.vmdk)= $(printf x | sha1sum | cut -c1-40)\" >> db1.mf"], { cwd: folder });
  execFileSync("tar", ["cf", "old.ova", "db1.ovf", "db1.mf", "db1-root.vmdk"], { cwd: folder });
  await choose(page, join(folder, "old.ova"));
  await page.getByRole("textbox", { name: "Name" }).fill("old");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("is not what the manifest says");
  expect(images().filter((name) => name.startsWith("import-"))).toEqual([]);

  // A descriptor that its manifest does not vouch for gets no plan, and a path trick no look.
  execFileSync("bash", ["-c", "echo '<!-- -->' >> db1.ovf; tar cf changed.ova db1.ovf db1.mf db1-root.vmdk; tar cPf out.ova --transform='s|db1-root|../../root|' db1.ovf db1-root.vmdk"], { cwd: folder });
  await choose(page, join(folder, "changed.ova"));
  await expect(page.getByRole("alert")).toContainText("package_refused");
  await expect(page.getByRole("alert")).toContainText("\"db1.ovf\" is not what the manifest says");
  await choose(page, join(folder, "out.ova"));
  await expect(page.getByRole("alert")).toContainText("leads into another folder");
  await accessible(page, "a refused package");
});

test("a package of another system: its sizes, its licence, its networks", async ({ page }) => {
  const complaints = await signIn(page);
  const descriptor = fileURLToPath(new URL("../../crates/tabane-convert/src/ovf/tests/vmware.ovf", import.meta.url));
  writeFileSync(join(folder, "erp.ovf"), readFileSync(descriptor));
  writeFileSync(join(folder, "erp-disk1.vmdk"), Buffer.alloc(70_000, 1));
  execFileSync("tar", ["cf", "erp.ova", "erp.ovf", "erp-disk1.vmdk"], { cwd: folder });
  await choose(page, join(folder, "erp.ova"));
  const main = page.getByRole("main");
  await expect(main.getByText("Microsoft Windows Server 2019 (64-bit)")).toBeVisible();
  await expect(page.getByRole("textbox", { name: "Name" })).toHaveValue("erp-server-2019");
  await expect(main.getByText("UEFI, Secure Boot")).toBeVisible();
  await expect(main.getByText(/Windows gets SATA disks/)).toBeVisible();
  await expect(main.getByText(/has no manifest/)).toBeVisible();
  await expect(main.getByText(/CD\/DVD drive 1/)).toBeVisible();
  await expect(main.getByText('There is no network "VM Network" here.')).toBeVisible();
  const cpus = main.locator("dl div").filter({ hasText: "CPUs" }).locator("dd");
  await expect(cpus).toHaveText("4");
  await page.getByRole("button", { name: /Configuration/ }).click();
  await page.getByRole("option", { name: "small" }).click();
  await expect(cpus).toHaveText("2");
  await page.getByRole("button", { name: /Network of nic0/ }).click();
  await page.getByRole("option", { name: "lan" }).click();
  await expect(main.getByText('There is no network "VM Network" here.')).toHaveCount(0);
  const submit = page.getByRole("button", { name: "Import", exact: true });
  await expect(main.getByText("Use it well.")).toBeVisible();
  await expect(submit).toBeDisabled();
  await page.getByRole("checkbox", { name: "I agree to it" }).press("Space");
  await expect(submit).toBeEnabled();
  await expect(page.locator("aside code")).toContainText("tabane vm import erp.ova --configuration small --network 'VM Network=lan' --accept-licences");
  await accessible(page, "a foreign package");
  await page.getByRole("textbox", { name: "Name" }).fill("Not A Name");
  await expect(main.getByText(/use a-z, 0-9 and '-'/)).toBeVisible();
  await expect(submit).toBeDisabled();
  // That the name is refused, the browser writes into its console, too.
  expect(complaints.filter((c) => !c.includes("400"))).toEqual([]);
});
