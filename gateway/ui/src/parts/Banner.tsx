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
  const wait = Math.ceil((nextTry.value - now.value) / 1000);
  return (
    <div class="offline-banner" role="alert">
      <Icon name="offline" size={17} />
      <p>
        <strong>Offline.</strong>{" "}
        {seen ? `Last seen ${timeOfDay(seen)}, ${roughly(ageS)} ago: nothing shown here is live. ` : "The gateway does not answer. "}
        {wait > 0 ? `Trying again in ${wait} s.` : "Trying again …"}
      </p>
      <button type="button" onClick={tryNow}>
        Try now
      </button>
    </div>
  );
}
