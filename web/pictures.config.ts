import { defineConfig } from "@playwright/test";
import base from "./playwright.config";

/** The pictures of the README: made by `cargo xtask screenshots`, never by hand. */
export default defineConfig({ ...base, testDir: "pictures" });
