/** Events as they come, narrowed by a filter: the latest first, so many at most, and never a hole that is not shown. */
import { signal } from "@preact/signals";
import { Problem } from "../../api/client";
import { readEvents, type ServerEvent } from "../../api/sse";
import type { TaskEvent } from "../../api/types";
import { count } from "../../parts/format";
import { position } from "../../store/live";

/** Kept and shown; what is older is found with its task. */
export const KEPT = 1000;
/** Events of the log that are looked through at first for what to show. */
const BACK = 1000;
/** While paused so many are kept; beyond, the older ones are let go and a gap says so. */
const WAITING_MAX = 1000;
const TELL_MS = 250;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

export type Item = { id: number; event: TaskEvent; gap?: undefined } | { id: number; gap: string; event?: undefined };

export class Feed {
  readonly items = signal<Item[]>([]);
  readonly waiting = signal(0);
  readonly isPaused = signal(false);
  readonly isOpen = signal(false);
  readonly problem = signal<Problem | null>(null);
  private held: Item[] = [];
  private heldCut = 0;
  private fresh: Item[] = [];
  private lastId = "";
  private timer: ReturnType<typeof setInterval>;
  private readonly ending = new AbortController();

  /** `query`: as the route `/events` takes it. */
  constructor(private readonly query: string) {
    this.timer = setInterval(() => this.tell(), TELL_MS);
    void this.follow();
  }

  close(): void {
    clearInterval(this.timer);
    this.ending.abort();
  }

  pause(): void {
    this.tell();
    this.isPaused.value = true;
  }

  resume(): void {
    this.isPaused.value = false;
    const cut = this.heldCut;
    if (cut) this.held.unshift({ id: this.held[0]?.id ?? 0, gap: `${count(cut)} events came while the list was paused, and are not shown.` });
    this.fresh = [...this.held, ...this.fresh];
    this.held = [];
    this.heldCut = 0;
    this.waiting.value = 0;
    this.tell();
  }

  clear(): void {
    this.items.value = [];
  }

  private async follow(): Promise<void> {
    const { signal } = this.ending;
    let wait = FIRST_WAIT_MS;
    while (!signal.aborted) {
      try {
        await readEvents(this.path(), this.lastId, signal, (events) => {
          wait = FIRST_WAIT_MS;
          this.isOpen.value = true;
          this.problem.value = null;
          this.take(events);
        });
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && !error.isOffline) this.problem.value = error;
        if (error instanceof Problem && error.status >= 400 && error.status < 429) return; // asking again changes nothing
      }
      this.isOpen.value = false;
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 1.7, LONGEST_WAIT_MS);
    }
  }

  /** The first time: a little of what was, too. */
  private path(): string {
    const end = position();
    const after = this.lastId || end === null ? "" : `after=${Math.max(0, end - BACK)}`;
    return `/api/v1/events?${[this.query, after].filter(Boolean).join("&")}`;
  }

  private take(events: ServerEvent[]): void {
    for (const { type, id, data } of events) {
      if (id) this.lastId = id;
      if (type === "position" || type === "dropped" || type === "progress") continue;
      if (type === "gap") {
        const { reason, after, until } = JSON.parse(data) as { reason: string; after: number; until: number };
        this.add({ id: Number(id), gap: `Events ${after + 1} to ${until} can’t be read any more: ${reason}.` });
      } else this.add({ id: Number(id), event: JSON.parse(data) as TaskEvent });
    }
  }

  private add(item: Item): void {
    if (!this.isPaused.peek()) {
      this.fresh.push(item);
      return;
    }
    this.held.push(item);
    if (this.held.length > WAITING_MAX) {
      this.held.shift();
      this.heldCut += 1;
    }
  }

  /** A few times a second: a burst is one change of what is drawn. */
  private tell(): void {
    const waiting = this.held.length + this.heldCut;
    if (waiting !== this.waiting.peek()) this.waiting.value = waiting;
    if (!this.fresh.length) return;
    this.items.value = [...this.fresh.reverse(), ...this.items.peek()].slice(0, KEPT);
    this.fresh = [];
  }
}
