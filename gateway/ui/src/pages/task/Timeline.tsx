/** What happened to a task, the latest first. */
import type { TaskEvent } from "../../api/types";
import { Card } from "../../parts/Card";
import { bytes, dateTime, duration, shortened, timeOfDay } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { eventIcon, eventWord } from "../../parts/eventWords";

export function Timeline({ events }: { events: TaskEvent[] }) {
  const details = events.map((event, index) => told(event, events[index - 1]));
  return (
    <Card title="Timeline">
      {events.length ? (
        <ol class="timeline">
          {events.map((event, index) => (
            <li key={`${event.time}${event.type}${index}`} class={eventTone(event)}>
              <span class="timeline-dot">
                <Icon name={eventIcon(event.type)} size={14} />
              </span>
              <div>
                <p>
                  <strong>{eventWord(event.type)}</strong>
                  {"node" in event && event.node && <span class="quiet"> · {event.node}</span>}
                </p>
                {details[index] && <p class="quiet small breakable">{details[index]}</p>}
                <time class="quieter number" dateTime={event.time} title={dateTime(event.time)}>
                  {timeOfDay(event.time)}
                  {event.attempt ? ` · attempt ${event.attempt}` : ""}
                </time>
              </div>
            </li>
          )).reverse()}
        </ol>
      ) : (
        <p class="quiet">Its events are not kept any more.</p>
      )}
    </Card>
  );
}

function eventTone(event: TaskEvent): string {
  if (event.type === "finished.completed") return "good";
  if (event.type === "finished.failed" || event.type === "finished.rejected" || event.type === "attempt_failed") return "bad";
  return event.type === "started" ? "go" : "";
}

/** What was said a line below is not said again. */
function told(event: TaskEvent, before: TaskEvent | undefined): string {
  const isSaid = event.type === "retrying" && before?.type === "attempt_failed" && before.reason === event.reason;
  return shortened(isSaid ? (event.next_in_s ? `again in ${duration(event.next_in_s)}` : "at once") : detailOf(event));
}

/** Why, or what came of it. */
export function detailOf(event: TaskEvent): string {
  switch (event.type) {
    case "assigned":
      return event.why;
    case "attempt_failed":
      return `${event.reason}${event.retry_after_s ? `; it asks to wait ${duration(event.retry_after_s)}` : ""}`;
    case "retrying":
      return `${event.reason}${event.next_in_s ? `; again in ${duration(event.next_in_s)}` : ""}`;
    case "released":
    case "finished.failed":
    case "finished.rejected":
      return event.reason;
    case "finished.cancelled":
      return event.reason ?? "";
    case "finished.completed":
      return `${bytes(event.bytes)} in ${duration(event.seconds)}`;
    case "prioritised":
      return `priority ${event.priority}${event.position == null ? "" : `, ${event.position} before it`}`;
    case "started":
      return `in the lane for ${event.lane} files`;
    default:
      return "";
  }
}
