/** The cluster at a glance. */
import { useSignal } from "@preact/signals";
import { countTasks, tasks } from "../../api/calls";
import type { Status } from "../../api/types";
import { AddButton } from "../../parts/AddDialog";
import { Card, PageHead } from "../../parts/Card";
import { Command } from "../../parts/Copy";
import { Failure, Skeleton } from "../../parts/Empty";
import { count, plural, roughly, speed } from "../../parts/format";
import { Graph } from "../../parts/Graph";
import { Icon } from "../../parts/Icon";
import { agedClass, Live, Since } from "../../parts/Live";
import { nodes, speeds, status, WINDOW_S } from "../../store/cluster";
import { isStale } from "../../store/link";
import { usePolled, useShared } from "../../store/polled";
import { href } from "../../store/route";
import { matters, type Matter } from "./attention";
import { NodeTiles } from "./NodeTiles";
import "./overview.css";
import { RecentTasks } from "./RecentTasks";

const FAILED_MS = 15_000;
const TODAY_MS = 5_000;
const HOUR_MS = 3_600_000;
const RECENT_MS = 600_000;

const failedLately = () =>
  tasks({ state: ["failed"], since: new Date(Date.now() - HOUR_MS).toISOString(), limit: 500 });

/** Since midnight, of whoever looks. */
async function today(): Promise<{ completed: number; failed: number }> {
  const since = new Date(new Date().setHours(0, 0, 0, 0)).toISOString();
  const [completed, failed] = await Promise.all([
    countTasks({ state: ["completed"], since }),
    countTasks({ state: ["failed", "rejected"], since }),
  ]);
  return { completed, failed };
}

export function Overview() {
  const { data, problem, refresh } = useShared(status);
  useShared(nodes);
  const failed = usePolled(failedLately, FAILED_MS);
  const ended = usePolled(today, TODAY_MS);
  const now = data.value;
  if (!now) return problem.value ? <Failure problem={problem.value} retry={() => void refresh()} /> : <Skeleton lines={8} />;
  const found = matters(now, nodes.isOld.value ? null : nodes.data.value, failed.data.value?.tasks ?? []);
  return (
    <>
      <PageHead title="Overview" sub={isStale.value ? "—" : status.isOld.value ? <Since /> : <Leader status={now} />}>
        <AddButton />
      </PageHead>
      <div class="overview">
        <SpeedCard now={now} />
        <Figures now={now} today={ended.data.value} />
        <Attention found={found} isKnown={nodes.data.value !== null && !nodes.isOld.value && !status.isOld.value} />
        <NodeTiles />
        <RecentTasks />
      </div>
    </>
  );
}

function Leader({ status }: { status: Status }) {
  const { online, heard } = status.nodes;
  return (
    <>
      {status.leader ? (
        <>
          <span class="mono">{status.leader}</span> leads
        </>
      ) : (
        <strong class="bad-text">nobody leads</strong>
      )}
      {" · "}
      {count(online)} of {count(heard)} {heard === 1 ? "node" : "nodes"} online
    </>
  );
}

function SpeedCard({ now }: { now: Status }) {
  const [figure, unit] = speed(now.bytes_per_s).split(" ");
  return (
    <Card class={agedClass("speed-card", status)} title="Download speed" aside="last 10 minutes">
      <p class="speed-now number">
        <Live>
          {figure} <small>{unit}</small>
        </Live>
      </p>
      <Graph
        times={speeds.value.times}
        values={speeds.value.values}
        window={WINDOW_S}
        label="Download speed of the last ten minutes"
        format={speed}
        least={1024}
        binary
        height={190}
      />
    </Card>
  );
}

function Figures({ now, today }: { now: Status; today: { completed: number; failed: number } | null }) {
  const of = now.tasks;
  const running = of["active"] ?? 0;
  const waiting = (of["queued"] ?? 0) + (of["assigned"] ?? 0);
  const oldest = now.oldest_queued_s;
  const recent = now.recent;
  const minutes = Math.round((now.recent_s ?? 600) / 60);
  return (
    <div class={agedClass("figures", status)}>
      <Figure name="Running" to="state=active" value={running} tone="go" told={`in ${plural(now.nodes.slots, "slot")}`} />
      <Figure
        name="Waiting"
        to="state=queued&state=assigned"
        value={waiting}
        told={oldest != null ? `oldest for ${roughly(oldest)}` : now.leader ? "nothing in line" : UNTOLD}
      />
      <Figure name="Paused" to="state=paused" value={of["paused"] ?? 0} told={now.inbox ? `${count(now.inbox)} not claimed yet` : "until resumed"} />
      <Figure
        name="Done today"
        to="state=completed"
        value={today ? atLeast(today.completed, recent?.["completed"]) : null}
        tone="good"
        told={recent ? `${count(recent["completed"] ?? 0)} in ${minutes} min` : UNTOLD}
      />
      <Figure
        name="Failed today"
        to="state=failed&state=rejected"
        value={today?.failed ?? null}
        tone={today?.failed ? "bad" : undefined}
        told={recent ? `${count((recent["failed"] ?? 0) + (recent["rejected"] ?? 0))} in ${minutes} min` : UNTOLD}
      />
    </div>
  );
}

/** What a coordinator alone knows, and none leads. */
const UNTOLD = "not known now";

/** The two are asked for at different moments: of ten minutes there are not more than of a day that is older. */
function atLeast(today: number, lately = 0): number {
  const isOlder = Date.now() - new Date().setHours(0, 0, 0, 0) > RECENT_MS;
  return isOlder ? Math.max(today, lately) : today;
}

interface FigureProps {
  name: string;
  to: string;
  value: number | null;
  told: string;
  tone?: "go" | "good" | "bad";
}

function Figure({ name, to, value, told, tone }: FigureProps) {
  return (
    <a class={`figure ${tone ?? ""}`} href={href("tasks", "", to)}>
      <span class="figure-name">
        <i />
        {name}
      </span>
      <strong class="number">{value === null ? "…" : <Live>{count(value)}</Live>}</strong>
      <small class="quieter number">{told}</small>
    </a>
  );
}

const FEW = 4;

/** `isKnown`: whether enough was heard to say that nothing is wrong. */
function Attention({ found, isKnown }: { found: Matter[]; isKnown: boolean }) {
  const all = useSignal(false);
  if (!found.length) {
    return isKnown && (
      <p class="all-well">
        <Icon name="check" size={18} />
        All is well: nothing needs your attention.
      </p>
    );
  }
  const shown = all.value ? found : found.slice(0, FEW);
  return (
    <Card title="Needs attention" aside={count(found.length)} flush class="attention">
      <ul>
        {shown.map((matter) => (
          <MatterRow key={matter.id} matter={matter} />
        ))}
      </ul>
      {found.length > shown.length && (
        <button type="button" class="show-all" onClick={() => (all.value = true)}>
          Show {count(found.length - shown.length)} more
        </button>
      )}
    </Card>
  );
}

function MatterRow({ matter }: { matter: Matter }) {
  return (
    <li class={matter.bad ? "matter bad" : "matter"}>
      <Icon name={matter.bad ? "problem" : "warning"} size={19} />
      <div>
        <h3>{matter.title}</h3>
        <p class="quiet">{matter.told}</p>
        {matter.command && <Command text={matter.command} />}
        {matter.link && <a href={matter.link.to}>{matter.link.name}</a>}
      </div>
    </li>
  );
}

