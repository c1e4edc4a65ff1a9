/** What is asked for again and again: the answer, when it came, why there is none, and whether it is still to be believed. */
import { computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Problem } from "../api/client";
import { now } from "./clock";
import { isStale } from "./link";
import { resync } from "./live";

/** An answer so young is not asked for again when somebody begins to look. */
const FRESH_MS = 1000;
/** So many intervals, and a moment for the answer itself, are still no silence. */
const LATE_INTERVALS = 3;
const ANSWERS_WITHIN_MS = 2000;
const FORBIDDEN = 403;

/** Whether what is shown is as it is, or as it was. */
export interface Ageing {
  /** The latest answer is one of the past: the last try failed, or there was none for too long. */
  isOld: ReadonlySignal<boolean>;
  /** When the latest good answer came, in ms; 0: never. */
  heardAt: ReadonlySignal<number>;
}

export interface Polled<Data> extends Ageing {
  data: Signal<Data | null>;
  /** Of the last try; null where it went well. */
  problem: Signal<Problem | null>;
  /** Ask now. */
  refresh: () => Promise<void>;
  /** Ask for as long as somebody looks; the answer ends it. */
  use: () => () => void;
}

interface More<Data> {
  take?: (data: Data) => void;
  /** Whether an answer tells what is, and not only what the gateway still remembers. */
  isLive?: (data: Data) => boolean;
}

/** `everyMs` 0: only when something says so (`refresh`, a gap in the stream, the page comes to the front). */
export function polled<Data>(call: () => Promise<Data>, everyMs: number, { take, isLive = () => true }: More<Data> = {}): Polled<Data> {
  const data = signal<Data | null>(null);
  const problem = signal<Problem | null>(null);
  const heardAt = signal(0);
  /** Whoever comes back to a page is not told that it is old before it could be asked for. */
  const lookedAt = signal(0);
  const isPast = signal(false);
  let users = 0;
  let asked = 0;
  let answered = 0;
  let pending = 0;
  let answeredAt = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDue = false;
  let unfollow = () => {};

  const isLate = () =>
    everyMs > 0 &&
    now.value - heardAt.value > LATE_INTERVALS * everyMs + ANSWERS_WITHIN_MS &&
    now.value - lookedAt.value > ANSWERS_WITHIN_MS;
  const isOld = computed(() => data.value !== null && (isStale.value || problem.value !== null || isPast.value || isLate()));

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
      isPast.value = !isLive(found);
      if (!isPast.value) heardAt.value = Date.now();
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
    if (problem.peek()?.status === FORBIDDEN) return; // the same key is told the same
    if (users && everyMs) timer = setTimeout(() => (document.hidden ? (isDue = true) : void refresh()), everyMs);
  }

  function onVisible(): void {
    if (document.hidden) return;
    lookedAt.value = Date.now();
    if (!isDue) return;
    isDue = false;
    void refresh();
  }

  /** While somebody looks: what is due when the page comes to the front, and after a gap. */
  function follow(): () => void {
    document.addEventListener("visibilitychange", onVisible);
    let seen = resync.peek();
    const ends = effect(() => {
      if (resync.value === seen) return;
      seen = resync.value;
      void refresh();
    });
    return () => {
      document.removeEventListener("visibilitychange", onVisible);
      ends();
    };
  }

  return {
    data,
    problem,
    heardAt,
    isOld,
    refresh,
    use() {
      users += 1;
      if (users === 1) {
        lookedAt.value = Date.now();
        unfollow = follow();
        if (!pending) performance.now() - answeredAt < FRESH_MS ? plan() : void refresh();
      }
      return () => {
        users -= 1;
        if (users) return;
        clearTimeout(timer);
        unfollow();
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
