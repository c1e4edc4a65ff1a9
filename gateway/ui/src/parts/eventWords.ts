/** Events in words. */
import type { IconName } from "./Icon";

const WORDS: Record<string, [word: string, icon: IconName]> = {
  queued: ["Queued", "tasks"],
  assigned: ["Placed", "nodes"],
  started: ["Started", "play"],
  attempt_failed: ["Attempt failed", "problem"],
  retrying: ["Back in line", "retry"],
  released: ["Given back", "signOut"],
  paused: ["Paused", "pause"],
  resumed: ["Resumed", "play"],
  prioritised: ["Prioritised", "arrowUp"],
  dismissed: ["Dismissed", "close"],
  "finished.completed": ["Completed", "check"],
  "finished.failed": ["Failed", "problem"],
  "finished.cancelled": ["Cancelled", "cancel"],
  "finished.rejected": ["Refused", "problem"],
};

/** Types of a newer gateway are shown as they are called. */
export const eventWord = (type: string): string => WORDS[type]?.[0] ?? type;
export const eventIcon = (type: string): IconName => WORDS[type]?.[1] ?? "info";
export const EVENT_TYPES = Object.keys(WORDS);
