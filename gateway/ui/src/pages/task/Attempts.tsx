/** How each attempt ended that brought no file. */
import type { Task } from "../../api/types";
import { Card } from "../../parts/Card";
import { href } from "../../store/route";

const CLASSES: Record<string, string> = {
  permanent: "Would fail the same way anywhere.",
  transient: "May succeed later.",
  node: "That node’s own trouble: tried on another.",
  damaged: "What had come was not usable: begun anew.",
};

export function Attempts({ history }: { history: Task["history"] }) {
  return (
    <Card title="Attempts that brought no file" aside={history.length} flush>
      <ol class="attempts">
        {[...history].reverse().map((attempt) => (
          <li key={attempt.attempt}>
            <span class="attempt-number number">{attempt.attempt}</span>
            <div>
              <p class="breakable">{attempt.reason}</p>
              <small class="quieter">
                <a href={href("nodes", attempt.node)}>{attempt.node}</a>
                {" · "}
                {attempt.failure ? CLASSES[attempt.failure] : "No fault of the task’s: it does not count."}
                {attempt.code && ` (${attempt.code})`}
              </small>
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}
