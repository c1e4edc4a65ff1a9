/** For what only means something now: figures that are not live look it, and say since when. */
import type { ComponentChildren } from "preact";
import { status } from "../store/cluster";
import { isStale, link } from "../store/link";
import type { Ageing } from "../store/polled";
import { timeOfDay } from "./format";
import { Icon } from "./Icon";
import "./live.css";

/** A figure: a dash while the gateway is away, and marked where the gateway itself does not know any better. */
export function Live({ children, of = status }: { children: ComponentChildren; of?: Ageing }) {
  if (link.value === "offline") return <>—</>;
  if (!of.isOld.value) return <>{children}</>;
  return (
    <span class="old">
      {children}
      <span class="for-readers"> (not live)</span>
    </span>
  );
}

/** Since when nothing was heard. While the gateway is away the banner says it for the whole page. */
export function Since({ of = status }: { of?: Ageing }) {
  if (!of.isOld.value || isStale.value) return null;
  return (
    <span class="since">
      <Icon name="clock" size={14} />
      {sinceTold(of)}
    </span>
  );
}

export const sinceTold = ({ heardAt }: Ageing): string => (heardAt.value ? `not heard since ${timeOfDay(heardAt.value)}` : "not heard yet");

/** The class of what holds figures: with others, where it has some. */
export const agedClass = (usual: string, { isOld }: Ageing): string => (isOld.value ? `${usual} old` : usual);
