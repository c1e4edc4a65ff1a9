/** Line icons on a 24 grid, drawn for this page. */
import { useId } from "preact/hooks";

const PATHS = {
  overview: "M4 13h6V4H4zM14 20h6V11h-6zM4 20h6v-3.500H4zM14 7.500h6V4h-6z",
  tasks: "M4 6h.010M4 12h.010M4 18h.010M8.500 6H20M8.500 12H20M8.500 18H20",
  nodes: "M4 5.500A1.500 1.500 0 0 1 5.500 4h13A1.500 1.500 0 0 1 20 5.500v4a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 9.500zM4 14.500A1.500 1.500 0 0 1 5.500 13h13a1.500 1.500 0 0 1 1.500 1.500v4a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 18.500zM8 7.500h.010M8 16.500h.010M12 7.500h4M12 16.500h4",
  policy: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5a2 2 0 1 1 0 4 2 2 0 0 1 0-4zM9 15a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  events: "M3 12h4l2.500-7 5 14L17 12h4",
  keys: "M15 4a5 5 0 1 1-3.500 8.600L6 18H3v-3l5.600-5.500A5 5 0 0 1 15 4zM16 8.500h.010",
  webhooks: "M10 13.500a4 4 0 0 0 5.700 0l3-3a4 4 0 0 0-5.700-5.700l-1 1M14 10.500a4 4 0 0 0-5.700 0l-3 3a4 4 0 0 0 5.700 5.700l1-1",
  more: "M5 12h.010M12 12h.010M19 12h.010",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM20 20l-4-4",
  close: "M6 6l12 12M18 6 6 18",
  check: "M5 12.500l4.500 4.500L19 7.500",
  pause: "M8.500 5v14M15.500 5v14",
  play: "M7 4.500 19 12 7 19.500z",
  retry: "M20 5v5h-5M19.500 10A8 8 0 1 0 20 14",
  cancel: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM9 9l6 6M15 9l-6 6",
  download: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  upload: "M12 20V9M7 13.500l5-5 5 5M5 4h14",
  arrowUp: "M12 19V5M6 11l6-6 6 6",
  arrowDown: "M12 5v14M6 13l6 6 6-6",
  chevronDown: "M6 9.500l6 6 6-6",
  chevronRight: "M9.500 6l6 6-6 6",
  chevronLeft: "M14.500 6l-6 6 6 6",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.500v2M12 19.500v2M4.200 4.200l1.500 1.500M18.300 18.300l1.500 1.500M2.500 12h2M19.500 12h2M4.200 19.800l1.500-1.500M18.300 5.700l1.500-1.500",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  signOut: "M14 4H6v16h8M10.500 12H21M17 8l4 4-4 4",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  warning: "M12 4 2.500 20h19zM12 10v4.500M12 17.500h.010",
  problem: "M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17zM12 8v4.500M12 16h.010",
  info: "M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17zM12 11.500V16M12 8h.010",
  offline: "M3 3l18 18M8.500 16a5 5 0 0 1 7 0M5 12.500a10 10 0 0 1 5-2.800M19 12.500a10 10 0 0 0-3.500-2.200M2 9a15 15 0 0 1 4.500-2.800M22 9a15 15 0 0 0-11-3.900M12 19.500h.010",
  filter: "M4 6h16M7 12h10M10 18h4",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  link: "M10 13.500a4 4 0 0 0 5.700 0l3-3a4 4 0 0 0-5.700-5.700l-1 1M14 10.500a4 4 0 0 0-5.700 0l-3 3a4 4 0 0 0 5.700 5.700l1-1",
  clock: "M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17zM12 7.500V12l3 2",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13",
  drain: "M5 4h14M8 4v5l-3 4h14l-3-4V4M12 16v5M9 18.500l3 2.500 3-2.500",
  leader: "M4 8l4 4 4-7 4 7 4-4-1.500 11h-13z",
  speed: "M12 14l4-5M4.500 18a9 9 0 1 1 15 0",
  shield: "M12 3l7.500 3v5.500c0 4.500-3 8-7.500 9.500-4.500-1.500-7.500-5-7.500-9.500V6z",
  docs: "M5 4h9a4 4 0 0 1 4 4v12H9a4 4 0 0 1-4-4zM9 9h5M9 13h5",
} as const;

export type IconName = keyof typeof PATHS;

const HEAVY: ReadonlySet<IconName> = new Set(["tasks", "more"]);

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width={HEAVY.has(name) ? 2 : 1.75}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo({ size = 28 }: { size?: number }) {
  // Of its own: a gradient in a hidden part of the page is not drawn elsewhere.
  const ground = useId();
  return (
    <svg class="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <defs>
        <linearGradient id={ground} x1="0" y1="0" x2="1" y2="1">
          <stop offset="0" stop-color="#3f8cff" />
          <stop offset="1" stop-color="#5b4bf0" />
        </linearGradient>
      </defs>
      <rect width="32" height="32" rx="8" fill={`url(#${ground})`} />
      <path
        d="M8 9h16M10.500 13.500 16 19l5.500-5.500M10.500 19.500 16 25l5.500-5.500"
        fill="none"
        stroke="#fff"
        stroke-width="2.600"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
