/** The cluster at a glance. */
import { useSignal } from "@preact/signals";
import { tasks } from "../../api/calls";
import type { Status } from "../../api/types";
import { AddButton } from "../../parts/AddDialog";
import { Card, PageHead } from "../../parts/Card";
import { Command } from "../../parts/Copy";
import { Failure, Skeleton } from "../../parts/Empty";
import { count, plural, roughly, speed } from "../../parts/format";
import { Graph } from "../../parts/Graph";
import { Icon } from "../../parts/Icon";
import { agedClass, Live, Since } from "../../parts/Live";
import { now as clock } from "../../store/clock";
import { nodes, speeds, status, WINDOW_S } from "../../store/cluster";
import { isStale } from "../../store/link";
import { usePolled, useShared } from "../../store/polled";
import { href } from "../../store/route";
import { may, me } from "../../store/session";
import { matters, type Matter } from "./attention";
import { NodeTiles } from "./NodeTiles";
import "./overview.css";
import { LATELY_MIN, own, type Own } from "./own";
import { RecentTasks } from "./RecentTasks";

const FAILED_MS = 15_000;
const OWN_MS = 5_000;
const HOUR_MS = 3_600_000;

const failedLately = () =>
  tasks({ state: ["failed", "rejected"], since: new Date(Date.now() - HOUR_MS).toISOString(), limit: 500 });

export function Overview() {
  const { data, problem, refresh } = useShared(status);
  useShared(nodes);
  const failed = usePolled(failedLately, FAILED_MS);
  const figures = usePolled(own, OWN_MS);
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
        <Figures now={now} own={figures.data.value} />
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
    <Card class={agedClass("speed-card", status)} title={may("admin") ? "Download speed" : "Download speed of the whole cluster"} aside="last 10 minutes">
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

/** Tasks that whoever looks may see: all, or their owner's. */
function Figures({ now, own }: { now: Status; own: Own | null }) {
  const of = now.tasks;
  const isAll = may("admin");
  const told = (count: (own: Own) => string) => (own ? count(own) : "…");
  return (
    <section>
      {!isAll && me.value && (
        <header class="section-head">
          <h2>Tasks of {me.value.owner}</h2>
        </header>
      )}
      <div class={agedClass("figures", status)}>
        <Figure
          name="Running"
          to="state=active"
          value={of["active"] ?? 0}
          tone="go"
          told={isAll ? `in ${plural(now.nodes.slots, "slot")}` : `the cluster has ${plural(now.nodes.slots, "slot")}`}
        />
        <Figure
          name="Waiting"
          to="state=queued&state=assigned"
          value={(of["queued"] ?? 0) + (of["assigned"] ?? 0)}
          told={told(({ oldest }) => (oldest ? `oldest for ${roughly((clock.value - Date.parse(oldest)) / 1000)}` : "nothing in line"))}
        />
        <Figure name="Paused" to="state=paused" value={of["paused"] ?? 0} told={isAll && now.inbox ? `${count(now.inbox)} not claimed yet` : "until resumed"} />
        <Figure
          name="Done today"
          to="state=completed"
          value={own?.today.completed ?? null}
          tone="good"
          told={told(({ lately }) => `${count(lately.completed)} in ${LATELY_MIN} min`)}
        />
        <Figure
          name="Failed today"
          to="state=failed&state=rejected"
          value={own?.today.failed ?? null}
          tone={own?.today.failed ? "bad" : undefined}
          told={told(({ lately }) => `${count(lately.failed)} in ${LATELY_MIN} min`)}
        />
      </div>
    </section>
  );
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

