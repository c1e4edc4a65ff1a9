/** What somebody should look at, with the remedy. Pure. */
import type { NodesNow, Status, Task } from "../../api/types";
import { REMEDIES } from "../../parts/missing";
import { bytes, plural, roughly, sentence, shortened } from "../../parts/format";
import { nodeStanding } from "../../parts/State";
import { href } from "../../store/route";

export interface Matter {
  id: string;
  bad: boolean;
  title: string;
  /** Why, and what to do. */
  told: string;
  command?: string;
  link?: { to: string; name: string };
}

/** A stream so full is about to refuse. */
const NEARLY_FULL = 0.8;
/** So long a disk of a node may be read from. */
const FAILED_SAMPLE = 5;

/** `nodes`: as they are; null where nobody knows. Without a broker nothing is known but what failed before. */
export function matters(status: Status, nodes: NodesNow | null, failed: Task[]): Matter[] {
  const found = status.broker_away
    ? [BROKER_AWAY, ...ofOrigins(failed)]
    : [...ofLeader(status), ...ofNodes(nodes), ...ofStores(status), ...ofOrigins(failed), ...ofCooling(status)];
  return found.sort((one, other) => Number(other.bad) - Number(one.bad));
}

const BROKER_AWAY: Matter = {
  id: "broker",
  bad: true,
  title: "The broker is away",
  told: `What runs goes on and is reported later; nothing else happens until it is back, and figures are those of before. ${REMEDIES.broker.told}`,
  command: REMEDIES.broker.command,
};

function ofLeader(status: Status): Matter[] {
  if (status.leader) return [];
  return [
    {
      id: "leader",
      bad: true,
      title: "No coordinator leads",
      told: `What runs goes on; nothing new is placed until one is there. ${REMEDIES.coordinator.told}`,
      command: REMEDIES.coordinator.command,
    },
  ];
}

function ofNodes(reply: NodesNow | null): Matter[] {
  if (!reply) return [];
  const found: Matter[] = [];
  if (!reply.nodes.some((node) => node.online)) {
    found.push({
      id: "no-nodes",
      bad: true,
      title: reply.nodes.length ? "No node is online" : "There is no node yet",
      told: "Tasks wait until one is there. Start one on a machine that is to download:",
      command: "downdraft node",
    });
  }
  for (const node of reply.nodes) {
    const { node: name, heartbeat: beat } = node;
    const link = { to: href("nodes", name), name: "Look at the node" };
    const standing = nodeStanding(node);
    if (standing === "offline") {
      const told = `Not heard for ${roughly(node.heard_ago_s)}. What it held goes to others. Is its machine up, and can it reach the broker?`;
      found.push({ id: `offline-${name}`, bad: true, title: `Node ${name} is offline`, told, link });
    } else if (beat.trouble) {
      found.push({ id: `trouble-${name}`, bad: true, title: `Node ${name} takes no tasks`, told: sentence(beat.trouble), link });
    } else if (standing === "set aside") {
      found.push({ id: `aside-${name}`, bad: false, title: `Node ${name} is set aside`, told: sentence(node.set_aside), link });
    } else if (isShortOfRoom(beat)) {
      const told = `${bytes(beat.disk_free_bytes ?? 0)} are free, of which ${bytes(beat.disk_promised_bytes ?? 0)} are promised. Delete files there, or add room.`;
      found.push({ id: `disk-${name}`, bad: false, title: `The disk of node ${name} is nearly full`, told, link });
    }
  }
  return found;
}

export function isShortOfRoom(beat: { disk_free_bytes?: number; disk_promised_bytes?: number; disk_low_bytes?: number | null }): boolean {
  const low = beat.disk_low_bytes ?? 0;
  return low > 0 && (beat.disk_free_bytes ?? 0) - (beat.disk_promised_bytes ?? 0) < low * 1.5;
}

function ofStores(status: Status): Matter[] {
  return status.stores
    .filter((store) => store.max_bytes > 0 && store.used_bytes / store.max_bytes > NEARLY_FULL)
    .map((store) => ({
      id: `store-${store.stream}`,
      bad: store.refused_ago_s != null && store.refused_ago_s < 60,
      title: `The stream ${store.stream} is ${Math.round((store.used_bytes / store.max_bytes) * 100)} % full`,
      told: "When it is full, the broker refuses what comes. See what fills it and how to give it more room:",
      command: "downdraft doctor",
    }));
}

function ofOrigins(failed: Task[]): Matter[] {
  const byOrigin = new Map<string, Task[]>();
  for (const task of failed) {
    const origin = originOf(task.uris[0]);
    if (origin) byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), task]);
  }
  return [...byOrigin]
    .sort(([, one], [, other]) => other.length - one.length)
    .slice(0, FAILED_SAMPLE)
    .map(([origin, tasks]) => ({
      id: `origin-${origin}`,
      bad: tasks.length >= 5,
      title: `${plural(tasks.length, "download")} from ${origin} failed in the last hour`,
      told: `The latest: ${shortened(ended(tasks[0]?.reason || "no reason was told"))}`,
      link: { to: href("tasks", "", new URLSearchParams({ state: "failed", origin })), name: "Look at them" },
    }));
}

function ofCooling(status: Status): Matter[] {
  return Object.entries(status.cooling).map(([origin, seconds]) => ({
    id: `cooling-${origin}`,
    bad: false,
    title: `${origin} asks to be left alone`,
    told: `Nothing is begun from there for another ${roughly(seconds)}. If it happens often, let fewer downloads run from it at once.`,
    link: { to: href("policy"), name: "Limit it in the policy" },
  }));
}

const ended = (reason: string): string => (/[.!?…]$/.test(reason) ? reason : `${reason}.`);

export function originOf(uri = ""): string {
  try {
    return new URL(uri).host;
  } catch {
    return "";
  }
}
