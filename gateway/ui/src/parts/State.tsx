/** A task's state, or a node's, in a colour and a word. */
import type { NodeNow, Task } from "../api/types";
import "./state.css";

type Tone = "go" | "good" | "warn" | "bad" | "idle";

const TASK_TONES: Record<string, Tone> = {
  queued: "idle",
  assigned: "idle",
  active: "go",
  paused: "warn",
  ending: "idle",
  completed: "good",
  failed: "bad",
  cancelled: "idle",
  rejected: "bad",
};

const WORDS: Record<string, string> = { queued: "waiting", assigned: "placed", active: "running", ending: "ending" };

/** `paused` stands beside any live state. */
export function standingOf(task: Pick<Task, "state" | "desired">): string {
  const isLive = task.state === "queued" || task.state === "assigned" || task.state === "active";
  if (isLive && task.desired === "pause") return "paused";
  return task.state;
}

export const wordFor = (standing: string): string => WORDS[standing] ?? standing;

export function TaskState({ task }: { task: Pick<Task, "state" | "desired" | "phase"> }) {
  const standing = standingOf(task);
  const phase = standing === "active" && PHASES[task.phase];
  return <Badge tone={TASK_TONES[standing] ?? "idle"}>{phase || wordFor(standing)}</Badge>;
}

const PHASES: Record<string, string> = { verifying: "verifying", seeding: "seeding", reporting: "finishing" };

const NODE_TONES: Record<string, Tone> = {
  online: "good",
  trouble: "bad",
  "set aside": "warn",
  cordoned: "warn",
  draining: "warn",
  drained: "idle",
  offline: "bad",
  gone: "idle",
  unheard: "idle",
};

export function nodeStanding(node: Pick<NodeNow, "standing" | "online">): string {
  return node.standing ?? (node.online ? "online" : "offline");
}

export const nodeTone = (standing: string): Tone => NODE_TONES[standing] ?? "idle";

export function NodeState({ standing }: { standing: string }) {
  return <Badge tone={nodeTone(standing)}>{standing}</Badge>;
}

export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span class={`badge ${tone}`}>
      <i />
      {children}
    </span>
  );
}
