/** Why a task stands where it stands, or what it waits for. */
import { useSignal } from "@preact/signals";
import * as calls from "../../api/calls";
import type { Explained, Task, Verdict } from "../../api/types";
import { Card } from "../../parts/Card";
import { Skeleton } from "../../parts/Empty";
import { count, plural, sentence, timeOfDay } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { agedClass, Since } from "../../parts/Live";
import { usePolled } from "../../store/polled";
import { href } from "../../store/route";

const EVERY_MS = 5000;
const FEW = 6;

export function Placement({ task }: { task: Task }) {
  const told = usePolled(() => calls.explain(task.task), EVERY_MS, [task.task, task.state, task.node, task.attempt]);
  const found = told.data.value;
  if (!found) {
    const problem = told.problem.value;
    return <Card title="Placement">{problem ? <p class="quiet">{problem.message}</p> : <Skeleton />}</Card>;
  }
  return (
    <Card title="Placement" aside={told.isOld.value ? <Since of={told} /> : found.strategy && `strategy ${found.strategy}`}>
      <div class={agedClass("placement", told)}>
        <Why found={found} />
        {found.asks_for.length > 0 && (
          <p class="quiet">
            It asks for: <strong>{found.asks_for.join(", ")}</strong>
          </p>
        )}
        {found.placed.length > 1 && <Placed found={found} />}
        {found.nodes.length > 0 && <Verdicts nodes={found.nodes} />}
      </div>
    </Card>
  );
}

function Why({ found }: { found: Explained }) {
  if (found.waits_for.length) {
    return (
      <>
        <ul class="waits">
          {found.waits_for.map((why) => (
            <li key={why}>
              <Icon name="clock" size={16} />
              <span class="breakable">{sentence(why)}</span>
            </li>
          ))}
        </ul>
        {found.ahead != null && <p class="quiet">{found.ahead ? `${plural(found.ahead, "task")} of the same owner go before it.` : "It is the next of its owner."}</p>}
      </>
    );
  }
  if (found.why) {
    return (
      <p class="breakable">
        {found.node && (
          <>
            <a href={href("nodes", found.node)}>{found.node}</a>:{" "}
          </>
        )}
        {found.why}
      </p>
    );
  }
  return <p class="quiet">{found.reason ? sentence(found.reason) : "It was never placed on a node."}</p>;
}

function Placed({ found }: { found: Explained }) {
  return (
    <details>
      <summary>Placed {count(found.placed.length)} times</summary>
      <ol class="placed">
        {[...found.placed].reverse().map((each) => (
          <li key={`${each.attempt}${each.time}`}>
            <span class="quieter number">{timeOfDay(each.time)}</span>
            <span class="breakable">
              <a href={href("nodes", each.node)}>{each.node}</a>: {each.why}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}

function Verdicts({ nodes }: { nodes: Verdict[] }) {
  const all = useSignal(false);
  const sorted = [...nodes].sort((one, other) => (one.rank ?? Infinity) - (other.rank ?? Infinity) || one.node.localeCompare(other.node, "en", { numeric: true }));
  const shown = all.value ? sorted : sorted.slice(0, FEW);
  return (
    <div>
      <h3 class="sub-head">What each node could do for it now</h3>
      <ul class="verdicts">
        {shown.map((verdict) => (
          <li key={verdict.node}>
            <span class={verdict.excluded ? "verdict-mark no" : "verdict-mark yes number"}>{verdict.excluded ? <Icon name="close" size={13} /> : (verdict.rank ?? <Icon name="check" size={13} />)}</span>
            <a class="clip" href={href("nodes", verdict.node)}>
              {verdict.node}
            </a>
            <span class="quiet breakable">{verdict.excluded ? verdict.excluded : verdict.note || (verdict.rank === 1 ? "would get it" : "could have it")}</span>
          </li>
        ))}
      </ul>
      {sorted.length > shown.length && (
        <button type="button" class="link" onClick={() => (all.value = true)}>
          Show all {count(sorted.length)} nodes
        </button>
      )}
    </div>
  );
}
