/** Bandwidth windows as a week shows them. Pure; what it can't read is judged by the gateway alone. */
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
export const DAY_NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const TEXT = /^(?:([a-z,\s-]+?)\s+)?(?:(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s+)?(\S+)$/;

export interface Span {
  day: number;
  /** Hours after midnight. */
  from: number;
  to: number;
  limit: string;
}

/** Where a window holds; null where it can't be read. */
export function spansOf(text: string): Span[] | null {
  const found = TEXT.exec(text.trim().toLowerCase().replace(/\/s$/, ""));
  const limit = found?.[6];
  if (!found || !limit || !/^\d+(\.\d+)?[kmgt]?i?b?$/.test(limit)) return null;
  const days = daysOf(found[1] ?? "");
  if (!days) return null;
  const [from, to] = found[2] === undefined ? [0, 24] : [Number(found[2]) + Number(found[3]) / 60, Number(found[4]) + Number(found[5]) / 60];
  if (from >= 24 || to > 24) return null;
  const shown = limit.toUpperCase();
  return days.flatMap((day) =>
    from < to
      ? [{ day, from, to, limit: shown }]
      : [
          { day, from, to: 24, limit: shown },
          ...(to > 0 ? [{ day: (day + 1) % 7, from: 0, to, limit: shown }] : []),
        ],
  );
}

function daysOf(words: string): number[] | null {
  if (!words.trim()) return DAYS.map((_, day) => day);
  const found = new Set<number>();
  for (const part of words.trim().replace(/\s*-\s*/g, "-").split(/[,\s]+/)) {
    const [first = "", last = first] = part.split("-");
    const [begin, end] = [DAYS.indexOf(first.slice(0, 3)), DAYS.indexOf(last.slice(0, 3))];
    if (begin < 0 || end < 0) return null;
    for (let step = 0; step <= (end - begin + 7) % 7; step += 1) found.add((begin + step) % 7);
  }
  return [...found];
}
