/** Cancelling can be taken back for a while: the call itself waits. Whoever leaves the page has meant it. */
import { signal } from "@preact/signals";
import { act } from "../api/calls";
import { throughout } from "../api/throughout";
import type { Action } from "../api/types";
import { count } from "../parts/format";
import { dismiss, doing, toast } from "./toasts";

const WAITS_MS = 5000;

/** Tasks that are about to be cancelled. */
export const leaving = signal<ReadonlySet<string>>(new Set());
const pending = new Map<number, Action>();

export function cancelSoon(action: Action, said: string, done: (sum: string) => void = () => {}): void {
  const ids = action.ids ?? [];
  mark(ids, true);
  const id = toast(said, "plain", { ms: WAITS_MS, action: { label: "Undo", run: undo, undoes: true } });
  const timer = setTimeout(() => void carryOut(), WAITS_MS);
  pending.set(id, action);

  function undo(): void {
    clearTimeout(timer);
    pending.delete(id);
    mark(ids, false);
    dismiss(id);
    toast("Not cancelled", "plain", { ms: 2000 });
  }

  async function carryOut(): Promise<void> {
    if (!pending.delete(id)) return;
    await doing(throughout(action), (sum) => {
      const text = sum.done === 1 ? "Cancelled" : `${count(sum.done)} cancelled`;
      done(text);
      return sum.failed ? `${text}, ${count(sum.failed)} could not be` : text;
    });
    mark(ids, false);
  }
}

function mark(ids: string[], isLeaving: boolean): void {
  const next = new Set(leaving.peek());
  for (const id of ids) isLeaving ? next.add(id) : next.delete(id);
  leaving.value = next;
}

addEventListener("pagehide", () => {
  for (const [id, action] of pending) {
    pending.delete(id);
    void act(action, true);
  }
});
