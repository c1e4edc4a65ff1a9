/** Whether what is shown is live: one truth for the banner, the dot, and every number on the page. */
import { computed, signal } from "@preact/signals";

export type Link = "connecting" | "live" | "offline";

export const link = signal<Link>("connecting");
/** When the gateway was heard last, in ms; 0: never. */
export const lastHeard = signal(0);
/** When the next try to connect is due, in ms; 0: it is under way. */
export const nextTry = signal(0);
export const isStale = computed(() => link.value === "offline");

/** An answer, or a part of the stream, came. */
export function heard(): void {
  lastHeard.value = Date.now();
}

/** The event stream is open: what comes is as it happens. */
export function connected(): void {
  heard();
  nextTry.value = 0;
  link.value = "live";
}

/** Nobody answered. */
export function lost(): void {
  link.value = "offline";
}

export function signedOff(): void {
  link.value = "connecting";
  lastHeard.value = 0;
}
