/** What is asked for again and again: the answer, when it came, and why there is none. */
import { effect, signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Problem } from "../api/client";
import { resync } from "./live";

/** An answer so young is not asked for again when somebody begins to look. */
const FRESH_MS = 1000;

export interface Polled<Data> {
  data: Signal<Data | null>;
  /** Of the last try; null where it went well. */
  problem: Signal<Problem | null>;
  /** Ask now. */
  refresh: () => Promise<void>;
  /** Ask for as long as somebody looks; the answer ends it. */
  use: () => () => void;
}

/** `everyMs` 0: only when something says so (`refresh`, a gap in the stream, the page comes to the front). */
export function polled<Data>(call: () => Promise<Data>, everyMs: number, take?: (data: Data) => void): Polled<Data> {
  const data = signal<Data | null>(null);
  const problem = signal<Problem | null>(null);
  let users = 0;
  let asked = 0;
  let answered = 0;
  let pending = 0;
  let answeredAt = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDue = false;

  async function refresh(): Promise<void> {
    const mine = ++asked;
    clearTimeout(timer);
    pending += 1;
    try {
      const found = await call();
      if (mine < answered) return; // a later one came first
      answered = mine;
      answeredAt = performance.now();
      data.value = found;
      problem.value = null;
      take?.(found);
    } catch (error) {
      if (mine < answered) return;
      problem.value = error instanceof Problem ? error : new Problem(0, String(error));
    } finally {
      pending -= 1;
      if (mine === asked) plan();
    }
  }

  function plan(): void {
    clearTimeout(timer);
    if (users && everyMs) timer = setTimeout(() => (document.hidden ? (isDue = true) : void refresh()), everyMs);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !isDue || !users) return;
    isDue = false;
    void refresh();
  });
  let seen = resync.peek();
  effect(() => {
    if (resync.value === seen) return;
    seen = resync.value;
    if (users) void refresh();
  });

  return {
    data,
    problem,
    refresh,
    use() {
      users += 1;
      if (users === 1 && !pending) performance.now() - answeredAt < FRESH_MS ? plan() : void refresh();
      return () => {
        users -= 1;
        if (!users) clearTimeout(timer);
      };
    },
  };
}

/** Look at something that is asked for for the whole page. */
export function useShared<Data>(shared: Polled<Data>): Polled<Data> {
  useEffect(() => shared.use(), [shared]);
  return shared;
}

/** Ask for something of this component alone, and anew where `about` changes. */
export function usePolled<Data>(call: () => Promise<Data>, everyMs: number, about: unknown[] = []): Polled<Data> {
  const made = useMemo(() => polled(call, everyMs), about);
  return useShared(made);
}
