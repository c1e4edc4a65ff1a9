/** How far a task is, as it moves. */
import { useEffect, useMemo } from "preact/hooks";
import type { Progress, Task } from "../api/types";
import { isUnheard } from "../store/cluster";
import { progressOf, watch } from "../store/live";
import { Bar } from "./Bar";
import { bytes, duration, percent, speed } from "./format";
import { standingOf } from "./State";
import "./task-progress.css";

/** What is known of a transfer now: from the stream where it runs, else from the listing. */
export interface Transfer {
  done: number;
  total: number;
  bytesPerS: number;
  connections: number;
  etaS: number | null;
}

export function useTransfer(task: Task): Transfer {
  const live = useMemo(() => progressOf(task.task), [task.task]);
  useEffect(() => watch(task.task), [task.task]);
  return transferOf(task, live.value);
}

/** A task that is heard to move runs: listings learn of it from the node's next heartbeat, and nobody tells then. */
export function useShown(task: Task): Task {
  const live = useMemo(() => progressOf(task.task), [task.task]);
  useEffect(() => watch(task.task), [task.task]);
  const isMoving = task.state === "assigned" && (live.value?.attempt ?? 0) >= task.attempt;
  return isMoving ? { ...task, state: "active" } : task;
}

export function transferOf(task: Task, live: Progress | null): Transfer {
  if (task.state === "completed") return { done: task.bytes, total: task.bytes, bytesPerS: 0, connections: 0, etaS: null };
  if (live && live.attempt >= task.attempt) {
    const left = live.bytes_total - live.bytes_done;
    return {
      done: live.bytes_done,
      total: live.bytes_total,
      bytesPerS: live.bytes_per_s,
      connections: live.connections ?? 0,
      etaS: live.bytes_total && live.bytes_per_s ? left / live.bytes_per_s : null,
    };
  }
  return { done: task.bytes, total: task.bytes_total, bytesPerS: task.bytes_per_s, connections: task.connections, etaS: task.eta_s };
}

/** A task's name; one that was just submitted may have none yet. */
export const nameOf = (task: Pick<Task, "name" | "task" | "uris">): string => task.name || task.uris[0] || task.task;

export function TaskProgress({ task }: { task: Task }) {
  const { done, total, bytesPerS, etaS } = useTransfer(task);
  const standing = standingOf(task);
  const stale = isUnheard.value;
  const tone = stale ? "idle" : standing === "completed" ? "good" : standing === "paused" ? "warn" : standing === "active" ? "go" : "idle";
  return (
    <span class="task-progress">
      <Bar value={total ? percent(done, total) : done ? null : 0} label={`Progress of ${nameOf(task)}`} tone={tone} />
      <small class="quieter number">
        <span>{total ? `${bytes(done)} of ${bytes(total)}` : done ? bytes(done) : ""}</span>
        <span>{standing === "active" && !stale ? `${speed(bytesPerS)}${etaS === null ? "" : ` · ${duration(etaS)}`}` : ""}</span>
      </small>
    </span>
  );
}
