/** The cluster at a glance, and its nodes: asked for once, whoever shows it. */
import { computed, effect, signal } from "@preact/signals";
import * as calls from "../api/calls";
import type { NodeNow, NodeSample, NodesNow, Status } from "../api/types";
import { key } from "./key";
import { isStale } from "./link";
import { polled, type Polled } from "./polled";

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

/** Bytes a second over the last ten minutes: what this page heard, and where it did not look what the gateway did. */
export const speeds = signal<Samples>(NONE);
let own: Samples = NONE;

export const status: Polled<Status> = polled(askStatus, STATUS_MS, {
  take: (found) => {
    own = withSample(own, found.broker_away ? null : found.bytes_per_s);
    speeds.value = filled(own, found.speeds, (each) => each.bytes_per_s);
  },
  isLive: (found) => !found.broker_away,
});

/** Without a broker a gateway hears of no node any more, and counts none: what it said before is what was. */
async function askStatus(): Promise<Status> {
  const found = await calls.status();
  const before = status.data.peek();
  return found.broker_away && before ? { ...before, broker_away: true } : found;
}

/** Nobody knows how fast anything is: the gateway is away, or the broker. */
export const isUnheard = computed(() => isStale.value || status.isOld.value);

/** The gateway tells one figure every ten seconds. */
const TOLD_EVERY_S = 10;

/** What this page heard itself, and where it did not look what the gateway tells. Pure, but for the time. */
function filled<Told extends { time: string }>({ times, values }: Samples, told: Told[], valueOf: (told: Told) => number): Samples {
  const now = Date.now() / 1000;
  const moments = told.map((each) => Date.parse(each.time) / 1000);
  const last = moments.at(-1) ?? now;
  // Its clock may be another than this machine's: the latest figure is not yet to come, nor long ago.
  const shift = last > now || last < now - 2 * TOLD_EVERY_S ? now - last - TOLD_EVERY_S / 2 : 0;
  const heard = times.flatMap((time, index) => (values[index] == null ? [] : [{ time, value: values[index] as number }]));
  const isHeard = (time: number) => heard.some((each) => Math.abs(each.time - time) < TOLD_EVERY_S * 0.6);
  const added = told
    .map((each, index) => ({ time: (moments[index] as number) + shift, value: valueOf(each) }))
    .filter(({ time }) => time > now - WINDOW_S - TOLD_EVERY_S && !isHeard(time));
  const all = [...heard, ...added].sort((one, other) => one.time - other.time);
  const whole: Samples = { times: [], values: [] };
  let before = all[0]?.time ?? 0;
  for (const { time, value } of all) {
    if (time - before > 2.5 * TOLD_EVERY_S) {
      whole.times.push(before + 1);
      whole.values.push(null);
    }
    whole.times.push(time);
    whole.values.push(value);
    before = time;
  }
  return whole;
}

/** What each node said since this page looks, and what the gateway has heard of one before; by node. */
const histories = new Map<string, NodeHistory>();
const heardBefore = signal<ReadonlyMap<string, NodeSample[]>>(new Map());

export interface NodeHistory {
  speed: Samples;
  running: Samples;
  cpu: Samples;
  memory: Samples;
  /** Bytes that are free. */
  disk: Samples;
}

export const nodes = polled(calls.nodes, NODES_MS, {
  take: (found: NodesNow) => {
    for (const node of found.nodes) histories.set(node.node, withBeat(histories.get(node.node) ?? NOTHING, node));
  },
});

const NOTHING: NodeHistory = { speed: NONE, running: NONE, cpu: NONE, memory: NONE, disk: NONE };

export function historyOf(node: string): NodeHistory {
  const own = histories.get(node) ?? NOTHING;
  const told = heardBefore.value.get(node);
  if (!told) return own;
  return {
    speed: filled(own.speed, told, (each) => each.bytes_per_s),
    running: filled(own.running, told, (each) => each.running),
    cpu: filled(own.cpu, told, (each) => each.cpu_percent),
    memory: filled(own.memory, told, (each) => each.memory_bytes),
    disk: filled(own.disk, told, (each) => each.disk_free_bytes),
  };
}

/** Ask for what the gateway heard of a node before this page looked. Throws Problem. */
export async function askBefore(node: string): Promise<void> {
  const { samples } = await calls.nodeHistory(node);
  heardBefore.value = new Map([[node, samples]]);
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
  own = NONE;
  speeds.value = NONE;
  histories.clear();
  heardBefore.value = new Map();
});
