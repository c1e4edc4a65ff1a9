/** Short words on what was done, and the way back. */
import { computed, signal } from "@preact/signals";

export type Tone = "plain" | "good" | "bad";

export interface Toast {
  id: number;
  text: string;
  tone: Tone;
  /** How long it stays, and its bar runs. */
  ms: number;
  action?: ToastAction;
}

interface ToastAction {
  label: string;
  run: () => void;
  /** It takes back what was done. */
  undoes?: boolean;
}

export const toasts = signal<Toast[]>([]);
const MOST = 4;
const STAYS_MS = 5000;
const BAD_STAYS_MS = 9000;
let last = 0;

export function toast(text: string, tone: Tone = "plain", more: Partial<Pick<Toast, "ms" | "action">> = {}): number {
  const id = ++last;
  const ms = more.ms ?? (tone === "bad" ? BAD_STAYS_MS : STAYS_MS);
  toasts.value = withRoom([...toasts.value, { id, text, tone, ms, ...more }]);
  setTimeout(() => dismiss(id), ms);
  return id;
}

/** The oldest of too many go; the way back from something stays for as long as it was promised. Pure. */
function withRoom(all: Toast[]): Toast[] {
  const oldest = all.findIndex((each) => !each.action);
  return all.length > MOST && oldest >= 0 && oldest < all.length - 1 ? withRoom(all.filter((_, index) => index !== oldest)) : all;
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id);
}

/** The latest thing that can be taken back. */
export const undoable = computed(() => toasts.value.findLast((each) => each.action?.undoes));

/** Wherever the focus is: Alt+Z takes it back. By the place of the key, for with Alt it may write another letter. */
addEventListener("keydown", (event) => {
  const found = undoable.peek();
  if (event.code !== "KeyZ" || !event.altKey || event.ctrlKey || event.metaKey || !found) return;
  event.preventDefault();
  found.action?.run();
});

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
