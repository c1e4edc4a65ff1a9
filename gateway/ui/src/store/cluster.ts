/** The cluster at a glance, and its nodes: asked for once, whoever shows it. */
import { effect, signal } from "@preact/signals";
import { nodes as askNodes, status as askStatus } from "../api/calls";
import type { NodeNow, NodesNow } from "../api/types";
import { key } from "./key";
import { polled } from "./polled";

const STATUS_MS = 2000;
const NODES_MS = 3000;
/** The length of the speed graph. */
export const WINDOW_S = 600;
const SAMPLES_MAX = 400;

export interface Samples {
  times: number[];
  values: (number | null)[];
}

const NONE: Samples = { times: [], values: [] };

/** Bytes a second over the last ten minutes, as far as somebody has heard them. */
export const speeds = signal<Samples>(NONE);

export const status = polled(askStatus, STATUS_MS, (found) => {
  speeds.value = withSample(speeds.peek(), found.bytes_per_s);
});

/** What each node said since this page looks, by node. */
const histories = new Map<string, NodeHistory>();

export interface NodeHistory {
  speed: Samples;
  running: Samples;
  cpu: Samples;
  memory: Samples;
  /** Bytes that are free. */
  disk: Samples;
}

export const nodes = polled(askNodes, NODES_MS, (found: NodesNow) => {
  for (const node of found.nodes) histories.set(node.node, withBeat(historyOf(node.node), node));
});

export function historyOf(node: string): NodeHistory {
  return histories.get(node) ?? { speed: NONE, running: NONE, cpu: NONE, memory: NONE, disk: NONE };
}

function withBeat(past: NodeHistory, { online, heartbeat }: NodeNow): NodeHistory {
  return {
    speed: withSample(past.speed, online ? (heartbeat.bytes_per_s ?? 0) : null),
    running: withSample(past.running, online ? heartbeat.running : null),
    cpu: withSample(past.cpu, online ? (heartbeat.cpu_percent ?? 0) : null),
    memory: withSample(past.memory, online ? (heartbeat.memory_bytes ?? 0) : null),
    disk: withSample(past.disk, online ? (heartbeat.disk_free_bytes ?? 0) : null),
  };
}

/** Where nobody looked for a while, the line has a gap. */
function withSample({ times, values }: Samples, value: number | null): Samples {
  const now = Date.now() / 1000;
  const last = times.at(-1);
  const hasGap = last !== undefined && now - last > 15;
  const first = Math.max(0, times.findIndex((time) => time > now - WINDOW_S - 5), times.length - SAMPLES_MAX);
  return {
    times: [...times.slice(first), ...(hasGap ? [last + 1] : []), now],
    values: [...values.slice(first), ...(hasGap ? [null] : []), value],
  };
}

/** Another key sees another cluster. */
effect(() => {
  if (key.value) return;
  status.data.value = null;
  nodes.data.value = null;
  speeds.value = NONE;
  histories.clear();
});
