/** The API key: kept for this tab's session, nowhere else. */
import { signal } from "@preact/signals";

const NAME = "downdraft.key";

export const key = signal(sessionStorage.getItem(NAME) ?? "");
/** Why somebody has to sign in again; empty where they just have not yet. */
export const whySignedOut = signal("");

export function keepKey(shown: string): void {
  sessionStorage.setItem(NAME, shown);
  whySignedOut.value = "";
  key.value = shown;
}

export function forgetKey(why = ""): void {
  sessionStorage.removeItem(NAME);
  whySignedOut.value = why;
  key.value = "";
}

/** An answer said 401; a late one to an earlier key means nothing. */
export function keyRefused(shown: string): void {
  if (shown && shown === key.peek()) forgetKey("That key is not valid any more. Sign in with another one.");
}
