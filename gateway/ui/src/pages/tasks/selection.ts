/** Which tasks are chosen: some by name, or everything that the filter finds. */
import { signal } from "@preact/signals";

export interface Selection {
  ids: ReadonlySet<string>;
  /** All that match the filter, also those that were never looked at. */
  all: boolean;
}

const NONE: Selection = { ids: new Set(), all: false };

export const selection = signal<Selection>(NONE);
let anchor = "";

export function clearSelection(): void {
  anchor = "";
  selection.value = NONE;
}

export function selectAll(): void {
  selection.value = { ids: new Set(), all: true };
}

/** `between`: with Shift, everything from the last one chosen to this. */
export function toggle(task: string, on: boolean, between?: (from: string, to: string) => string[]): void {
  const ids = new Set(selection.peek().all ? [] : selection.peek().ids);
  const meant = between && anchor ? between(anchor, task) : [task];
  for (const id of meant) on ? ids.add(id) : ids.delete(id);
  anchor = task;
  selection.value = { ids, all: false };
}

export function selectMany(ids: string[], on: boolean): void {
  selection.value = { ids: new Set(on ? ids : []), all: false };
}
