/**
 * A list of tasks that may be far longer than what is shown: read page by page from where the reader is.
 *
 * Pages far from view are let go and read again from their cursor when somebody comes back. What happens changes the
 * rows in place; while the reader is at the top, the first page is read again soon after, so that what is new comes in.
 */
import { signal } from "@preact/signals";
import { tasks as ask } from "../api/calls";
import { Problem } from "../api/client";
import type { Task, TaskEvent, TaskQuery } from "../api/types";
import type { LiveEvent } from "./live";
import { Pauses } from "./pauses";

export const PAGE = 200;
/** What comes first is less: it is there sooner, and while things happen it is read again every other second. */
const FIRST = 50;
/** Pages whose rows are kept: what is farther from view is let go. */
const KEPT = 15;

interface Page {
  /** Asked with; empty for the first. */
  after: string;
  /** Where it begins in the list. */
  start: number;
  length: number;
  rows: Task[] | null;
}

export class TaskList {
  /** Rises with every change of what `row` answers. */
  readonly version = signal(0);
  readonly problem = signal<Problem | null>(null);
  readonly isLoading = signal(true);
  /** Happened since the first page was read, while the reader was elsewhere. */
  readonly news = signal(0);
  private pages: Page[] = [];
  private next: string | null = "";
  private byId = new Map<string, Task>();
  private reading: Promise<void> | null = null;
  private readingAgain = new Set<Page>();
  private readonly ending = new AbortController();
  private changed = false;
  /** Whoever shows the list asks for what is missing as often as it is drawn: what failed has to wait. */
  private readonly pauses = new Pauses(() => (this.version.value += 1));

  constructor(readonly query: TaskQuery) {}

  /** Rows known so far; see `isWhole`. */
  get length(): number {
    const last = this.pages.at(-1);
    return last ? last.start + last.length : 0;
  }

  /** Whether there are no more beyond `length`. */
  get isWhole(): boolean {
    return this.next === null;
  }

  row(index: number): Task | null {
    const page = this.pageAt(index);
    return page?.rows?.[index - page.start] ?? null;
  }

  get(task: string): Task | undefined {
    return this.byId.get(task);
  }

  /** Ids of known rows between two of them, ends included. */
  between(one: string, other: string): string[] {
    const ids = this.pages.flatMap((page) => page.rows?.map((row) => row.task) ?? []);
    const [from, to] = [ids.indexOf(one), ids.indexOf(other)].sort((a, b) => a - b) as [number, number];
    return from < 0 ? [other] : ids.slice(from, to + 1);
  }

  close(): void {
    this.ending.abort();
    this.pauses.close();
  }

  /** When what failed is tried again, in ms; 0: nothing waits for that. */
  get retryAt(): number {
    return this.pauses.retryAt;
  }

  tryNow(): void {
    this.pauses.end();
  }

  /** Rows from one to another are looked at: have them, and what follows. */
  async show(first: number, last: number): Promise<void> {
    if (!this.pauses.isOver) return;
    for (const page of this.pages) {
      const isNear = page.start <= last + PAGE && page.start + page.length >= first - PAGE;
      if (isNear && !page.rows) void this.readAgain(page);
    }
    this.letGo(first, last);
    const ahead = this.pages.length > 1 ? PAGE / 2 : FIRST / 2;
    if (last + ahead >= this.length && this.next !== null) await this.readOn();
  }

  /** From the beginning. What is shown stays until the new is there. */
  async restart(): Promise<void> {
    await this.reading;
    await this.read(async () => {
      const found = await ask({ ...this.query, limit: FIRST }, this.ending.signal);
      this.pages = [];
      this.byId.clear();
      this.news.value = 0;
      this.add("", found.tasks, found.after);
    });
  }

  private async readOn(): Promise<void> {
    if (this.reading) return this.reading;
    const after = this.next;
    if (after === null) return;
    await this.read(async () => {
      const found = await ask({ ...this.query, limit: PAGE, after: after || undefined }, this.ending.signal);
      this.add(after, found.tasks, found.after);
    });
  }

  private read(work: () => Promise<void>): Promise<void> {
    const run = async () => {
      this.isLoading.value = true;
      try {
        await work();
        this.went();
      } catch (error) {
        this.failed(error);
      } finally {
        this.isLoading.value = false;
        this.reading = null;
        this.version.value += 1;
      }
    };
    this.reading = run();
    return this.reading;
  }

  private async readAgain(page: Page): Promise<void> {
    if (this.readingAgain.has(page)) return;
    this.readingAgain.add(page);
    try {
      const found = await ask({ ...this.query, limit: PAGE, after: page.after || undefined }, this.ending.signal);
      if (this.pages.includes(page)) this.keep(page, found.tasks.slice(0, page.length));
      this.went();
    } catch (error) {
      this.failed(error);
    } finally {
      this.readingAgain.delete(page);
      this.version.value += 1;
    }
  }

  private went(): void {
    this.problem.value = null;
    this.pauses.went();
  }

  private failed(error: unknown): void {
    if (this.ending.signal.aborted) return;
    this.problem.value = error instanceof Problem ? error : new Problem(0, String(error));
    this.pauses.failed();
  }

  private add(after: string, rows: Task[], next: string): void {
    const page: Page = { after, start: this.length, length: rows.length, rows: null };
    this.pages.push(page);
    this.keep(page, rows);
    this.next = next || null;
  }

  private keep(page: Page, rows: Task[]): void {
    page.rows = rows;
    for (const row of rows) this.byId.set(row.task, row);
  }

  private letGo(first: number, last: number): void {
    const middle = (first + last) / 2;
    const kept = this.pages.filter((page) => page.rows);
    if (kept.length <= KEPT) return;
    const distance = (page: Page) => Math.abs(page.start + page.length / 2 - middle);
    for (const page of kept.sort((one, other) => distance(other) - distance(one)).slice(0, kept.length - KEPT)) {
      for (const row of page.rows ?? []) this.byId.delete(row.task);
      page.rows = null;
    }
  }

  private pageAt(index: number): Page | undefined {
    let low = 0;
    let high = this.pages.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const page = this.pages[middle] as Page;
      if (index < page.start) high = middle - 1;
      else if (index >= page.start + page.length) low = middle + 1;
      else return page;
    }
    return undefined;
  }

  /** What happened; whether the list itself may have changed, not only its rows. */
  take(events: LiveEvent[]): boolean {
    let isOther = false;
    for (const { event } of events) {
      const row = this.byId.get(event.task);
      if (row) {
        Object.assign(row, patchOf(event));
        this.changed = true;
      }
      if (MOVES.has(event.type) || !row) isOther = true;
    }
    return isOther;
  }

  /** Show what `take` changed: a few times a second at most. */
  tell(): void {
    if (!this.changed) return;
    this.changed = false;
    this.version.value += 1;
  }
}

let early: { asked: string; list: TaskList } | null = null;

/** The first view is a list: it is asked for while what shows it is still to come. */
export function beginEarly(asked: string, query: TaskQuery): void {
  early = { asked, list: listOf(asked, query) };
}

/** The list of a query, under way; `asked`: the query as the address has it. */
export function listOf(asked: string, query: TaskQuery): TaskList {
  const begun = early?.asked === asked ? early.list : new TaskList(query);
  if (begun !== early?.list) void begun.restart();
  early = null;
  return begun;
}

/** After these a task may stand elsewhere in a list, or in another one. */
const MOVES = new Set(["queued", "started", "paused", "resumed", "prioritised", "retrying", "released", "dismissed", "assigned", "finished.completed", "finished.failed", "finished.cancelled", "finished.rejected"]);

/** What an event says of a task's row. Pure. */
export function patchOf(event: TaskEvent): Partial<Task> {
  switch (event.type) {
    case "assigned":
      return { state: "assigned", node: event.node, attempt: event.attempt || 1 };
    case "started":
      return { state: "active", node: event.node, attempt: event.attempt || 1 };
    case "retrying":
      return { state: "queued", node: "", reason: event.reason, bytes_per_s: 0 };
    case "released":
      return { state: "queued", node: "", bytes_per_s: 0 };
    case "paused":
      return { desired: "pause", bytes_per_s: 0 };
    case "resumed":
      return { desired: "run" };
    case "prioritised":
      return { priority: event.priority };
    case "finished.completed":
      return { state: "completed", node: event.node, bytes: event.bytes, path: event.path, finished: event.time, seconds: event.seconds, bytes_per_s: 0 };
    case "finished.failed":
      return { state: "failed", reason: event.reason, finished: event.time, bytes_per_s: 0 };
    case "finished.cancelled":
      return { state: "cancelled", reason: event.reason ?? "", finished: event.time, bytes_per_s: 0 };
    case "finished.rejected":
      return { state: "rejected", reason: event.reason, finished: event.time, bytes_per_s: 0 };
    default:
      return {};
  }
}
