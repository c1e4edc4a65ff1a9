/** Server-Sent Events, read by fetch: EventSource can't show a key. One reading; who calls tries again. */
import { key } from "../store/key";
import { BASE, Problem, problemOf } from "./client";

/** The gateway says something every 15 s; whoever hears less has lost the connection. */
const SILENCE_MS = 35_000;

export interface ServerEvent {
  type: string;
  data: string;
  id: string;
}

/** Reads until the stream ends, then returns. Throws Problem, or what fetch throws. */
export async function readEvents(
  path: string,
  lastId: string,
  signal: AbortSignal,
  take: (events: ServerEvent[]) => void,
): Promise<void> {
  const ending = new AbortController();
  const end = () => ending.abort();
  signal.addEventListener("abort", end);
  let watch = setTimeout(end, SILENCE_MS);
  try {
    const headers: Record<string, string> = { "X-API-Key": key.peek(), Accept: "text/event-stream" };
    if (lastId) headers["Last-Event-ID"] = lastId;
    const response = await fetch(BASE + path, { headers, signal: ending.signal, cache: "no-store" });
    if (!response.ok || !response.body) throw problemOf(response, await response.json().catch(() => null));
    const parser = new EventParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    take([]);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(end, SILENCE_MS);
      take(parser.feed(value));
    }
  } catch (error) {
    if (signal.aborted || error instanceof Problem) throw error;
    throw new Problem(0, "The gateway can’t be reached.");
  } finally {
    clearTimeout(watch);
    signal.removeEventListener("abort", end);
    ending.abort();
  }
}

/** Text in parts of any length, as it comes, into events. */
export class EventParser {
  private rest = "";

  feed(text: string): ServerEvent[] {
    const parts = (this.rest + text).split("\n\n");
    this.rest = parts.pop() ?? "";
    return parts.map(eventOf).filter((event) => event !== null);
  }
}

function eventOf(part: string): ServerEvent | null {
  let type = "message";
  let id = "";
  const data: string[] = [];
  for (const line of part.split("\n")) {
    if (line.startsWith("data: ")) data.push(line.slice(6));
    else if (line.startsWith("event: ")) type = line.slice(7);
    else if (line.startsWith("id: ")) id = line.slice(4);
  }
  return data.length ? { type, id, data: data.join("\n") } : null;
}
