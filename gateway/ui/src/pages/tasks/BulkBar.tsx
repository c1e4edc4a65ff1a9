/** What can be done to all that is chosen. */
import { useSignal } from "@preact/signals";
import { throughout } from "../../api/throughout";
import type { Action, ActionDone, Verb } from "../../api/types";
import { Button, IconButton } from "../../parts/Button";
import { count, plural } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { Menu } from "../../parts/Menu";
import { route } from "../../store/route";
import { toast } from "../../store/toasts";
import { cancelSoon } from "../../store/undo";
import { filterOf, isFiltered } from "./filters";
import { clearSelection, selection, selectAll } from "./selection";

const DONE: Partial<Record<Verb, string>> = { pause: "paused", resume: "resumed", retry: "tried again", prioritise: "prioritised", cancel: "cancelled" };

export function BulkBar({ known, isWhole }: { known: number; isWhole: boolean }) {
  const busy = useSignal("");
  const { ids, all, wasEach } = selection.value;
  if (!all && !ids.size) return null;

  const action = (verb: Verb, more: Partial<Action> = {}): Action => {
    const meant: Partial<Action> = all
      ? isFiltered(route.value.query)
        ? { where: filterOf(route.value.query) }
        : { everything: true }
      : { ids: [...ids] };
    return { verb, ...meant, ...more } as Action;
  };

  const run = async (verb: Verb, more: Partial<Action> = {}) => {
    busy.value = verb;
    try {
      tell(verb, await throughout(action(verb, more)));
      clearSelection();
    } catch (error) {
      toast((error as Error).message, "bad");
    } finally {
      busy.value = "";
    }
  };

  const cancel = () => {
    cancelSoon(action("cancel"), all ? "Cancelling everything that matches" : `Cancelling ${plural(ids.size, "task")}`);
    clearSelection();
  };

  return (
    <div class="bulk" role="region" aria-label="Chosen tasks">
      <IconButton icon="close" label="Choose nothing" onClick={clearSelection} />
      <strong class="number">{all ? "All that match" : `${count(ids.size)} chosen`}</strong>
      {!all && (wasEach || ids.size >= known) && !(isWhole && ids.size >= known) && (
        <button type="button" class="bulk-all" onClick={selectAll}>
          choose all that match
        </button>
      )}
      <span class="bulk-buttons">
        <Button small icon="pause" busy={busy.value === "pause"} onClick={() => void run("pause")}>
          Pause
        </Button>
        <Button small icon="play" busy={busy.value === "resume"} onClick={() => void run("resume")}>
          Resume
        </Button>
        <Button small icon="retry" busy={busy.value === "retry"} onClick={() => void run("retry")}>
          Try again
        </Button>
        <Menu
          label="Priority"
          up
          class="button plain small"
          items={[
            { label: "Highest (10)", run: () => void run("prioritise", { priority: 10 }) },
            { label: "High (5)", run: () => void run("prioritise", { priority: 5 }) },
            { label: "Normal (0)", run: () => void run("prioritise", { priority: 0 }) },
            { label: "Low (−5)", run: () => void run("prioritise", { priority: -5 }) },
            { label: "Lowest (−10)", run: () => void run("prioritise", { priority: -10 }) },
          ]}
        >
          <Icon name="arrowUp" size={15} />
          Priority
        </Menu>
        <Button small kind="bad" icon="cancel" onClick={cancel}>
          Cancel
        </Button>
      </span>
    </div>
  );
}

function tell(verb: Verb, sum: ActionDone): void {
  const parts = [`${plural(sum.done, "task")} ${DONE[verb] ?? "changed"}`];
  if (sum.left_alone) parts.push(`${count(sum.left_alone)} left alone: there was nothing to do`);
  if (sum.failed) parts.push(`${count(sum.failed)} could not be: ${sum.results.find((each) => !each.ok && each.matched)?.said ?? ""}`);
  toast(parts.join(", "), sum.failed ? "bad" : "good");
}
