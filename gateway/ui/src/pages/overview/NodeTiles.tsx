/** Nodes as tiles: those in trouble first, then the busiest. */
import type { NodeNow } from "../../api/types";
import { Bar, Meter } from "../../parts/Bar";
import { Card } from "../../parts/Card";
import { Command } from "../../parts/Copy";
import { Empty, Skeleton } from "../../parts/Empty";
import { bytes, count, percent, plural, speed } from "../../parts/format";
import { Live, Since } from "../../parts/Live";
import { NodeState, nodeStanding } from "../../parts/State";
import { Tags } from "../../parts/Tags";
import { nodes } from "../../store/cluster";
import { href } from "../../store/route";

const MOST = 12;

export function NodeTiles() {
  const reply = nodes.data.value;
  if (!reply) return <Card title="Nodes">{nodes.problem.value ? <p class="quiet">{nodes.problem.value.message}</p> : <Skeleton />}</Card>;
  if (!reply.nodes.length) {
    return (
      <Card title="Nodes">
        <Empty icon="nodes" title="No node yet">
          <p>A node downloads for the cluster. Start one on any machine that reaches the broker:</p>
          <Command text="downdraft node --tag big" />
        </Empty>
      </Card>
    );
  }
  const busiest = [...reply.nodes].sort(byNeed).slice(0, MOST);
  const more = reply.nodes.length - MOST;
  return (
    <section class="node-tiles">
      <header class="section-head">
        <h2>Nodes</h2>
        <Since of={nodes} />
        <a href={href("nodes")}>{more > 0 ? `All ${count(reply.nodes.length)}` : "All nodes"}</a>
      </header>
      <ul>
        {busiest.sort(byWorry).map((node) => (
          <li key={node.node}>
            <Tile node={node} />
          </li>
        ))}
      </ul>
      {more > 0 && (
        <p class="quieter">
          {plural(more, "more node")}, all less busy: <a href={href("nodes")}>show them</a>
        </p>
      )}
    </section>
  );
}

const WORRY: Record<string, number> = { trouble: 0, offline: 1, "set aside": 2, draining: 3, online: 4, cordoned: 5, drained: 6 };

export function byNeed(one: NodeNow, other: NodeNow): number {
  return (
    worryOf(one) - worryOf(other) ||
    (other.heartbeat.bytes_per_s ?? 0) - (one.heartbeat.bytes_per_s ?? 0) ||
    byName(one, other)
  );
}

/** Those in trouble first; the others keep their places while their speeds change. */
export function byWorry(one: NodeNow, other: NodeNow): number {
  return worryOf(one) - worryOf(other) || byName(one, other);
}

const worryOf = (node: NodeNow): number => WORRY[nodeStanding(node)] ?? 7;
const byName = (one: NodeNow, other: NodeNow): number => one.node.localeCompare(other.node, "en", { numeric: true });

/** For a moment a node may hold one download more than slots: one ends while the next begins. */
export function slotsTold({ running, slots }: { running: number; slots: number }): string {
  return `${count(Math.min(running, slots))} of ${plural(slots, "slot")}`;
}

export function Tile({ node }: { node: NodeNow }) {
  const beat = node.heartbeat;
  const used = diskUsed(node);
  return (
    <a class={`tile${node.online ? "" : " off"}${nodes.isOld.value ? " old" : ""}`} href={href("nodes", node.node)}>
      <span class="tile-head">
        <strong class="clip" title={node.node}>
          {node.node}
        </strong>
        <NodeState standing={nodeStanding(node)} />
      </span>
      <span class="tile-main">
        <span class="tile-speed number">
          <Live of={nodes}>{node.online ? speed(beat.bytes_per_s ?? 0) : "—"}</Live>
        </span>
        <span class="quieter number">
          {slotsTold(beat)}
        </span>
      </span>
      <Bar value={percent(beat.running, beat.slots)} label={`Slots in use at ${node.node}`} />
      <span class="tile-meters">
        <Meter name="CPU" value={beat.cpu_percent ?? 0} told={`${Math.round(beat.cpu_percent ?? 0)} %`} />
        <span class="meter plain">
          <span class="quieter">Memory</span>
          <span class="number">{bytes(beat.memory_bytes ?? 0)}</span>
        </span>
        <Meter name="Disk" value={used ?? 0} told={`${bytes(beat.disk_free_bytes ?? 0)} free`} />
      </span>
      {beat.tags && beat.tags.length > 0 && <Tags tags={beat.tags} most={4} />}
    </a>
  );
}

/** Per cent of what its downloads may take up; null where it does not say. */
export function diskUsed(node: NodeNow): number | null {
  const { disk_capacity_bytes: capacity = 0, disk_free_bytes: free = 0 } = node.heartbeat;
  return capacity > 0 ? percent(Math.max(0, capacity - free), capacity) : null;
}
