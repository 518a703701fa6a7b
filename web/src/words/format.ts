/** Figures and times as people read them. Units are those of the command line: KiB, MiB, GiB. */
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "–";
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

export function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

/** As the command line takes it: 1GiB, 512MiB. */
export function bytesForCli(count: number): string {
  const sizes: [string, number][] = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];
  const [unit, size] = sizes.find(([, s]) => count >= s && count % s === 0) ?? ["", 1];
  return `${count / size}${unit}`;
}

export function moment(text: string | null | undefined, locale: string): string {
  if (!text) return "–";
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(text));
}

/** "3 minutes ago", for what is near; the caller gives the present so that it can be shown anew. */
export function ago(text: string | null | undefined, now: number, locale: string): string {
  if (!text) return "–";
  const seconds = Math.min(0, Math.round((Date.parse(text) - now) / 1000));
  const form = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
  for (const [unit, length] of steps) {
    if (-seconds >= length) return form.format(Math.trunc(seconds / length), unit);
  }
  return form.format(seconds, "second");
}

const LENGTHS = { en: [" d", " h", " min", " s", " "], ja: ["日", "時間", "分", "秒", ""] } as const;

/** How long something has lasted: 3 d 4 h, 12 min, 40 s. */
export function lasting(since: string | null | undefined, now: number, locale = "en"): string {
  if (!since) return "–";
  const [day, hour, minute, second, gap] = LENGTHS[locale === "ja" ? "ja" : "en"];
  const s = Math.max(0, Math.round((now - Date.parse(since)) / 1000));
  if (s >= 86_400) return `${Math.trunc(s / 86_400)}${day}${gap}${Math.trunc((s % 86_400) / 3_600)}${hour}`;
  if (s >= 3_600) return `${Math.trunc(s / 3_600)}${hour}${gap}${Math.trunc((s % 3_600) / 60)}${minute}`;
  return s >= 60 ? `${Math.trunc(s / 60)}${minute}` : `${s}${second}`;
}
