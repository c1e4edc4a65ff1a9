/** A line over time. Its drawing comes after the figures around it. */
import { useEffect, useRef } from "preact/hooks";
import { isDark } from "../store/theme";
import "./graph.css";
import type { Plot, Scale } from "./plot";

export interface GraphProps {
  /** Seconds since 1970, and a value each; null: a gap. */
  times: number[];
  values: (number | null)[];
  label: string;
  format: (value: number) => string;
  height?: number;
  /** How long the window is, in seconds: the right end is the last time. */
  window?: number;
  /** The least that the top of the scale shows. */
  least?: number;
  /** Figures that read well in this unit: bytes go by 1024. */
  binary?: boolean;
  tone?: "accent" | "good";
}

export function Graph({ times, values, label, format, height = 180, window = 0, least = 1, binary = false, tone = "accent" }: GraphProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const latest = useRef<[number[], (number | null)[]]>([times, values]);
  latest.current = [times, values];
  const scale = useRef<Scale>({ window, least, format });
  scale.current = { window, least, format };
  const dark = isDark.value;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let isGone = false;
    const fitting = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    const draw = async () => {
      const { plotIn } = await import("./plot");
      if (isGone) return;
      plot.current = plotIn(element, latest.current, { height, binary, tone }, () => scale.current);
      fitting.observe(element);
    };
    draw().catch(() => {}); // the figures stand beside it; a later visit tries again
    return () => {
      isGone = true;
      fitting.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [dark, height, binary, tone]);

  useEffect(() => {
    plot.current?.setData([times, values] as Parameters<Plot["setData"]>[0]);
  }, [times, values, window, least, format]);

  const last = values.findLast((value) => value !== null) ?? null;
  return <div ref={box} class="graph" role="img" aria-label={`${label}: ${last === null ? "nothing yet" : `now ${format(last)}`}`} style={{ height: `${height}px` }} />;
}
