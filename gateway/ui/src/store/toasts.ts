/** Short words on what was done, and the way back. */
import { signal } from "@preact/signals";

export type Tone = "plain" | "good" | "bad";

export interface Toast {
  id: number;
  text: string;
  tone: Tone;
  /** How long it stays, and its bar runs. */
  ms: number;
  action?: { label: string; run: () => void };
}

export const toasts = signal<Toast[]>([]);
const MOST = 4;
const STAYS_MS = 5000;
const BAD_STAYS_MS = 9000;
let last = 0;

export function toast(text: string, tone: Tone = "plain", more: Partial<Pick<Toast, "ms" | "action">> = {}): number {
  const id = ++last;
  const ms = more.ms ?? (tone === "bad" ? BAD_STAYS_MS : STAYS_MS);
  toasts.value = [...toasts.value.slice(1 - MOST), { id, text, tone, ms, ...more }];
  setTimeout(() => dismiss(id), ms);
  return id;
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

/** Do something and say how it went. */
export async function doing<Result>(work: Promise<Result>, done?: string | ((result: Result) => string)): Promise<boolean> {
  try {
    const result = await work;
    if (done) toast(typeof done === "string" ? done : done(result), "good");
    return true;
  } catch (error) {
    toast(error instanceof Error ? error.message : String(error), "bad");
    return false;
  }
}
