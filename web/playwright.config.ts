import { defineConfig } from "@playwright/test";

/** One server with real guests for all tests, so they run one after the other. */
export default defineConfig({
  testDir: "tests",
  globalSetup: "./tests/world.ts",
  workers: 1,
  fullyParallel: false,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [["list"]],
  use: {
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 800 },
    locale: "en-US",
    trace: "off",
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      // Chromium has no sandbox for root; the pages are our own.
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    },
  },
});
