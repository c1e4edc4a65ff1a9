/** What happens, as it happens. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { TaskEvent } from "../../api/types";
import { Button } from "../../parts/Button";
import { PageHead } from "../../parts/Card";
import { Command } from "../../parts/Copy";
import { Dialog } from "../../parts/Dialog";
import { Empty } from "../../parts/Empty";
import { eventIcon, eventWord, EVENT_TYPES } from "../../parts/eventWords";
import { Select, TextField } from "../../parts/Field";
import { count, dateTime, plural, timeOfDay } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { useTyped } from "../../parts/typed";
import { VirtualRows } from "../../parts/VirtualRows";
import { link } from "../../store/link";
import { ask, href, route } from "../../store/route";
import { may } from "../../store/session";
import { detailOf } from "../task/Timeline";
import { Feed, KEPT, type Item } from "./feed";
import "./events.css";

const ROW_PX = 46;
const CARD_PX = 84;
const NARROW = matchMedia("(max-width: 760px)");
const FIELDS = ["task", "owner", "tag", "label"] as const;
/** So long nobody wrote: the filter holds. */
const QUIET_MS = 350;
const TYPES: [string, string][] = [
  ["", "All types"],
  ["finished", "All outcomes"],
  ...EVENT_TYPES.map((type): [string, string] => [type, eventWord(type)]),
];

/** As the route of the gateway takes it. */
function queryOf(asked: URLSearchParams): string {
  const query = new URLSearchParams();
  for (const name of ["type", ...FIELDS]) {
    for (const value of (asked.get(name) ?? "").split(",")) if (value.trim()) query.append(name, value.trim());
  }
  return query.toString();
}

export function Events(_: { id: string }) {
  const query = queryOf(route.value.query);
  // Without a stream nobody knows where the log ends.
  const isKnown = useSignal(link.peek() === "live");
  if (!isKnown.value && link.value === "live") isKnown.value = true;
  return (
    <>
      <PageHead title="Events" sub={`As they happen, the latest first; the last ${count(KEPT)} are kept here.`} />
      <Filters />
      {isKnown.value ? <Live key={query} query={query} /> : <p class="quiet">Connecting …</p>}
    </>
  );
}

function Filters() {
  const asked = route.value.query;
  return (
    <div class="event-filters">
      <Select bare label="Type" value={asked.get("type") ?? ""} options={TYPES} onValue={(value) => ask((query) => (value ? query.set("type", value) : query.delete("type")))} />
      <Typed name="task" label="Task" hint="Task id" />
      {may("admin") && <Typed name="owner" label="Owner" hint="Owner" />}
      <Typed name="tag" label="Tag" hint="Tag" />
      <Typed name="label" label="Label" hint="Label, project=mirror" />
      {[...asked.keys()].length > 0 && (
        <Button kind="quiet" icon="close" onClick={() => ask((query) => [...query.keys()].forEach((name) => query.delete(name)))}>
          Clear
        </Button>
      )}
    </div>
  );
}

function Typed({ name, label, hint }: { name: (typeof FIELDS)[number]; label: string; hint: string }) {
  const asked = route.value.query.get(name) ?? "";
  const [text, write] = useTyped(asked, QUIET_MS, (value) => ask((query) => (value ? query.set(name, value) : query.delete(name))));
  return <TextField bare label={label} placeholder={hint} value={text} onValue={write} />;
}

function Live({ query }: { query: string }) {
  const feed = useMemo(() => new Feed(query), [query]);
  useEffect(() => () => feed.close(), [feed]);
  const isNarrow = useSignal(NARROW.matches);
  useEffect(() => {
    const fit = () => (isNarrow.value = NARROW.matches);
    NARROW.addEventListener("change", fit);
    return () => NARROW.removeEventListener("change", fit);
  }, []);
  const opened = useSignal<TaskEvent | null>(null);
  const items = feed.items.value;
  const isPaused = feed.isPaused.value;
  return (
    <>
      <div class="event-bar">
        <Button icon={isPaused ? "play" : "pause"} kind={isPaused ? "main" : "plain"} onClick={() => (isPaused ? feed.resume() : feed.pause())}>
          {isPaused ? "Resume" : "Pause"}
        </Button>
        <span class="quiet number" role="status">
          {isPaused ? (feed.waiting.value ? `Paused: ${plural(feed.waiting.value, "new event")}` : "Paused: nothing new") : feed.isOpen.value ? plural(items.length, "event") : "Reconnecting …"}
        </span>
        <Button small kind="quiet" disabled={!items.length} onClick={() => feed.clear()}>
          Clear the list
        </Button>
      </div>
      {feed.problem.value && (
        <p class="notice bad event-problem" role="alert">
          {feed.problem.value.message}
        </p>
      )}
      <section class="card event-table" {...(items.length ? { role: "table", "aria-rowcount": items.length } as const : {})} aria-label="Events">
        {items.length ? (
          <VirtualRows
            count={items.length}
            rowHeight={isNarrow.value ? CARD_PX : ROW_PX}
            version={items}
            onShow={() => {}}
            row={(index) => {
              const item = items[index];
              return item && <Row key={`${item.id}${item.gap ? "gap" : ""}`} item={item} open={(event) => (opened.value = event)} />;
            }}
          />
        ) : (
          <Nothing isFiltered={query !== ""} />
        )}
      </section>
      {opened.value && <Whole event={opened.value} close={() => (opened.value = null)} />}
    </>
  );
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  return (
    <Empty icon="events" title={isFiltered ? "No such event yet" : "Nothing has happened yet"}>
      <p>{isFiltered ? "What fits the filter shows up here as it happens." : "Events come as soon as there is a download. Try one:"}</p>
      {!isFiltered && <Command text="downdraft submit https://example.org/file.iso" />}
    </Empty>
  );
}

const BAD = new Set(["finished.failed", "finished.rejected", "attempt_failed"]);
const toneOf = (type: string): string => (type === "finished.completed" ? "good" : BAD.has(type) ? "bad" : type === "started" ? "go" : "");

function Row({ item, open }: { item: Item; open: (event: TaskEvent) => void }) {
  if (item.gap !== undefined) {
    return (
      <div class="event-row gap" role="row">
        <span role="cell">
          <Icon name="warning" size={16} /> {item.gap}
        </span>
      </div>
    );
  }
  const { event } = item;
  const detail = detailOf(event);
  return (
    <div class="event-row" role="row">
      <time role="cell" class="quieter number" dateTime={event.time} title={dateTime(event.time)}>
        {timeOfDay(event.time)}
      </time>
      <span role="cell" class={`event-type ${toneOf(event.type)}`}>
        <Icon name={eventIcon(event.type)} size={15} />
        {eventWord(event.type)}
      </span>
      <span role="cell" class="clip event-task">
        <a href={href("tasks", event.task)} title={event.name || event.task}>
          {event.name || event.task}
        </a>
      </span>
      <span role="cell" class="clip quiet event-node">
        {"node" in event && event.node && <a href={href("nodes", event.node)}>{event.node}</a>}
      </span>
      <span role="cell" class="clip quiet event-detail" title={detail}>
        {detail}
      </span>
      <span role="cell" class="clip quieter event-owner">
        {event.owner}
      </span>
      <span role="cell">
        <button type="button" class="icon-button quiet" aria-label={`All of this event: ${eventWord(event.type)} ${event.name || event.task}`} title="All of it" onClick={() => open(event)}>
          <Icon name="chevronRight" size={17} />
        </button>
      </span>
    </div>
  );
}

function Whole({ event, close }: { event: TaskEvent; close: () => void }) {
  return (
    <Dialog
      title={`${eventWord(event.type)}: ${event.name || event.task}`}
      wide
      onClose={close}
      foot={
        <>
          <Button onClick={() => (close(), ask((query) => query.set("task", event.task)))}>Only this task</Button>
          <a class="button main" href={href("tasks", event.task)}>
            Open the task
          </a>
        </>
      }
    >
      <pre class="event-json" tabIndex={0} role="region" aria-label="The event as JSON">
        {JSON.stringify(event, null, 2)}
      </pre>
    </Dialog>
  );
}
