/** What is wrong with nodes, and what to do. Pure. */
import type { NodeNow, NodesNow } from "../../api/types";
import { bytes, roughly, sentence } from "../../parts/format";
import { nodeStanding } from "../../parts/State";
import { href } from "../../store/route";
import type { Matter } from "./attention";

export function ofNodes({ nodes }: NodesNow): Matter[] {
  const found = nodes.flatMap((node) => ofNode(node) ?? []);
  return nodes.some((node) => node.online) ? found : [noneOnline(nodes.length), ...found];
}

function noneOnline(known: number): Matter {
  return {
    id: "no-nodes",
    bad: true,
    title: known ? "No node is online" : "There is no node yet",
    told: "Tasks wait until one is there. Start one on a machine that is to download:",
    command: "downdraft node",
  };
}

/** What matters most about it. */
function ofNode(node: NodeNow): Matter | null {
  const { node: name, heartbeat: beat } = node;
  const link = { to: href("nodes", name), name: "Look at the node" };
  const standing = nodeStanding(node);
  if (standing === "offline") {
    const told = `Not heard for ${roughly(node.heard_ago_s)}. What it held goes to others. Is its machine up, and can it reach the broker? Ask there:`;
    return { id: `offline-${name}`, bad: true, title: `Node ${name} is offline`, told, command: "downdraft doctor", link };
  }
  if (beat.trouble) {
    const title = `Node ${name} takes no tasks`;
    if (isFull(beat.trouble)) return { id: `full-${name}`, bad: true, title, told: `${sentence(beat.trouble)} ${MAKE_ROOM}`, command: REMOVE, link: largestOf(name) };
    return { id: `trouble-${name}`, bad: true, title, told: `${sentence(beat.trouble)} It takes tasks again by itself once that is mended. Ask on its machine:`, command: "downdraft doctor", link };
  }
  if (standing === "set aside") {
    const told = `${sentence(node.set_aside)} It is tried again after a while; once the cause is mended, give it tasks at once:`;
    return { id: `aside-${name}`, bad: false, title: `Node ${name} is set aside`, told, command: `downdraft uncordon ${name}`, link };
  }
  if (!isShortOfRoom(beat)) return null;
  const told = `${bytes(beat.disk_free_bytes ?? 0)} are free, of which ${bytes(beat.disk_promised_bytes ?? 0)} are promised. ${MAKE_ROOM}`;
  return { id: `disk-${name}`, bad: false, title: `The disk of node ${name} is nearly full`, told, command: REMOVE, link: largestOf(name) };
}

const MAKE_ROOM = "Give it more room, or delete what nobody needs there:";
const REMOVE = "downdraft rm TASK --files";

const largestOf = (node: string) => ({
  to: href("tasks", "", new URLSearchParams({ state: "completed", node, sort: "-size" })),
  name: "Show its largest files",
});

/** As nodes say it. */
const isFull = (trouble: string): boolean => trouble.startsWith("the disk is full") || trouble.startsWith("what node.disk allows");

export function isShortOfRoom(beat: { disk_free_bytes?: number; disk_promised_bytes?: number; disk_low_bytes?: number | null }): boolean {
  const low = beat.disk_low_bytes ?? 0;
  return low > 0 && (beat.disk_free_bytes ?? 0) - (beat.disk_promised_bytes ?? 0) < low * 1.5;
}
