/** What can be done to a task as it stands. */
import * as calls from "../api/calls";
import type { Action, Task, Verb } from "../api/types";
import { go } from "../store/route";
import { doing, toast } from "../store/toasts";
import { cancelSoon } from "../store/undo";
import type { MenuItem } from "./Menu";
import { standingOf } from "./State";
import { nameOf } from "./TaskProgress";

const LIVE = new Set(["queued", "assigned", "active", "paused"]);
const CAN: Record<Exclude<Verb, "prioritise" | "limit">, (standing: string, task: Task) => boolean> = {
  pause: (standing) => LIVE.has(standing) && standing !== "paused",
  resume: (standing) => standing === "paused",
  retry: (standing, task) => standing === "failed" || standing === "cancelled" || (standing === "queued" && task.due_in_s > 0),
  cancel: (standing) => LIVE.has(standing),
};

export function can(verb: keyof typeof CAN, task: Task): boolean {
  return CAN[verb](standingOf(task), task);
}

export const isLive = (task: Task): boolean => LIVE.has(standingOf(task));

export function pause(task: Task): Promise<boolean> {
  return doing(calls.pause(task.task), `Paused ${nameOf(task)}`);
}

export function resume(task: Task): Promise<boolean> {
  return doing(calls.resume(task.task), `${nameOf(task)} goes on`);
}

export async function retry(task: Task): Promise<void> {
  try {
    const { new_task: made } = await calls.retry(task.task);
    const action = made ? { label: "Show", run: () => go("tasks", made) } : undefined;
    toast(made ? `${nameOf(task)} is tried again as a new task` : `${nameOf(task)} is tried again`, "good", { action });
  } catch (error) {
    toast((error as Error).message, "bad");
  }
}

export function cancel(task: Task): void {
  cancelSoon({ verb: "cancel", ids: [task.task] } as Action, `Cancelling ${nameOf(task)}`);
}

export function prioritise(task: Task, priority: number): Promise<boolean> {
  return doing(calls.change(task.task, { priority }), `Priority ${priority} for ${nameOf(task)}`);
}

export function menuOf(task: Task): MenuItem[] {
  const items: MenuItem[] = [{ label: "Open", icon: "chevronRight", run: () => go("tasks", task.task) }];
  if (can("pause", task)) items.push({ label: "Pause", icon: "pause", run: () => void pause(task) });
  if (can("resume", task)) items.push({ label: "Resume", icon: "play", run: () => void resume(task) });
  if (can("retry", task)) items.push({ label: "Try again", icon: "retry", run: () => void retry(task) });
  if (isLive(task)) {
    items.push({ label: "Highest priority", icon: "arrowUp", run: () => void prioritise(task, 10) });
    items.push({ label: "Lowest priority", icon: "arrowDown", run: () => void prioritise(task, -10) });
  }
  if (can("cancel", task)) items.push({ label: "Cancel", icon: "cancel", bad: true, run: () => cancel(task) });
  return items;
}
