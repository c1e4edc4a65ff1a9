/** What runs now, and what ended last. */
import { useEffect } from "preact/hooks";
import { tasks } from "../../api/calls";
import type { Task } from "../../api/types";
import { AddButton } from "../../parts/AddDialog";
import { Card } from "../../parts/Card";
import { Empty, Skeleton } from "../../parts/Empty";
import { ago, bytes, shortened } from "../../parts/format";
import { TaskState } from "../../parts/State";
import { nameOf, TaskProgress } from "../../parts/TaskProgress";
import { changes } from "../../store/live";
import { now } from "../../store/clock";
import { usePolled, type Polled } from "../../store/polled";
import { href } from "../../store/route";

const MOST = 6;
const RUNNING_MS = 4000;

export function RecentTasks() {
  const running = usePolled(() => tasks({ state: ["active"], limit: MOST }), RUNNING_MS);
  const ended = usePolled(() => tasks({ state: ["completed", "failed", "rejected", "cancelled"], limit: MOST }), 0);
  const news = changes.value;
  useEffect(() => {
    if (!news) return;
    const timer = setTimeout(() => (void running.refresh(), void ended.refresh()), 400);
    return () => clearTimeout(timer);
  }, [news]);
  return (
    <>
      <Card title="Running now" aside={<a href={href("tasks", "", "state=active")}>All running</a>} flush>
        <List of={running} nothing={<NothingRuns />} row={RunningRow} />
      </Card>
      <Card title="Ended last" aside={<a href={href("tasks", "", "state=completed&state=failed&state=rejected&state=cancelled")}>All ended</a>} flush>
        <List of={ended} nothing={<Empty icon="check" title="Nothing has ended yet" />} row={EndedRow} />
      </Card>
    </>
  );
}

interface ListProps {
  of: Polled<{ tasks: Task[] }>;
  nothing: preact.JSX.Element;
  row: (props: { task: Task }) => preact.JSX.Element;
}

function List({ of, nothing, row: Row }: ListProps) {
  const found = of.data.value?.tasks;
  if (!found) return <div class="padded">{of.problem.value ? <p class="quiet">{of.problem.value.message}</p> : <Skeleton />}</div>;
  if (!found.length) return nothing;
  return (
    <ul class="rows">
      {found.map((task) => (
        <li key={task.task}>
          <Row task={task} />
        </li>
      ))}
    </ul>
  );
}

function NothingRuns() {
  return (
    <Empty icon="download" title="Nothing runs">
      <p>Add a download, and watch it here.</p>
      <AddButton />
    </Empty>
  );
}

function RunningRow({ task }: { task: Task }) {
  return (
    <a class="row" href={href("tasks", task.task)}>
      <span class="row-name">
        <span class="clip" title={nameOf(task)}>
          {nameOf(task)}
        </span>
        <small class="quieter clip">{task.node}</small>
      </span>
      <TaskProgress task={task} />
    </a>
  );
}

function EndedRow({ task }: { task: Task }) {
  return (
    <a class="row" href={href("tasks", task.task)}>
      <span class="row-name">
        <span class="clip" title={nameOf(task)}>
          {nameOf(task)}
        </span>
        <small class="quieter clip" title={task.reason}>
          {task.state === "completed" ? `${bytes(task.bytes)} on ${task.node}` : shortened(task.reason)}
        </small>
      </span>
      <span class="row-end">
        <TaskState task={task} />
        <small class="quieter number">{task.finished ? ago(task.finished, now.value) : ""}</small>
      </span>
    </a>
  );
}
