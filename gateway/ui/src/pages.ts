/** The pages by name. They are loaded when they are looked at first: `#/tasks` is the list, `#/tasks/<id>` one of them. */
import type { ComponentType } from "preact";

export type Page = ComponentType<{ id: string }>;

const PAGES: Record<string, () => Promise<Page>> = {
  tasks: async () => (await import("./pages/tasks/Tasks")).Tasks,
  task: async () => (await import("./pages/task/TaskPage")).TaskPage,
  nodes: async () => (await import("./pages/nodes/Nodes")).Nodes,
  node: async () => (await import("./pages/nodes/NodePage")).NodePage,
  policy: async () => (await import("./pages/policy/PolicyPage")).PolicyPage,
  events: async () => (await import("./pages/events/Events")).Events,
  keys: async () => (await import("./pages/keys/Keys")).Keys,
  webhooks: async () => (await import("./pages/webhooks/Webhooks")).Webhooks,
};
const ONE_OF: Record<string, string> = { tasks: "task", nodes: "node" };
const loaded = new Map<string, Page>();

export const nameOf = (page: string, id: string): string => (id && ONE_OF[page] ? ONE_OF[page] : page);
export const known = (name: string): Page | undefined => loaded.get(name);

/** None where there is no such page, or where it is part of the first view. */
export function load(page: string, id: string): Promise<Page> | null {
  const name = nameOf(page, id);
  return PAGES[name]?.().then((found) => (loaded.set(name, found), found)) ?? null;
}
