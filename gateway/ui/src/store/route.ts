/** Where one is: `#/tasks/0123…?state=active`. Filters live in it, so that every view has an address. */
import { signal } from "@preact/signals";
import { mayLeave } from "./unsaved";

export interface Route {
  page: string;
  id: string;
  query: URLSearchParams;
}

export const route = signal<Route>(read(location.hash));

addEventListener("hashchange", () => {
  const here = route.peek();
  // Whoever is asked first stays where they are meanwhile, in the address, too.
  if (isKept(location.hash)) history.replaceState(null, "", href(here.page, here.id, here.query));
  else route.value = read(location.hash);
});

/** A link is not even followed then: the way back stays as it is. */
addEventListener("click", (event) => {
  const to = event.target instanceof Element && event.target.closest("a[href^='#/']")?.getAttribute("href");
  const isHere = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (to && isHere && isKept(to)) event.preventDefault();
});

/** Whether one has to stay, for now, instead of going to another page. */
function isKept(hash: string): boolean {
  const [here, next] = [route.peek(), read(hash)];
  return (next.page !== here.page || next.id !== here.id) && !mayLeave(hash);
}

function read(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
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
  route.value = read(location.hash);
}
