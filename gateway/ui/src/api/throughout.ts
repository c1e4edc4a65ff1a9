/** What is done to many tasks at once: a call does up to 10,000 of them within 20 seconds, so on until nothing is left. */
import { act } from "./calls";
import type { Action, ActionDone } from "./types";

/** Throws Problem: what was done until then stays done. */
export async function throughout(action: Action): Promise<ActionDone> {
  let sum = await act(action);
  let rest = action;
  while (sum.more) {
    const done = new Set(sum.results.map((result) => result.task));
    rest = rest.ids?.length ? { ...rest, ids: rest.ids.filter((id) => !done.has(id)) } : { ...rest, after: sum.after };
    const more = await act(rest);
    if (!more.results.length && more.after === sum.after) break;
    sum = { ...more, done: sum.done + more.done, failed: sum.failed + more.failed, left_alone: sum.left_alone + more.left_alone };
  }
  return sum;
}
