/** What somebody should look at, with the remedy. Pure. */
import type { NodesNow, Status, Task } from "../../api/types";
import { REMEDIES } from "../../parts/missing";
import { ofNodes } from "./nodeMatters";
import { ofCooling, ofOrigins, ofRefused } from "./originMatters";

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
/** A refusal is news for so long. */
const LATELY_S = 60;

/** `nodes`: as they are; null where nobody knows. Without a broker nothing is known but what failed before. */
export function matters(status: Status, nodes: NodesNow | null, failed: Task[]): Matter[] {
  const ofTasks = [...ofOrigins(failed), ...ofRefused(failed)];
  const found = status.broker_away
    ? [BROKER_AWAY, ...ofTasks]
    : [...ofLeader(status), ...(nodes ? ofNodes(nodes) : []), ...ofStores(status), ...ofTasks, ...ofCooling(status.cooling)];
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

function ofStores(status: Status): Matter[] {
  return status.stores.flatMap((store) => {
    const { stream, refused_ago_s } = store;
    const share = store.max_bytes > 0 ? store.used_bytes / store.max_bytes : 0;
    const isRefusing = refused_ago_s != null && refused_ago_s < LATELY_S;
    if (share < NEARLY_FULL && !isRefusing) return [];
    const matter: Matter = {
      id: `store-${stream}`,
      bad: isRefusing,
      title: isRefusing ? `The broker refuses what is written to ${stream}` : `The stream ${stream} is ${Math.round(share * 100)} % full`,
      told: isRefusing ? "Its store is full: what is refused is tried again. See what fills it and how to give it more room:" : "When it is full, the broker refuses what comes. See what fills it and how to give it more room:",
      command: "downdraft doctor",
    };
    return [matter];
  });
}
