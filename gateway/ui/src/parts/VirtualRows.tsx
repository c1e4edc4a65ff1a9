/** As many rows as fit, of however many there are. The page itself scrolls. */
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Rows drawn beyond what is seen, on each side: once somebody has had a look, for the first view is to be quick. */
const BEYOND = 8;
const LOOK_MS = 600;
/** Browsers lose count of pixels beyond some 17 million. */
const TALLEST_PX = 15_000_000;

interface VirtualRowsProps {
  count: number;
  rowHeight: number;
  row: (index: number) => ComponentChildren;
  onShow: (first: number, last: number) => void;
  /** Anything that, when it changes, asks for what is shown again. */
  version: unknown;
}

export function VirtualRows({ count, rowHeight, row, onShow, version }: VirtualRowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const [[first, last], setRange] = useState<[number, number]>(() => [0, Math.ceil(innerHeight / rowHeight)]);
  const beyond = useRef(0);
  const look = useRef(() => {});
  look.current = () => {
    const top = box.current?.getBoundingClientRect().top ?? 0;
    const from = Math.max(0, Math.floor(-top / rowHeight) - beyond.current);
    const to = Math.min(count - 1, Math.ceil((innerHeight - top) / rowHeight) + beyond.current);
    setRange((before) => (before[0] === from && before[1] === to ? before : [from, to]));
    onShow(from, Math.max(from, to));
  };

  useLayoutEffect(() => look.current(), [count, rowHeight, version]);
  useEffect(() => {
    let due = 0;
    const soon = () => {
      due ||= requestAnimationFrame(() => {
        due = 0;
        look.current();
      });
    };
    const more = setTimeout(() => {
      beyond.current = BEYOND;
      soon();
    }, LOOK_MS);
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(due);
      clearTimeout(more);
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, []);

  const shown = [];
  for (let index = first; index <= Math.min(last, count - 1); index += 1) shown.push(row(index));
  return (
    <div ref={box} class="virtual" role="rowgroup" style={{ height: `${Math.min(count * rowHeight, TALLEST_PX)}px`, position: "relative" }}>
      <div role="presentation" style={{ position: "absolute", inset: "0 0 auto", transform: `translateY(${first * rowHeight}px)` }}>
        {shown}
      </div>
    </div>
  );
}
