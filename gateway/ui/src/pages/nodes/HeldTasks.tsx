/** The tasks that stand at a node. */
import { useEffect } from "preact/hooks";
import { tasks } from "../../api/calls";
import type { Heartbeat, Task } from "../../api/types";
import { Card } from "../../parts/Card";
import { Empty, Skeleton } from "../../parts/Empty";
import { count, plural } from "../../parts/format";
import { TaskState } from "../../parts/State";
import { nameOf, TaskProgress } from "../../parts/TaskProgress";
import { changes } from "../../store/live";
import { usePolled } from "../../store/polled";
import { href } from "../../store/route";

const MOST = 12;
const EVERY_MS = 5000;
/** What just happened comes in so soon. */
const SOON_MS = 500;

export function HeldTasks({ node, held, assigned }: { node: string; held: NonNullable<Heartbeat["held"]>; assigned: number }) {
  const found = usePolled(() => tasks({ node: [node], state: ["active", "assigned"], limit: MOST }), EVERY_MS, [node]);
  const news = changes.value;
  useEffect(() => {
    if (!news) return;
    const timer = setTimeout(() => void found.refresh(), SOON_MS);
    return () => clearTimeout(timer);
  }, [news]);
  const list = found.data.value?.tasks;
  const all = Math.max(assigned, held.length, list?.length ?? 0);
  return (
    <Card
      title="Holds now"
      aside={<a href={href("tasks", "", new URLSearchParams({ node }))}>{all > MOST ? `All ${count(all)}` : "All that were here"}</a>}
      flush
    >
      {!list ? (
        <div class="padded">{found.problem.value ? <p class="quiet">{found.problem.value.message}</p> : <Skeleton />}</div>
      ) : list.length ? (
        <ul class="rows">
          {list.map((task) => (
            <li key={task.task}>
              <Held task={task} phase={held.find((each) => each.task === task.task)?.phase} />
            </li>
          ))}
        </ul>
      ) : (
        <Empty icon="tasks" title="It holds nothing">
          <p>{all ? `${plural(all, "task")} of others stand there.` : "Tasks come as soon as one asks for what this node has."}</p>
        </Empty>
      )}
    </Card>
  );
}

function Held({ task, phase }: { task: Task; phase: string | undefined }) {
  return (
    <a class="row" href={href("tasks", task.task)}>
      <span class="row-name">
        <span class="clip" title={nameOf(task)}>
          {nameOf(task)}
        </span>
        <small class="quieter held-state">
          <TaskState task={task} />
          {phase && phase !== "active" && phase !== task.phase ? ` ${phase}` : ""}
        </small>
      </span>
      <TaskProgress task={task} />
    </a>
  );
}
