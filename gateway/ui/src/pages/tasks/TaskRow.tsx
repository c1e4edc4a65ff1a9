/** One task of the list: a row on a desk, a card on a phone. */
import { Component } from "preact";
import type { Task } from "../../api/types";
import { Menu } from "../../parts/Menu";
import { Icon } from "../../parts/Icon";
import { ago, bytes, dateTime, duration, shortened, speed } from "../../parts/format";
import { TaskState, standingOf } from "../../parts/State";
import { nameOf, TaskProgress, useShown, useTransfer } from "../../parts/TaskProgress";
import { isLive, menuOf } from "../../parts/taskActions";
import { now } from "../../store/clock";
import { isUnheard } from "../../store/cluster";
import { href } from "../../store/route";
import { leaving } from "../../store/undo";
import { originOf } from "../overview/originMatters";
import { selection, toggle } from "./selection";

interface TaskRowProps {
  task: Task | null;
  index: number;
  /** Rises with each change of the list: rows are changed in place. */
  version: number;
  maySteer: boolean;
  between: (from: string, to: string) => string[];
}

/** Drawn anew where its task changed, not for each step of scrolling; what it follows beside that are signals. */
export class TaskRow extends Component<TaskRowProps> {
  override shouldComponentUpdate(next: TaskRowProps): boolean {
    const now = this.props;
    return next.task !== now.task || next.version !== now.version || next.index !== now.index || next.maySteer !== now.maySteer;
  }

  override render(props: TaskRowProps) {
    return props.task ? <Row {...props} task={props.task} /> : <ToCome index={props.index} />;
  }
}

function ToCome({ index }: { index: number }) {
  return (
    <div class="task-row waiting" role="row" aria-rowindex={index + 2}>
      <span role="cell" class="skeleton-cell">
        <i />
      </span>
    </div>
  );
}

function Row({ task: listed, index, maySteer, between }: TaskRowProps & { task: Task }) {
  const task = useShown(listed);
  const { ids, all } = selection.value;
  const isChosen = all || ids.has(task.task);
  const isLeaving = leaving.value.has(task.task) && isLive(task);
  const name = nameOf(task);
  const standing = standingOf(task);
  return (
    <div class={`task-row${isChosen ? " chosen" : ""}${isLeaving ? " leaving" : ""}`} role="row" aria-rowindex={index + 2} aria-selected={maySteer ? isChosen : undefined}>
      {maySteer && (
        <span role="cell" class="cell-check">
          <input
            type="checkbox"
            aria-label={`Choose ${name}`}
            checked={isChosen}
            onClick={(event) => toggle(task.task, event.currentTarget.checked, event.shiftKey ? between : undefined)}
          />
        </span>
      )}
      <span role="cell" class="cell-name">
        <a href={href("tasks", task.task)} title={name}>
          {name}
        </a>
        <small class="quieter clip">{underName(task, standing)}</small>
      </span>
      <span role="cell" class="cell-state">
        <TaskState task={task} />
        {task.priority !== 0 && (
          <span class="priority" title={`Priority ${task.priority}`}>
            <Icon name={task.priority > 0 ? "arrowUp" : "arrowDown"} size={13} />
            {Math.abs(task.priority)}
          </span>
        )}
      </span>
      <span role="cell" class="cell-progress">
        <Far task={task} standing={standing} />
      </span>
      <Pace task={task} standing={standing} />
      <span role="cell" class="cell-node clip">
        {task.node && (
          <a href={href("nodes", task.node)} class="quiet">
            {task.node}
          </a>
        )}
      </span>
      <span role="cell" class="cell-time number quieter" title={whenOf(task) ? dateTime(whenOf(task) as string) : ""}>
        {whenOf(task) ? ago(whenOf(task) as string, now.value) : ""}
      </span>
      <span role="cell" class="cell-menu">
        {maySteer && (
          <Menu label={`Do something to ${name}`} items={menuOf(task)}>
            <Icon name="more" size={18} />
          </Menu>
        )}
      </span>
    </div>
  );
}

const whenOf = (task: Task): string | null => task.finished ?? task.submitted;

function underName(task: Task, standing: string): string {
  if (standing === "failed" || standing === "rejected" || (standing === "queued" && task.reason)) return shortened(task.reason);
  return [originOf(task.uris[0]), task.owner !== "default" && task.owner, ...Object.entries(task.labels).map(([name, value]) => `${name}=${value}`)].filter(Boolean).join(" · ");
}

function Far({ task, standing }: { task: Task; standing: string }) {
  if (standing === "completed") return <span class="quiet number">{bytes(task.bytes)}</span>;
  if (standing === "active" || (task.bytes > 0 && !task.finished)) return <TaskProgress task={task} />;
  if (standing === "queued" && task.due_in_s > 0) return <span class="quieter">again in {duration(task.due_in_s)}</span>;
  return <span class="quieter">{task.bytes_total ? bytes(task.bytes_total) : ""}</span>;
}

function Pace({ task, standing }: { task: Task; standing: string }) {
  const { bytesPerS, etaS } = useTransfer(task);
  const runs = standing === "active" && !isUnheard.value;
  return (
    <>
      <span role="cell" class="cell-speed number">
        {runs ? speed(bytesPerS) : task.state === "completed" && task.seconds > 0 ? <span class="quieter">⌀ {speed(task.bytes / task.seconds)}</span> : ""}
      </span>
      <span role="cell" class="cell-eta number">
        {runs ? (etaS === null ? "–" : duration(etaS)) : task.state === "completed" && task.seconds > 0 ? <span class="quieter">took {duration(task.seconds)}</span> : ""}
      </span>
    </>
  );
}

