/** What is shown is not live: since when, and what is being done about it. */
import { now } from "../store/clock";
import { isStale, lastHeard, nextTry } from "../store/link";
import { tryNow } from "../store/live";
import { roughly, timeOfDay } from "./format";
import { Icon } from "./Icon";

export function OfflineBanner() {
  if (!isStale.value) return null;
  const seen = lastHeard.value;
  const ageS = (now.value - seen) / 1000;
  // What counts is not read out: it would be every second.
  const wait = Math.ceil((nextTry.value - now.value) / 1000);
  return (
    <div class="offline-banner">
      <Icon name="offline" size={17} />
      <p>
        <span role="alert">
          <strong>Offline.</strong> {seen ? `Last seen ${timeOfDay(seen)}: nothing shown here is live.` : "The gateway does not answer."}
        </span>{" "}
        <span aria-hidden="true">
          {seen > 0 && `That was ${roughly(ageS)} ago. `}
          {wait > 0 ? `Trying again in ${wait} s.` : "Trying again …"}
        </span>
      </p>
      <button type="button" onClick={tryNow}>
        Try now
      </button>
    </div>
  );
}
