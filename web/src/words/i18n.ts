/** English and Japanese. The language is the browser's until somebody chooses. */
import { i18n } from "@lingui/core";

export const LOCALES = { en: "English", ja: "日本語" } as const;
export type Locale = keyof typeof LOCALES;
const KEPT = "tabane.locale";

function wanted(): Locale {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "ja") return kept;
  return navigator.language.toLowerCase().startsWith("ja") ? "ja" : "en";
}

export async function activate(locale: Locale = wanted()): Promise<void> {
  const { messages } = await (locale === "ja" ? import("../locales/ja.po") : import("../locales/en.po"));
  i18n.loadAndActivate({ locale, messages });
  document.documentElement.lang = locale;
}

export async function choose(locale: Locale): Promise<void> {
  localStorage.setItem(KEPT, locale);
  await activate(locale);
}
