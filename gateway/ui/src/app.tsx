/** The page: the way in, or the shell with the page that the address names. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Problem } from "./api/client";
import { AddButton } from "./parts/AddDialog";
import { AskToLeave } from "./parts/AskToLeave";
import { Button } from "./parts/Button";
import { PageHead } from "./parts/Card";
import { Empty, Failure, Skeleton } from "./parts/Empty";
import { PLACES, Shell } from "./parts/Shell";
import { Toasts } from "./parts/Toasts";
import { Overview } from "./pages/overview/Overview";
import { SignIn } from "./pages/SignIn";
import { known, load, nameOf } from "./pages";
import { isSignedIn, may, me, recall, seesNothing } from "./store/session";
import { go, route } from "./store/route";
import { resync } from "./store/live";

export function App() {
  return (
    <>
      {isSignedIn.value ? <SignedIn /> : <SignIn />}
      <AskToLeave />
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
      {me.value || !problem.value ? <Current /> : <Failure problem={problem.value} retry={() => (resync.value += 1)} />}
    </Shell>
  );
}

/** Pages that all may see are drawn while it is not known yet what the key may do: they offer more then. */
function Current() {
  const { page, id } = route.value;
  const place = PLACES.find((each) => each.page === page);
  useEffect(() => {
    document.title = place ? `${place.name} · Downdraft` : "Downdraft";
  }, [place]);
  if (seesNothing.value) return <OnlyAdds />;
  if (place?.scope && !me.value) return <Skeleton lines={6} />;
  if (place?.scope && !may(place.scope)) return <NotAllowed />;
  if (page === "overview") return <Overview />;
  return <Loaded key={nameOf(page, id)} page={page} id={id} />;
}

function Loaded({ page, id }: { page: string; id: string }) {
  const problem = useSignal<Problem | null>(null);
  const tries = useSignal(0);
  const isNowhere = useSignal(false);
  const name = nameOf(page, id);
  const Found = known(name);
  const gap = resync.value;
  const seen = useRef(gap);
  useEffect(() => {
    if (Found) return;
    if (known(name)) {
      tries.value += 1; // it came between the drawing and now
      return;
    }
    problem.value = null;
    const loading = load(page, id);
    isNowhere.value = !loading;
    loading?.then(
      () => (tries.value += 1),
      () => (problem.value = new Problem(0, "This part of the page could not be loaded.")),
    );
  }, [name, tries.value]);
  useEffect(() => {
    // The gateway was away when this part was to come: browsers remember that it did not.
    if (problem.peek() && seen.current !== gap) location.reload();
  }, [gap]);
  if (Found) return <Found key={id} id={id} />;
  if (isNowhere.value) return <Nowhere />;
  // The gateway may have been replaced by another version: its page has other files.
  return problem.value ? <Failure problem={problem.value} retry={() => location.reload()} /> : <Skeleton lines={6} />;
}

function OnlyAdds() {
  return (
    <>
      <PageHead title="Add downloads" sub="Your key may add downloads, and see nothing of the cluster.">
        <AddButton />
      </PageHead>
      <p class="quiet">To see how far they are, sign in with a key that may look, too: of the scopes “read” and “submit”.</p>
    </>
  );
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
