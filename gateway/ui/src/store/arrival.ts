/** Somebody went to another page: its heading is focused once it is there, for keyboards and readers. */

let isDue = false;

export function arrive(main: HTMLElement | null): void {
  const heading = main?.querySelector<HTMLElement>("h1");
  heading?.focus({ preventScroll: true });
  isDue = !heading;
}

/** A heading that came later; not where somebody went on meanwhile. */
export function arrived(heading: HTMLElement | null): void {
  if (isDue && document.activeElement === document.body) heading?.focus({ preventScroll: true });
  isDue = false;
}
