/** One task: how far it is, what happened to it, and why it stands where it stands. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import * as calls from "../../api/calls";
import type { Task, TaskEvent } from "../../api/types";
import { Bar } from "../../parts/Bar";
import { Button } from "../../parts/Button";
import { Card, PageHead } from "../../parts/Card";
import { Empty, Failure, Skeleton } from "../../parts/Empty";
import { bytes, duration, percent, sentence, speed } from "../../parts/format";
import { Graph } from "../../parts/Graph";
import { Icon } from "../../parts/Icon";
import { Live } from "../../parts/Live";
import { Menu } from "../../parts/Menu";
import { standingOf, TaskState } from "../../parts/State";
import * as actions from "../../parts/taskActions";
import { nameOf, useShown, useTransfer } from "../../parts/TaskProgress";
import { listen } from "../../store/live";
import { usePolled } from "../../store/polled";
import { href } from "../../store/route";
import { may } from "../../store/session";
import { leaving } from "../../store/undo";
import { Attempts } from "./Attempts";
import { FileButton } from "./FileButton";
import { Facts } from "./Facts";
import { Placement } from "./Placement";
import "./task.css";
import { Timeline } from "./Timeline";

/** A live one is read again so often, beside what its events say. */
const EVERY_MS = 5000;

export function TaskPage({ id }: { id: string }) {
  const told = usePolled(() => calls.task(id), EVERY_MS, [id]);
  useEffect(
    () =>
      listen((events) => {
        if (events.some(({ event }) => event.task === id)) void told.refresh();
      }),
    [id],
  );
  const found = told.data.value;
  if (!found && told.problem.value?.status === 404) return <Missing id={id} />;
  if (!found) return told.problem.value ? <Failure problem={told.problem.value} retry={() => void told.refresh()} /> : <Skeleton lines={8} />;
  return <Whole task={found.task} events={found.events} />;
}

function Missing({ id }: { id: string }) {
  return (
    <>
      <Back />
      <PageHead title={<span class="task-title">{id}</span>} />
      <Card>
        <Empty icon="search" title="There is no such task">
          <p>Tasks are kept for as long as their events are. Is it another owner’s, or did it end long ago?</p>
          <a class="button plain small" href={href("tasks")}>
            Show all tasks
          </a>
        </Empty>
      </Card>
    </>
  );
}

function Back() {
  return (
    <a class="back" href={href("tasks")}>
      <Icon name="chevronLeft" size={15} />
      Tasks
    </a>
  );
}

function Whole({ task: told, events }: { task: Task; events: TaskEvent[] }) {
  const task = useShown(told);
  const standing = standingOf(task);
  return (
    <>
      <Back />
      <PageHead
        title={
          <span class="task-title" title={nameOf(task)}>
            {nameOf(task)}
          </span>
        }
        sub={
          <span class="task-sub">
            <TaskState task={task} />
            {task.node && (
              <span>
                on <a href={href("nodes", task.node)}>{task.node}</a>
              </span>
            )}
            {task.owner !== "default" && <span>for {task.owner}</span>}
          </span>
        }
      >
        <Actions task={task} />
      </PageHead>
      <div class="task-page">
        <div class="task-main">
          <Far task={task} standing={standing} />
          <Placement task={task} />
          {task.history.length > 0 && <Attempts history={task.history} />}
          <Facts task={task} />
        </div>
        <div class="task-aside">
          <Timeline events={events} />
        </div>
      </div>
    </>
  );
}

function Actions({ task }: { task: Task }) {
  const isLeaving = leaving.value.has(task.task);
  const maySteer = may("submit") && !isLeaving;
  return (
    <>
      {task.state === "completed" && <FileButton task={task} />}
      {maySteer && actions.can("pause", task) && (
        <Button icon="pause" onClick={() => void actions.pause(task)}>
          Pause
        </Button>
      )}
      {maySteer && actions.can("resume", task) && (
        <Button icon="play" kind="main" onClick={() => void actions.resume(task)}>
          Resume
        </Button>
      )}
      {maySteer && actions.can("retry", task) && (
        <Button icon="retry" onClick={() => void actions.retry(task)}>
          Try again
        </Button>
      )}
      {maySteer && actions.isLive(task) && (
        <Menu
          label={`Priority ${task.priority}`}
          class="button plain"
          items={[10, 5, 0, -5, -10].map((priority) => ({ label: `Priority ${priority}`, run: () => void actions.prioritise(task, priority) }))}
        >
          Priority {task.priority}
          <Icon name="chevronDown" size={15} />
        </Menu>
      )}
      {maySteer && actions.can("cancel", task) && (
        <Button icon="cancel" onClick={() => actions.cancel(task)}>
          Cancel
        </Button>
      )}
      {isLeaving && <span class="quiet">Cancelling …</span>}
    </>
  );
}

const SAMPLES_MAX = 900;

/** What its speed was while somebody looked. */
function useSpeeds(task: Task, bytesPerS: number): { times: number[]; values: number[] } {
  const kept = useRef<{ times: number[]; values: number[] }>({ times: [], values: [] });
  const { done } = useTransfer(task);
  return useMemo(() => {
    const { times, values } = kept.current;
    if (task.state === "active") kept.current = { times: [...times, Date.now() / 1000].slice(-SAMPLES_MAX), values: [...values, bytesPerS].slice(-SAMPLES_MAX) };
    return kept.current;
  }, [done, bytesPerS]);
}

function Far({ task, standing }: { task: Task; standing: string }) {
  const { done, total, bytesPerS, connections, etaS } = useTransfer(task);
  const speeds = useSpeeds(task, bytesPerS);
  const runs = standing === "active";
  const share = total ? percent(done, total) : null;
  const tone = { completed: "good", failed: "bad", rejected: "bad", paused: "warn" }[standing] ?? "go";
  if (standing === "failed" || standing === "rejected" || standing === "cancelled") {
    return (
      <p class={standing === "cancelled" ? "notice info" : "notice bad"}>
        <strong>{{ failed: "It failed.", rejected: "It was refused.", cancelled: "It was cancelled." }[standing]}</strong> {task.reason && sentence(task.reason)}
      </p>
    );
  }
  return (
    <Card>
      <div class="far">
        <p class="far-share number">{share === null ? (done ? bytes(done) : "–") : `${share < 100 ? share.toFixed(share < 10 ? 1 : 0) : 100} %`}</p>
        <dl class="far-figures">
          <Fact name="Received">{total ? `${bytes(done)} of ${bytes(total)}` : bytes(done)}</Fact>
          {runs && (
            <>
              <Fact name="Speed">
                <Live>{speed(bytesPerS)}</Live>
              </Fact>
              <Fact name="Time left">
                <Live>{etaS === null ? "–" : duration(etaS)}</Live>
              </Fact>
              <Fact name="Connections">
                <Live>{connections}</Live>
              </Fact>
            </>
          )}
          {task.state === "completed" && (
            <>
              <Fact name="Took">{duration(task.seconds)}</Fact>
              <Fact name="On average">{task.seconds > 0 ? speed(task.bytes / task.seconds) : "–"}</Fact>
            </>
          )}
        </dl>
      </div>
      <Bar value={share ?? (runs ? null : 0)} label="Progress" tone={tone as "go"} />
      {runs && speeds.times.length > 1 && (
        <Graph times={speeds.times} values={speeds.values} label="Speed since you opened this page" format={speed} least={1024} binary height={140} />
      )}
    </Card>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt class="quieter">{name}</dt>
      <dd class="number">{children}</dd>
    </div>
  );
}
