/** What the figures of the overview count: the tasks that whoever looks may see, all asked for at the same moment. */
import { countTasks, tasks } from "../../api/calls";

const LATELY_MS = 600_000;
/** What `lately` counts, in minutes. */
export const LATELY_MIN = LATELY_MS / 60_000;

interface Ended {
  completed: number;
  failed: number;
}

export interface Own {
  /** Since midnight, of whoever looks. */
  today: Ended;
  lately: Ended;
  /** When the longest waiting task was submitted; null: none waits. */
  oldest: string | null;
}

export async function own(): Promise<Own> {
  const [today, lately, waiting] = await Promise.all([
    endedSince(new Date().setHours(0, 0, 0, 0)),
    endedSince(Date.now() - LATELY_MS),
    tasks({ state: ["queued"], sort: "time", limit: 1 }),
  ]);
  return { today, lately, oldest: waiting.tasks[0]?.submitted ?? null };
}

async function endedSince(moment: number): Promise<Ended> {
  const since = new Date(moment).toISOString();
  const [completed, failed] = await Promise.all([
    countTasks({ state: ["completed"], since }),
    countTasks({ state: ["failed", "rejected"], since }),
  ]);
  return { completed, failed };
}
