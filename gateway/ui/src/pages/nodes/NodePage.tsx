/** One node: what it does, what it holds, what is wrong with it, and what is decided about it. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import * as calls from "../../api/calls";
import type { NodeNow, UnheardNode } from "../../api/types";
import { Card, PageHead } from "../../parts/Card";
import { Command, CopyText } from "../../parts/Copy";
import { Empty, Skeleton } from "../../parts/Empty";
import { FailedPage } from "../../parts/FailedPage";
import { ago, bytes, count, percent, plural, roughly, speed } from "../../parts/format";
import { Graph } from "../../parts/Graph";
import { Icon } from "../../parts/Icon";
import { agedClass, Live, Since, sinceTold } from "../../parts/Live";
import { nodeStanding, NodeState } from "../../parts/State";
import { Tags } from "../../parts/Tags";
import { now } from "../../store/clock";
import { askBefore, historyOf, nodes, WINDOW_S, type NodeHistory, type Samples } from "../../store/cluster";
import { resync } from "../../store/live";
import { useShared } from "../../store/polled";
import { href } from "../../store/route";
import { may } from "../../store/session";
import { doing } from "../../store/toasts";
import { diskUsed } from "../overview/NodeTiles";
import { Button } from "../../parts/Button";
import { adviceOn, type Advice } from "./advice";
import { HeldTasks } from "./HeldTasks";
import { NodeActions } from "./NodeActions";
import "./node.css";
import "./nodes.css";

const WINDOW_LEAST_S = 60;

export function NodePage({ id }: { id: string }) {
  const { data, problem, refresh } = useShared(nodes);
  const reply = data.value;
  if (!reply) return problem.value ? <FailedPage title={id} problem={problem.value} retry={() => void refresh()} /> : <Skeleton lines={8} />;
  const node = reply.nodes.find((each) => each.node === id);
  const unheard = reply.unheard.find((each) => each.node === id);
  return (
    <>
      <a class="back" href={href("nodes")}>
        <Icon name="chevronLeft" size={15} />
        Nodes
      </a>
      {node ? <Heard node={node} /> : unheard ? <NotHeard node={unheard} /> : <Unknown id={id} />}
    </>
  );
}

function Heard({ node }: { node: NodeNow }) {
  const { heartbeat: beat } = node;
  const gap = resync.value;
  useEffect(() => {
    askBefore(node.node).catch(() => {}); // the graphs begin with what this page hears
  }, [node.node, gap]);
  return (
    <>
      <PageHead
        title={<span class="node-title">{node.node}</span>}
        sub={
          <span class={agedClass("node-sub", nodes)}>
            <Since of={nodes} />
            <NodeState standing={nodeStanding(node)} />
            {node.wishes.paused && <NodeState standing="paused" />}
            <span class="number">{node.online ? `version ${beat.version}` : `last heard ${ago(now.value - node.heard_ago_s * 1000, now.value)}`}</span>
            {beat.tags && beat.tags.length > 0 && <Tags tags={beat.tags} most={8} />}
          </span>
        }
      >
        {may("admin") && <NodeActions node={node} />}
      </PageHead>
      <div class="node-page">
        {adviceOn(node).map((advice) => (
          <AdviceNote key={advice.title} advice={advice} />
        ))}
        <Graphs node={node} history={historyOf(node.node)} />
        <HeldTasks node={node.node} held={beat.held ?? []} assigned={node.assigned} />
        <Facts node={node} />
      </div>
    </>
  );
}

function AdviceNote({ advice }: { advice: Advice }) {
  return (
    <section class={`advice ${advice.tone}`}>
      <Icon name={advice.tone === "bad" ? "problem" : advice.tone === "warn" ? "warning" : "info"} size={19} />
      <div>
        <h2>{advice.title}</h2>
        <p>{advice.told}</p>
        {advice.command && <Command text={advice.command} />}
      </div>
    </section>
  );
}

function Graphs({ node, history }: { node: NodeNow; history: NodeHistory }) {
  const { heartbeat: beat, online } = node;
  const used = diskUsed(node);
  const whole = (value: number) => count(Math.round(value));
  return (
    <section class={agedClass("node-graphs", nodes)} aria-label="The last minutes">
      <Plot wide name="Speed" now={speed(beat.bytes_per_s ?? 0)} told={limitTold(node)} of={history.speed} format={speed} least={1024} binary online={online} />
      <Plot name="Running" now={`${Math.min(beat.running, beat.slots)} of ${beat.slots}`} told={beat.waiting ? `${count(beat.waiting)} wait there` : "slots in use"} of={history.running} format={whole} least={beat.slots} online={online} />
      <Plot name="CPU" now={`${Math.round(beat.cpu_percent ?? 0)} %`} told="of its machine" of={history.cpu} format={(value) => `${Math.round(value)} %`} least={10} online={online} />
      <Plot name="Memory" now={bytes(beat.memory_bytes ?? 0)} told="of the node and its aria2" of={history.memory} format={bytes} least={1 << 20} binary online={online} />
      <Plot
        name="Disk free"
        now={bytes(beat.disk_free_bytes ?? 0)}
        told={used === null ? "" : `${Math.round(used)} % of ${bytes(beat.disk_capacity_bytes ?? 0)} used`}
        of={history.disk}
        format={bytes}
        least={1 << 20}
        binary
        online={online}
      />
    </section>
  );
}

function limitTold({ heartbeat: beat }: NodeNow): string {
  const least = Math.min(beat.limit_bytes_per_s ?? Infinity, beat.own_limit_bytes_per_s ?? Infinity);
  return least < Infinity ? `at most ${speed(least)}` : "no limit";
}

/** As far back as anything is known, within the most and the least that can be read. */
function windowOf({ times }: Samples): number {
  const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
  return Math.min(WINDOW_S, Math.max(WINDOW_LEAST_S, span));
}

interface PlotProps {
  name: string;
  now: string;
  told: string;
  of: Samples;
  format: (value: number) => string;
  least: number;
  binary?: boolean;
  wide?: boolean;
  online: boolean;
}

function Plot({ name, now: figure, told, of, format, least, binary, wide, online }: PlotProps) {
  return (
    <Card class={wide ? "plot wide" : "plot"}>
      <p class="plot-head">
        <span class="quiet">{name}</span>
        <strong class="number">
          <Live of={nodes}>{online ? figure : "—"}</Live>
        </strong>
        <small class="quieter number">{told}</small>
      </p>
      <Graph times={of.times} values={of.values} window={windowOf(of)} label={name} format={format} least={least} binary={binary} height={wide ? 170 : 112} />
    </Card>
  );
}

function Facts({ node }: { node: NodeNow }) {
  const { heartbeat: beat, wishes } = node;
  const low = beat.disk_low_bytes ?? 0;
  const used = percent((beat.disk_capacity_bytes ?? 0) - (beat.disk_free_bytes ?? 0), beat.disk_capacity_bytes ?? 0);
  return (
    <Card title="Details" class={agedClass("", nodes)}>
      <dl class="node-facts">
        <Fact name="Slots">
          {count(beat.slots)}
          {beat.own_slots != null && <Own>{count(beat.own_slots)}</Own>}
        </Fact>
        <Fact name="Tags">
          {beat.tags?.length ? <Tags tags={beat.tags} /> : "none"}
          {beat.own_tags != null && <Own>{beat.own_tags.join(", ") || "none"}</Own>}
        </Fact>
        <Fact name="Takes">{beat.capabilities?.length ? beat.capabilities.join(", ") : "everything"}</Fact>
        <Fact name="Its line">{beat.bandwidth ? speed(beat.bandwidth) : "not told (node.bandwidth)"}</Fact>
        <Fact name="Download limit">
          {wishes.download_limit ? speed(wishes.download_limit) : "none of its own"}
          {beat.limit_bytes_per_s != null && `; its share of the cluster’s: ${speed(beat.limit_bytes_per_s)}`}
        </Fact>
        <Fact name="Upload limit">{wishes.upload_limit ? speed(wishes.upload_limit) : "none"}</Fact>
        <Fact name="Disk">
          {bytes(beat.disk_free_bytes ?? 0)} free
          {beat.disk_capacity_bytes ? ` of ${bytes(beat.disk_capacity_bytes)} (${Math.round(used)} % used)` : ""}
          {low > 0 && `; kept free: ${bytes(low)}`}
        </Fact>
        <Fact name="Promised">
          {bytes(beat.disk_promised_bytes ?? 0)} to what it holds
          {beat.partial_bytes ? `; ${bytes(beat.partial_bytes)} in partial files of others` : ""}
        </Fact>
        <Fact name="This process">
          <CopyText text={beat.instance} what="the instance" />
        </Fact>
        <Fact name="Heard">
          <span class="number">{nodes.isOld.value ? sinceTold(nodes) : node.heard_ago_s < 10 ? "just now" : `${roughly(node.heard_ago_s)} ago`}</span>
        </Fact>
      </dl>
    </Card>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt class="quieter">{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What an operator set outweighs the node’s own settings. */
function Own({ children }: { children: ComponentChildren }) {
  return <small class="quieter"> set here; its own: {children}</small>;
}

function NotHeard({ node }: { node: UnheardNode }) {
  const undo = () => doing(calls.uncordon(node.node), `What was decided about ${node.node} is forgotten`).then(() => nodes.refresh());
  return (
    <>
      <PageHead title={<span class="node-title">{node.node}</span>} sub={<NodeState standing={node.standing} />} />
      <Card>
        <Empty icon="nodes" title="This node was not heard">
          <p>
            Something is decided about it all the same{node.wishes.reason && ` (“${node.wishes.reason}”)`}
            {node.assigned > 0 && `, and ${plural(node.assigned, "task")} stand there: they go to others unless it comes`}. It holds as soon as it is there:
          </p>
          <Command text={`downdraft node --id ${node.node}`} />
          {may("admin") && node.wishes.cordoned !== false && (
            <Button small onClick={() => void undo()}>
              Open it
            </Button>
          )}
        </Empty>
      </Card>
    </>
  );
}

function Unknown({ id }: { id: string }) {
  return (
    <>
      <PageHead title={<span class="node-title">{id}</span>} />
      <Card>
        <Empty icon="search" title="There is no such node">
          <p>None of that name was heard. Start it on its machine:</p>
          <Command text={`downdraft node --id ${id}`} />
        </Empty>
      </Card>
    </>
  );
}
