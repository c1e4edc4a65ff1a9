/** What is wrong with a node, or decided about it, and what to do. Pure. */
import type { NodeNow } from "../../api/types";
import { bytes, duration, roughly, sentence, speed } from "../../parts/format";
import { nodeStanding } from "../../parts/State";
import { isShortOfRoom } from "../overview/nodeMatters";

export interface Advice {
  tone: "bad" | "warn" | "info";
  title: string;
  told: string;
  command?: string;
}

export function adviceOn(node: NodeNow): Advice[] {
  return [...ofSilence(node), ...ofTrouble(node), ...ofWishes(node), ...ofLimits(node)];
}

function ofSilence({ node, standing, heard_ago_s, online }: NodeNow): Advice[] {
  if (standing === "gone") {
    const told = `It said goodbye ${roughly(heard_ago_s)} ago. What it had not finished goes on elsewhere. Start it again on its machine:`;
    return [{ tone: "info", title: "It was stopped", told, command: `downdraft node --id ${node}` }];
  }
  if (online) return [];
  const told = `Not heard for ${roughly(heard_ago_s)}; what it held goes to others. Is its machine up, and can it reach the broker? Ask there:`;
  return [{ tone: "bad", title: "It is offline", told, command: "downdraft doctor" }];
}

function ofTrouble(node: NodeNow): Advice[] {
  const { heartbeat: beat } = node;
  const found: Advice[] = [];
  if (beat.trouble) found.push({ tone: "bad", title: "It takes no tasks", told: sentence(beat.trouble) });
  if (node.set_aside) {
    const still = node.set_aside_s > 0 ? `For another ${duration(node.set_aside_s)}.` : "It is being tried with one task at a time.";
    const told = `${sentence(node.set_aside)} ${still} Mend the cause, then open it again: it is given tasks at once.`;
    found.push({ tone: "warn", title: "It is set aside", told });
  }
  if (node.online && isShortOfRoom(beat)) {
    const told = `${bytes(beat.disk_free_bytes ?? 0)} are free, of which ${bytes(beat.disk_promised_bytes ?? 0)} are promised to what it holds. Delete files there, or give it more room.`;
    found.push({ tone: "warn", title: "Its disk is nearly full", told });
  }
  if (beat.is_alone) {
    const told = "It was without the broker for so long that it keeps to less than its share, until its share is written anew: a moment after it is back.";
    found.push({ tone: "warn", title: "It was alone", told });
  }
  return found;
}

function ofWishes(node: NodeNow): Advice[] {
  const { wishes, assigned } = node;
  const why = wishes.reason ? ` The reason: ${wishes.reason}.` : "";
  const standing = nodeStanding(node);
  if (standing === "drained") return [{ tone: "info", title: "It is empty", told: `Nothing is left there: it can be stopped, or opened again.${why}` }];
  if (wishes.draining) {
    const left = assigned ? `${assigned === 1 ? "One task is" : `${assigned} tasks are`} still there.` : "";
    const how = wishes.now ? "What ran was given back and goes on elsewhere." : "What runs is finished; what waits goes elsewhere.";
    return [{ tone: "warn", title: "It is being emptied", told: `Nothing new goes there. ${how} ${left}${why}` }];
  }
  if (wishes.paused) return [{ tone: "warn", title: "It is paused", told: `Nothing runs there. What it holds stays, and goes on from where it was.${why}` }];
  if (wishes.cordoned) return [{ tone: "warn", title: "It is cordoned", told: `It is given nothing new; what it holds goes on.${why}` }];
  return [];
}

function ofLimits({ online, heartbeat: beat }: NodeNow): Advice[] {
  const back = beat.held_back ?? [];
  if (!online || !back.length) return [];
  const all = back.includes("*") && beat.limit_bytes_per_s;
  const told = all
    ? `It downloads as fast as its share of the cluster’s bandwidth allows: ${speed(beat.limit_bytes_per_s ?? 0)}.`
    : `It downloads as fast as the policy allows from ${back.filter((each) => each !== "*").join(", ") || "there"}.`;
  return [{ tone: "info", title: "The policy limits it", told }];
}
