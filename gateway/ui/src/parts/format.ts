/** Figures as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1.4 GiB`: three digits that matter. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

export const speed = (count: number): string => `${bytes(count)}/s`;

/** `1,234,567`: thousands of times a second where many run, so not by Intl. */
export const count = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ",");

/** `2 h 05 min`: the two units that matter. */
export function duration(seconds: number): string {
  if (seconds > 0 && seconds < 1) return seconds < 0.1 ? "under 0.1 s" : `${seconds.toFixed(1)} s`;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** One unit: `5 min`. */
export function roughly(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  if (whole < 86_400) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86_400)} d`;
}

const pad = (value: number): string => String(value).padStart(2, "0");

export function ago(moment: string | number, now: number): string {
  const seconds = (now - new Date(moment).getTime()) / 1000;
  return seconds < 3 ? "just now" : `${roughly(seconds)} ago`;
}

/** A way to write moments, made when it is first needed: each takes milliseconds to make. */
function written(options: Intl.DateTimeFormatOptions): (moment: string | number) => string {
  let made: Intl.DateTimeFormat | undefined;
  return (moment) => (made ??= new Intl.DateTimeFormat("en-GB", options)).format(new Date(moment));
}

const MINUTES: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
const SECONDS: Intl.DateTimeFormatOptions = { ...MINUTES, second: "2-digit" };
export const clock = written(MINUTES);
export const timeOfDay = written(SECONDS);
export const dateTime = written({ day: "numeric", month: "short", year: "numeric", ...SECONDS });

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, (part / whole) * 100) : 0;
}

export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;

/** Digests and the like by how they begin: their whole length says nothing to people. */
export const shortened = (text: string): string => text.replace(/[0-9a-f]{32,}/gi, (found) => `${found.slice(0, 8)}…`);

/** The end of a sentence, or a whole one without its stop, as a sentence. */
export function sentence(text: string): string {
  const isName = /^\S*[.:]\S/.test(text); // of a host or a file: it stays as it is written
  const begun = isName ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
