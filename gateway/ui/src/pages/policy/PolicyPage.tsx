/** What operators decide while the cluster runs: read by all, edited by them, saved whole. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import * as calls from "../../api/calls";
import { Problem } from "../../api/client";
import type { PolicyNow } from "../../api/types";
import { Button } from "../../parts/Button";
import { PageHead } from "../../parts/Card";
import { Skeleton } from "../../parts/Empty";
import { FailedPage } from "../../parts/FailedPage";
import { plural } from "../../parts/format";
import { usePolled } from "../../store/polled";
import { may } from "../../store/session";
import { toast } from "../../store/toasts";
import { useUnsaved } from "../../store/unsaved";
import { changes, draftOf, merged, policyOf, repeated, type Change, type Draft, type Values } from "./draft";
import "./policy.css";
import { Bandwidth, Options, Origins, Owners, Placing } from "./Sections";

/** Somebody else may change it meanwhile. */
const EVERY_MS = 5000;
const CONFLICT = 412;

export function PolicyPage(_: { id: string }) {
  const found = usePolled(calls.policy, EVERY_MS);
  const now = found.data.value;
  if (!now) return found.problem.value ? <FailedPage title="Policy" problem={found.problem.value} retry={() => void found.refresh()} /> : <Skeleton lines={10} />;
  return <Editor now={now} refresh={found.refresh} />;
}

function Editor({ now, refresh }: { now: PolicyNow; refresh: () => Promise<void> }) {
  const mayEdit = may("admin");
  /** What the draft was made from. */
  const base = useSignal(now);
  const draft = useSignal(draftOf(now.policy));
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const mine = policyOf(draft.value);
  const before = policyOf(draftOf(base.value.policy));
  const changed = changes(before, mine);
  const isOther = now.revision !== base.value.revision;

  const take = (other: PolicyNow, values: Values = other.policy) => {
    base.value = other;
    draft.value = draftOf(values);
    problem.value = null;
  };
  useEffect(() => {
    // Where nothing is being edited, what another one set is shown at once.
    if (isOther && !changed.length) take(now);
  }, [now.revision]);
  useUnsaved(mayEdit && changed.length > 0);

  const save = async () => {
    const twice = repeated(draft.value.owners) || repeated(draft.value.origins) || repeated(draft.value.options);
    if (twice) {
      problem.value = new Problem(422, `“${twice}” stands there twice: write both as one.`);
      return;
    }
    busy.value = true;
    try {
      take(await calls.putPolicy(mine, base.value.revision));
      toast("The policy is set: it holds from now on", "good");
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem(0, String(error));
      if (problem.value.status !== CONFLICT) void showFirst();
    }
    busy.value = false;
    await refresh();
  };

  const set = (change: Partial<Draft>) => {
    draft.value = { ...draft.peek(), ...change };
    if (problem.peek()?.status !== CONFLICT) problem.value = null;
  };
  const at = problem.value?.field ?? "";
  const problemAt = (where: string): string => (at && at === where ? (problem.value?.message ?? "") : "");
  const section = { draft: draft.value, set, problemAt, mayEdit };
  return (
    <>
      <PageHead title="Policy" sub={mayEdit ? "One for the whole cluster. Each change holds at once, and whatever restarts." : "You may look at it; operators change it."} />
      {now.problem && (
        <p class="notice bad policy-notice" role="alert">
          {now.is_unreadable ? "What was set can’t be read; this one is followed meanwhile. " : "Not all of it is followed. "}
          {now.problem}
        </p>
      )}
      {isOther && changed.length > 0 && (
        <Conflict
          theirs={changes(before, policyOf(draftOf(now.policy)))}
          takeTheirs={() => take(now)}
          keepMine={() => take(now, merged(before, mine, policyOf(draftOf(now.policy))) as Values)}
        />
      )}
      <div class="policy">
        <Placing {...section} strategies={now.strategies} />
        <Bandwidth {...section} />
        <Owners {...section} />
        <Origins {...section} />
        <Options {...section} />
      </div>
      {mayEdit && (changed.length > 0 || problem.value) && (
        <SaveBar
          count={changed.length}
          problem={problem.value && problem.value.status !== CONFLICT ? problem.value : null}
          busy={busy.value}
          blocked={isOther}
          reset={() => take(now)}
          save={() => void save()}
        />
      )}
    </>
  );
}

/** The field at fault comes into view. */
async function showFirst(): Promise<void> {
  await new Promise(requestAnimationFrame);
  document.querySelector(".policy [aria-invalid=true], .policy .field-problem")?.scrollIntoView({ block: "center", behavior: "smooth" });
}

function Conflict({ theirs, takeTheirs, keepMine }: { theirs: Change[]; takeTheirs: () => void; keepMine: () => void }) {
  return (
    <section class="conflict" role="alert">
      <h2>Somebody else changed the policy meanwhile</h2>
      <ul>
        {theirs.map(({ where, before, after }) => (
          <li key={where}>
            <code>{where}</code> {before || "default"} → <strong>{after || "default"}</strong>
          </li>
        ))}
        {!theirs.length && <li>What they set is the same as before.</li>}
      </ul>
      <div class="conflict-ways">
        <Button onClick={takeTheirs}>Show theirs, drop my changes</Button>
        <Button kind="main" onClick={keepMine}>
          Put my changes on top of theirs
        </Button>
      </div>
    </section>
  );
}

interface SaveBarProps {
  count: number;
  problem: Problem | null;
  busy: boolean;
  blocked: boolean;
  reset: () => void;
  save: () => void;
}

function SaveBar({ count, problem, busy, blocked, reset, save }: SaveBarProps) {
  return (
    <div class="save-bar" role="region" aria-label="Unsaved changes">
      <p class={problem ? "field-problem" : ""} role="status">
        {problem ? `${problem.field ? `${problem.field}: ` : ""}${problem.message}` : blocked ? "Somebody else changed it: choose above." : `${plural(count, "change")} not saved`}
      </p>
      <Button onClick={reset} disabled={busy}>
        Undo all
      </Button>
      <Button kind="main" busy={busy} disabled={blocked || !count} onClick={save}>
        Save
      </Button>
    </div>
  );
}
