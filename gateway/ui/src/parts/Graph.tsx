/** A line over time: uPlot with this page's colours and figures. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { isDark } from "../store/theme";
import "./graph.css";

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

const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const TIME_STEPS = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600];

export function Graph({ times, values, label, format, height = 180, window = 0, least = 1, binary, tone = "accent" }: GraphProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = isDark.value;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const colours = coloursOf(element, tone);
    const range = (_: uPlot, least: number, most: number): [number, number] => [window ? most - window : least, most];
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        padding: [10, 18, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 7, fill: colours.line, stroke: colours.ground, width: 2 }, drag: { x: false, y: false } },
        scales: { x: { range }, y: { range: (_, __, most) => [0, Math.max(least, most * 1.12)] } },
        axes: [
          axis(colours, { size: 26, space: 70, incrs: TIME_STEPS, values: (_, ticks, __, ___, step) => ticks.map(step < 60 ? exact : clock), grid: { show: false } }),
          axis(colours, {
            size: 74,
            space: 40,
            ...(binary ? { incrs: BINARY_STEPS } : {}),
            values: (_, ticks) => ticks.map((tick) => (tick ? format(tick) : "0")),
          }),
        ],
        series: [
          {},
          {
            stroke: colours.line,
            width: 2,
            fill: (self) => {
              const fill = self.ctx.createLinearGradient(0, self.bbox.top, 0, self.bbox.top + self.bbox.height);
              fill.addColorStop(0, colours.line.replace(")", " / 26%)"));
              fill.addColorStop(1, colours.line.replace(")", " / 0%)"));
              return fill;
            },
            points: { show: false },
            paths: uPlot.paths.spline?.(),
          },
        ],
        plugins: [told(format)],
      } as uPlot.Options,
      [times, values] as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const fitting = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    fitting.observe(element);
    return () => {
      fitting.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark, height, window, tone]);

  useEffect(() => {
    plot.current?.setData([times, values] as uPlot.AlignedData);
  }, [times, values]);

  const last = values.findLast((value) => value !== null) ?? null;
  return <div ref={box} class="graph" role="img" aria-label={`${label}: ${last === null ? "nothing yet" : `now ${format(last)}`}`} style={{ height: `${height}px` }} />;
}

interface Colours {
  line: string;
  text: string;
  grid: string;
  ground: string;
}

/** As the page has them now, in numbers that a canvas can mix. */
function coloursOf(element: HTMLElement, tone: string): Colours {
  const probe = element.appendChild(document.createElement("i"));
  const read = (name: string): string => {
    probe.style.color = `var(--${name})`;
    const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g) ?? ["0", "0", "0"];
    return `rgb(${red} ${green} ${blue})`;
  };
  const found = { line: read(tone), text: read("text-3"), grid: read("border"), ground: read("surface") };
  probe.remove();
  return found;
}

function axis(colours: Colours, more: uPlot.Axis): uPlot.Axis {
  return {
    stroke: colours.text,
    font: '11px "Inter Variable", sans-serif',
    grid: { stroke: colours.grid, width: 1 },
    ticks: { show: false },
    gap: 6,
    ...more,
  };
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clock = (seconds: number): string => clockFormat.format(seconds * 1000);
const exact = (seconds: number): string => exactFormat.format(seconds * 1000);
const exactFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** What stands under the pointer. */
function told(format: (value: number) => string): uPlot.Plugin {
  let tip: HTMLElement;
  return {
    hooks: {
      init: (self) => {
        tip = self.over.appendChild(document.createElement("div"));
        tip.className = "graph-tip";
        tip.hidden = true;
      },
      setCursor: (self) => {
        const at = self.cursor.idx;
        const value = at == null ? null : self.data[1]?.[at];
        tip.hidden = value == null;
        if (at == null || value == null) return;
        tip.textContent = `${format(value)} · ${exact(self.data[0][at] ?? 0)}`;
        const left = self.cursor.left ?? 0;
        const isRight = left > self.over.clientWidth / 2;
        tip.style.left = isRight ? "" : `${left + 12}px`;
        tip.style.right = isRight ? `${self.over.clientWidth - left + 12}px` : "";
      },
    },
  };
}
