/** The page: the way in, or the shell with the page that the address names. */
import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { Problem } from "./api/client";
import { Button } from "./parts/Button";
import { Empty, Failure, Skeleton } from "./parts/Empty";
import { PLACES, Shell } from "./parts/Shell";
import { Toasts } from "./parts/Toasts";
import { Overview } from "./pages/overview/Overview";
import { SignIn } from "./pages/SignIn";
import { isSignedIn, may, me, recall } from "./store/session";
import { go, route } from "./store/route";
import { resync } from "./store/live";

type Page = ComponentType<{ id: string }>;

/** Loaded when they are looked at first: `#/tasks` is the list, `#/tasks/<id>` one of them. */
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

export function App() {
  return (
    <>
      {isSignedIn.value ? <SignedIn /> : <SignIn />}
      <Toasts />
    </>
  );
}

function SignedIn() {
  const problem = useSignal<Problem | null>(null);
  const again = resync.value;
  useEffect(() => {
    if (me.peek()) return;
    problem.value = null;
    recall().catch((error: unknown) => {
      problem.value = error instanceof Problem ? error : new Problem(0, String(error));
    });
  }, [again]);
  return (
    <Shell>
      {me.value ? <Current /> : problem.value ? <Failure problem={problem.value} retry={() => (resync.value += 1)} /> : <Skeleton lines={6} />}
    </Shell>
  );
}

function Current() {
  const { page, id } = route.value;
  const name = id && ONE_OF[page] ? ONE_OF[page] : page;
  const place = PLACES.find((each) => each.page === page);
  useEffect(() => {
    document.title = place ? `${place.name} · Downdraft` : "Downdraft";
  }, [place]);
  if (place?.scope && !may(place.scope)) return <NotAllowed />;
  if (name === "overview") return <Overview />;
  const load = PAGES[name];
  return load ? <Loaded key={name} name={name} load={load} id={id} /> : <Nowhere />;
}

function Loaded({ name, load, id }: { name: string; load: () => Promise<Page>; id: string }) {
  const problem = useSignal<Problem | null>(null);
  const tries = useSignal(0);
  useEffect(() => {
    if (loaded.has(name)) return;
    problem.value = null;
    load().then(
      (found) => {
        loaded.set(name, found);
        tries.value += 1;
      },
      () => {
        problem.value = new Problem(0, "This part of the page could not be loaded.");
      },
    );
  }, [name, tries.value]);
  const Found = loaded.get(name);
  if (Found) return <Found key={id} id={id} />;
  // The gateway may have been replaced by another version: its page has other files.
  return problem.value ? <Failure problem={problem.value} retry={() => location.reload()} /> : <Skeleton lines={6} />;
}

function NotAllowed() {
  return (
    <Empty icon="lock" title="Your key may not do that">
      <p>This page is for administrators. Sign in with a key of the scope “admin”.</p>
    </Empty>
  );
}

function Nowhere() {
  return (
    <Empty icon="search" title="There is no such page">
      <Button onClick={() => go("overview")}>To the overview</Button>
    </Empty>
  );
}
