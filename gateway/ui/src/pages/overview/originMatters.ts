/** What is wrong with origins, and with what was asked for, and what to do. Pure. */
import type { Status, Task } from "../../api/types";
import { plural, roughly, shortened } from "../../parts/format";
import { href } from "../../store/route";
import type { Matter } from "./attention";

/** More origins than these are nobody's list to work through. */
const ORIGINS_MAX = 5;
/** So many failures are no accident any more. */
const MANY = 5;
/** What an origin is begun with again, after it asked to be left alone. */
const GENTLY = 2;

export function ofOrigins(failed: Task[]): Matter[] {
  const byOrigin = new Map<string, Task[]>();
  for (const task of failed) {
    const origin = originOf(task.uris[0]);
    if (task.state === "failed" && origin) byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), task]);
  }
  return [...byOrigin]
    .sort(([, one], [, other]) => other.length - one.length)
    .slice(0, ORIGINS_MAX)
    .map(([origin, tasks]) => ({
      id: `origin-${origin}`,
      bad: tasks.length >= MANY,
      title: `${plural(tasks.length, "download")} from ${origin} failed in the last hour`,
      told: `The latest: ${latest(tasks)} Once the cause is gone, try them again:`,
      command: `downdraft retry --state failed --origin ${origin} --since 1h`,
      link: { to: href("tasks", "", new URLSearchParams({ state: "failed", origin })), name: "Look at them" },
    }));
}

/** Refused before they became downloads. */
export function ofRefused(failed: Task[]): Matter[] {
  const refused = failed.filter((task) => task.state === "rejected");
  if (!refused.length) return [];
  return [
    {
      id: "refused",
      bad: refused.length >= MANY,
      title: `${plural(refused.length, "request")} ${refused.length === 1 ? "was" : "were"} refused in the last hour`,
      told: `The latest: ${latest(refused)} Nothing comes of them: mend what is wrong, and submit them anew.`,
      link: { to: href("tasks", "", "state=rejected"), name: "Look at them" },
    },
  ];
}

export function ofCooling(cooling: Status["cooling"]): Matter[] {
  return Object.entries(cooling).map(([origin, seconds]) => ({
    id: `cooling-${origin}`,
    bad: false,
    title: `${origin} asks to be left alone`,
    told: `Nothing is begun from there for another ${roughly(seconds)}; then it goes on by itself. If it happens often, let fewer downloads run from it at once:`,
    command: `downdraft policy set --origin ${origin} running=${GENTLY}`,
    link: { to: href("policy"), name: "Limit it in the policy" },
  }));
}

const latest = ([first]: Task[]): string => sentenceOf(first?.reason || "no reason was told");
/** As it was said, for it may begin with a name. */
const sentenceOf = (reason: string): string => shortened(/[.!?…]$/.test(reason) ? reason : `${reason}.`);

export function originOf(uri = ""): string {
  try {
    return new URL(uri).host;
  } catch {
    return "";
  }
}
