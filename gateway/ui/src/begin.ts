/** What the first view needs is asked for before anything is drawn: it is under way meanwhile. */
import { load } from "./pages";
import { nodes, status } from "./store/cluster";
import { route } from "./store/route";
import { queryOf } from "./pages/tasks/filters";
import { isSignedIn, recall } from "./store/session";
import { beginEarly } from "./store/tasklist";

export function begin(): void {
  if (!isSignedIn.peek()) return;
  const { page, id, query } = route.peek();
  recall().catch(() => {}); // whoever draws the page asks again, and tells
  void status.refresh();
  if (page === "overview" || page === "nodes") void nodes.refresh();
  if (page === "tasks" && !id) beginEarly(query.toString(), queryOf(query));
  load(page, id)?.catch(() => {});
}
