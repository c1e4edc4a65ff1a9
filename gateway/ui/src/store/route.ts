/** Where one is: `#/tasks/0123…?state=active`. Filters live in it, so that every view has an address. */
import { signal } from "@preact/signals";

export interface Route {
  page: string;
  id: string;
  query: URLSearchParams;
}

export const route = signal<Route>(read());

addEventListener("hashchange", () => {
  route.value = read();
});

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/").map(decoded);
  return { page: page || "overview", id: rest.join("/"), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(page: string, id = "", query: URLSearchParams | string = ""): string {
  const asked = query.toString();
  return `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${asked ? `?${asked}` : ""}`;
}

export function go(page: string, id = ""): void {
  location.hash = href(page, id);
}

/** Change the query of this very view; `replace`: without a step to go back to. */
export function ask(change: (query: URLSearchParams) => void, replace = true): void {
  const { page, id, query } = route.peek();
  const changed = new URLSearchParams(query);
  change(changed);
  if (changed.toString() === query.toString()) return;
  const address = href(page, id, changed);
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  route.value = read();
}
