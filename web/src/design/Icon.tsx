/** Pictures, drawn on a grid of 16 with one stroke; all of them are decoration beside a word or a label. */
const PATHS = {
  dashboard: "M2.5 2.5h4.5v6H2.5zM9 2.5h4.5v3.5H9zM9 8h4.5v5.5H9zM2.5 10.5H7v3H2.5z",
  layers: "M8 2 14 5 8 8 2 5zM2.5 8 8 10.8 13.5 8M2.5 11 8 13.8 13.5 11",
  vm: "M2 3h12v8H2zM6 14h4M8 11v3",
  host: "M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.8h.01M5 11.2h.01M8 4.8h3M8 11.2h3",
  image: "M8 2a5.8 2 0 1 0 0 4 5.8 2 0 1 0 0-4zM2.2 4v8c0 1.1 2.6 2 5.8 2s5.8-.9 5.8-2V4M2.2 8c0 1.1 2.6 2 5.8 2s5.8-.9 5.8-2",
  template: "M3 2.5h7l3 3v8H3zM10 2.5v3h3M5.5 8.5h5M5.5 11h3.5",
  flavor: "M2.5 9.5h3v4h-3zM6.5 6.500h3v7h-3zM10.5 2.500h3v11h-3z",
  network: "M8 2v4M8 6H3.5v3M8 6h4.5v3M6.2 2h3.6M2 9h3v4H2zM11 9h3v4h-3zM6.5 9h3v4h-3zM8 6v3",
  pool: "M2.5 4.5 8 2l5.5 2.5L8 7zM2.5 4.5v7L8 14l5.5-2.5v-7M8 7v7",
  disk: "M2.5 2.5h11v11h-11zM8 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6zM8 8h.01",
  token: "M5.5 7.5a3 3 0 1 0 0 6 3 3 0 1 0 0-6zM7.8 8.3 13 3M11 5l1.8 1.8",
  event: "M2 8h3l1.5-4.5 3 9L11 8h3",
  audit: "M4 2h8v12H4zM6.5 5.5h3M6.5 8h3M6.5 10.5h2",
  play: "M5 3.2v9.6L12.5 8z",
  stop: "M4 4h8v8H4z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  reset: "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3",
  bolt: "M9 1.8 3.8 9H8l-1 5.2L12.2 7H8z",
  trash: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5 5 13.5h6l.5-9M7 7v4M9 7v4",
  plus: "M8 3v10M3 8h10",
  edit: "M3 13h2.5L13 5.5 10.5 3 3 10.5zM9 4.5 11.5 7",
  terminal: "M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10.5h3",
  screen: "M2 3h12v8H2zM6 14h4",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  survey: "M2.5 13.500V2.500M2.5 13.500h11M5 10.500l2.500-3.500 2.500 2 3.500-5.500",
  plan: "M2.5 2.500h3v11h-3zM6.5 2.500h3v7h-3zM10.5 2.500h3v9h-3z",
  undo: "M3 6.500h6.500a3.500 3.500 0 0 1 0 7H6M5.500 4 3 6.500 5.500 9",
  drag: "M6 4h.01M10 4h.01M6 8h.01M10 8h.01M6 12h.01M10 12h.01",
  check: "M3 8.5 6.5 12 13 4.5",
  alert: "M8 2.5 14.5 13.5h-13zM8 6.5v3.2M8 11.6h.01",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2zM8 7.5v3.2M8 5.2h.01",
  close: "M4 4l8 8M12 4l-8 8",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 1 0 0-9zM10.4 10.4 14 14",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  more: "M3.5 7.200a.8.8 0 1 0 0 1.6.8.8 0 1 0 0-1.600zM8 7.200a.8.8 0 1 0 0 1.6.8.8 0 1 0 0-1.600zM12.5 7.200a.8.8 0 1 0 0 1.6.8.8 0 1 0 0-1.600z",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 1 0 0-5.6zM8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
  globe: "M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2zM2 8h12M8 2c2 1.8 2.6 3.8 2.6 6S10 12.2 8 14c-2-1.8-2.6-3.8-2.6-6S6 3.8 8 2z",
  leave: "M6.5 2.500H3v11h3.500M10.5 5 13.5 8l-3 3M6.5 8h7",
  upload: "M8 10.500V3M5 6l3-3 3 3M3 10.500V13.500h10v-3",
  download: "M8 3v7.500M5 7.500l3 3 3-3M3 10.500V13.500h10v-3",
  up: "M4 10l4-4 4 4",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  snapshot: "M2.5 4.500h2.500l1-1.500h4l1 1.500h2.500v8.500h-11zM8 6.500a2.3 2.3 0 1 0 0 4.6 2.3 2.3 0 1 0 0-4.600z",
  clone: "M2.5 2.500h7v7h-7zM6.5 11.500v2h7v-7h-2",
  drain: "M8 2.500v7M5 6.500l3 3 3-3M2.5 12.500h11",
  spinner: "M8 2a6 6 0 1 1-6 6",
  full: "M2.5 6V2.500H6M10 2.500h3.500V6M13.5 10v3.500H10M6 13.500H2.500V10",
  keyboard: "M1.5 4h13v8h-13zM4 6.500h.01M6.5 6.500h.01M9 6.500h.01M11.5 6.500h.01M4.5 9.500h7",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg aria-hidden viewBox="0 0 16 16" width={size} height={size} fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round"
      className={`shrink-0 ${name === "spinner" ? "animate-spin" : ""}`}>
      <path d={PATHS[name]} />
    </svg>
  );
}
