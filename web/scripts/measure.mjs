// Figures of the console before many VMs, as JSON on standard output: how long the list takes, long tasks while it
// scrolls, and how soon a change that somebody else makes is shown.
import { chromium } from "@playwright/test";

process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
process.removeAllListeners("warning");
const { CONSOLE_URL: url, CONSOLE_TOKEN: token, CONSOLE_VMS: vms = "10000" } = process.env;
const CHANGES = 30;
const SCROLL_MS = 8_000;

const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
const page = await browser.newPage({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, locale: "en-US" });
await page.addInitScript(() => {
  globalThis.longTasks = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) globalThis.longTasks.push({ at: entry.startTime, ms: entry.duration });
  }).observe({ type: "longtask", buffered: true });
});
await page.goto(`${url}/`);
await page.locator("input[type=password]").fill(token);
await page.locator("button[type=submit]").click();
await page.locator("aside code").first().waitFor();

const opened = Date.now();
await page.goto(`${url}/vms`);
await page.getByText(`${Number(vms).toLocaleString("en-US")} VMs`).waitFor({ timeout: 120_000 });
const listMs = Date.now() - opened;
await page.waitForTimeout(1_500);

const scrolling = await page.evaluate(async (forMs) => {
  const rows = document.querySelector("[data-testid=rows]");
  globalThis.longTasks.length = 0;
  const began = performance.now();
  const frames = [];
  let last = began;
  await new Promise((done) => {
    // Down and up, by what a fast wheel moves in a frame, and with leaps as by the scroll bar.
    const step = (now) => {
      frames.push(now - last);
      last = now;
      const part = ((now - began) % 4_000) / 4_000;
      const top = (part < 0.5 ? part : 1 - part) * 2 * (rows.scrollHeight - rows.clientHeight);
      rows.scrollTop = Math.floor(now / 500) % 4 === 3 ? top : rows.scrollTop + 600;
      if (now - began < forMs) requestAnimationFrame(step);
      else done();
    };
    requestAnimationFrame(step);
  });
  await new Promise((done) => setTimeout(done, 300));
  frames.sort((a, b) => a - b);
  const at = (q) => Math.round(frames[Math.floor((frames.length - 1) * q)] * 10) / 10;
  const tasks = globalThis.longTasks.map((t) => Math.round(t.ms));
  return { frames: frames.length, frame_ms_p50: at(0.5), frame_ms_p99: at(0.99), long_tasks_over_50_ms: tasks.length, longest_task_ms: Math.max(0, ...tasks) };
}, SCROLL_MS);

// The list is at its beginning, so that the changed VM is seen.
await page.evaluate(() => {
  document.querySelector("[data-testid=rows]").scrollTop = 0;
  globalThis.shown = {};
  new MutationObserver(() => {
    const text = document.querySelector('[role="row"][aria-rowindex="2"]')?.textContent ?? "";
    const found = /turn=(\d+)/.exec(text)?.[1];
    if (found) globalThis.shown[found] ??= Date.now();
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
});
const late = [];
for (let turn = 1; turn <= CHANGES; turn++) {
  const sent = Date.now();
  const response = await fetch(`${url}/v1/vms/vm00000`, {
    method: "PATCH",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ meta: { labels: { turn: String(turn) } } }),
  });
  if (!response.ok) throw new Error(await response.text());
  await page.waitForFunction((n) => globalThis.shown[n], String(turn), { timeout: 10_000, polling: 20 });
  late.push((await page.evaluate((n) => globalThis.shown[n], String(turn))) - sent);
  await page.waitForTimeout(100);
}
late.sort((a, b) => a - b);
const at = (q) => late[Math.floor((late.length - 1) * q)];
await browser.close();
console.log(JSON.stringify({
  vms: Number(vms),
  list_shown_ms: listMs,
  scrolling: { ...scrolling, long_tasks_wanted: 0 },
  change_request_sent_to_shown_ms: { min: late[0], median: at(0.5), p99: at(0.99), max: late.at(-1), samples: late.length },
  change_shown_ms_wanted: 300,
}));
