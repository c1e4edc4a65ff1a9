/** What was written and not saved: nobody leaves it without being asked, neither the page nor the whole tab. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

const holding = new Set<symbol>();
/** The address that somebody was on the way to, until they answered; empty: nobody is being asked. */
export const leavingTo = signal("");

const keepTab = (event: BeforeUnloadEvent) => event.preventDefault();

/** While this holds, whoever wants to leave is asked. */
export function useUnsaved(isUnsaved: boolean): void {
  useEffect(() => {
    if (!isUnsaved) return;
    const mine = Symbol();
    holding.add(mine);
    addEventListener("beforeunload", keepTab);
    return () => {
      holding.delete(mine);
      if (!holding.size) removeEventListener("beforeunload", keepTab);
    };
  }, [isUnsaved]);
}

/** Whether one may go to another page; if not, they are asked. */
export function mayLeave(to: string): boolean {
  if (holding.size) leavingTo.value = to;
  return !holding.size;
}

export function stay(): void {
  leavingTo.value = "";
}

export function leave(): void {
  const to = leavingTo.peek();
  stay();
  holding.clear();
  location.hash = to;
}
