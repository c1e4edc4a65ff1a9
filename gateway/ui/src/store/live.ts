/**
 * What happens, as it happens: one stream for the whole page.
 *
 * Events reach whoever listens at once; progress is kept by task and told a few times a second. After a gap, or after
 * having been away, `resync` rises: whoever shows something reads it again.
 */
import { batch, effect, signal, type Signal } from "@preact/signals";
import { Problem } from "../api/client";
import { readEvents, type ServerEvent } from "../api/sse";
import type { Progress, TaskEvent } from "../api/types";
import { forgetKey, key } from "./key";
import { connected, link, lost, nextTry, signedOff } from "./link";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** Numbers change so often at most: nobody reads faster, and it costs little. */
const TELL_MS = 500;
/** Transfers that said nothing for so long have no speed any more. */
const FORGET_MS = 10_000;

export interface LiveEvent {
  id: number;
  event: TaskEvent;
}

/** Rises when what is shown may be behind: read it again. */
export const resync = signal(0);
/** Rises with events, a few times a second at most. */
export const changes = signal(0);

type Listener = (events: LiveEvent[]) => void;
const listeners = new Set<Listener>();
const latest = new Map<string, { at: number; progress: Progress }>();
const watched = new Map<string, { users: number; progress: Signal<Progress | null> }>();
let toTell = new Set<string>();
let hasNews = false;
let lastId = "";
let isFirst = true;
let wake = () => {};

/** Be told of every event; the answer ends it. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** How far the stream is: the place of the latest event in the log; null before it is open. */
export function position(): number | null {
  return lastId ? Number(lastId) : null;
}

/** The progress of one task: told anew for as long as somebody `watch`es it. */
export function progressOf(task: string): Signal<Progress | null> {
  let found = watched.get(task);
  if (!found) watched.set(task, (found = { users: 0, progress: signal(null) }));
  found.progress.value = latest.get(task)?.progress ?? null;
  return found.progress;
}

export function watch(task: string): () => void {
  const found = watched.get(task) ?? { users: 0, progress: signal(latest.get(task)?.progress ?? null) };
  found.users += 1;
  watched.set(task, found);
  return () => {
    found.users -= 1;
    if (!found.users && watched.get(task) === found) watched.delete(task);
  };
}

/** What runs now, as far as it was heard. */
export function running(): Progress[] {
  return [...latest.values()].map((each) => each.progress);
}

function take(events: ServerEvent[]): void {
  connected();
  const told: LiveEvent[] = [];
  for (const { type, id, data } of events) {
    if (id) lastId = id;
    if (type === "progress") {
      const progress = JSON.parse(data) as Progress;
      latest.set(progress.task, { at: Date.now(), progress });
      toTell.add(progress.task);
    } else if (type === "gap") resync.value += 1;
    else if (type !== "position" && type !== "dropped") told.push({ id: Number(id), event: JSON.parse(data) });
  }
  for (const { event } of told) if (event.type.startsWith("finished.")) forget(event.task);
  if (!told.length) return;
  hasNews = true;
  for (const listener of [...listeners]) listener(told);
}

function forget(task: string): void {
  if (latest.delete(task)) toTell.add(task);
}

setInterval(() => {
  heardLately();
  const tasks = toTell;
  toTell = new Set();
  batch(() => {
    for (const task of tasks) {
      const found = watched.get(task);
      if (found) found.progress.value = latest.get(task)?.progress ?? null;
    }
    if (hasNews) changes.value += 1;
    hasNews = false;
  });
}, TELL_MS);

function heardLately(): void {
  const oldest = Date.now() - FORGET_MS;
  for (const [task, { at }] of latest) if (at < oldest) forget(task);
}

async function follow(signal: AbortSignal): Promise<void> {
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    let began = false;
    try {
      await readEvents("/api/v1/events?progress=true", lastId, signal, (events) => {
        if (!began) {
          began = true;
          wait = FIRST_WAIT_MS;
          if (!isFirst) resync.value += 1;
          isFirst = false;
        }
        take(events);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status === 401) return forgetKey("That key is not valid any more.");
      if (error instanceof Problem && error.status === 403) return; // a key that may not look: there is nothing to follow
      if (error instanceof Problem && error.status === 400) lastId = "";
    }
    if (signal.aborted) return;
    lost();
    await pause(wait * (0.7 + 0.6 * Math.random()), signal);
    wait = Math.min(wait * 1.7, LONGEST_WAIT_MS);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    nextTry.value = Date.now() + ms;
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      wake = () => {};
      nextTry.value = 0;
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    wake = done;
  });
}

/** Try to connect now. */
export function tryNow(): void {
  wake();
}

addEventListener("online", tryNow);
addEventListener("offline", () => {
  if (link.peek() === "live") lost();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) tryNow();
});

/** Follow for as long as there is a key. */
effect(() => {
  if (!key.value) return;
  const ending = new AbortController();
  lastId = "";
  isFirst = true;
  void follow(ending.signal);
  return () => {
    ending.abort();
    latest.clear();
    toTell.clear();
    signedOff();
  };
});
