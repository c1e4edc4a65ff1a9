/** Which tasks are chosen: some by name, or everything that the filter finds. */
import { signal } from "@preact/signals";

export interface Selection {
  ids: ReadonlySet<string>;
  /** All that match the filter, also those that were never looked at. */
  all: boolean;
  /** Every one that was loaded was chosen, and none let go since: whoever did that may mean those to come, too. */
  wasEach: boolean;
}

const NONE: Selection = { ids: new Set(), all: false, wasEach: false };

export const selection = signal<Selection>(NONE);
let anchor = "";

export function clearSelection(): void {
  anchor = "";
  selection.value = NONE;
}

export function selectAll(): void {
  selection.value = { ids: new Set(), all: true, wasEach: false };
}

/** `between`: with Shift, everything from the last one chosen to this. */
export function toggle(task: string, on: boolean, between?: (from: string, to: string) => string[]): void {
  const ids = new Set(selection.peek().all ? [] : selection.peek().ids);
  const meant = between && anchor ? between(anchor, task) : [task];
  for (const id of meant) on ? ids.add(id) : ids.delete(id);
  anchor = task;
  selection.value = { ids, all: false, wasEach: on && selection.peek().wasEach };
}

export function selectMany(ids: string[], on: boolean): void {
  selection.value = { ids: new Set(on ? ids : []), all: false, wasEach: on };
}
