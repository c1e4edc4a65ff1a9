/** The filters of the list, as the address has them. Pure. */
import type { TaskFilter, TaskQuery, Standing } from "../../api/types";

export const SORTS: [string, string][] = [
  ["-time", "Newest first"],
  ["time", "Oldest first"],
  ["queue", "In line"],
  ["name", "Name"],
  ["-size", "Largest first"],
  ["-priority", "Highest priority"],
];

export interface Tab {
  name: string;
  states: Standing[];
}

export const TABS: Tab[] = [
  { name: "All", states: [] },
  { name: "Running", states: ["active"] },
  { name: "Waiting", states: ["queued", "assigned"] },
  { name: "Paused", states: ["paused"] },
  { name: "Completed", states: ["completed"] },
  { name: "Failed", states: ["failed", "rejected"] },
  { name: "Cancelled", states: ["cancelled"] },
];

/** Conditions that take several values, by their name in the address. */
export const CONDITIONS = { owner: "Owner", node: "Node", origin: "Origin", tag: "Tag", label: "Label" } as const;
export type Condition = keyof typeof CONDITIONS;
export const CONDITION_NAMES = Object.keys(CONDITIONS) as Condition[];

export function queryOf(asked: URLSearchParams): TaskQuery {
  const several = (name: string) => (asked.has(name) ? asked.getAll(name) : undefined);
  return {
    state: several("state"),
    owner: several("owner"),
    node: several("node"),
    origin: several("origin"),
    tag: several("tag"),
    label: several("label"),
    text: asked.get("text") ?? undefined,
    since: asked.get("since") ?? undefined,
    until: asked.get("until") ?? undefined,
    sort: (asked.get("sort") ?? "-time") as TaskQuery["sort"],
  };
}

/** The same conditions for what is done to many. */
export function filterOf(asked: URLSearchParams): TaskFilter {
  const { state, owner, node, origin, tag, label, text, since, until } = queryOf(asked);
  return {
    states: (state ?? []) as Standing[],
    owners: owner ?? [],
    nodes: node ?? [],
    origins: origin ?? [],
    tags: tag ?? [],
    labels: label ?? [],
    text: text ?? "",
    since: since ?? null,
    until: until ?? null,
  };
}

export function isFiltered(asked: URLSearchParams): boolean {
  return ["state", "text", "since", "until", ...CONDITION_NAMES].some((name) => asked.has(name));
}

export function tabOf(asked: URLSearchParams): Tab | undefined {
  const states = asked.getAll("state").sort().join();
  return TABS.find((tab) => [...tab.states].sort().join() === states);
}
