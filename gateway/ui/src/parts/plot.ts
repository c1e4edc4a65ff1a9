/** The line that a `Graph` shows, by uPlot: loaded after what is around it. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock, timeOfDay } from "./format";
import type { GraphProps } from "./Graph";

const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const TIME_STEPS = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600];

export type Plot = Pick<uPlot, "setData" | "setSize" | "destroy">;
type Look = Required<Pick<GraphProps, "height" | "binary" | "tone">>;
/** What may be another one at each drawing, without the plot being made anew. */
export type Scale = Required<Pick<GraphProps, "window" | "least" | "format">>;

/** In the colours that hold now. */
export function plotIn(element: HTMLElement, data: [number[], (number | null)[]], { height, binary, tone }: Look, scale: () => Scale): Plot {
  const colours = coloursOf(element, tone);
  const range = (_: uPlot, first: number, last: number): [number, number] => [scale().window ? last - scale().window : first, last];
  return new uPlot(
    {
      width: element.clientWidth || 300,
      height,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 7, fill: colours.line, stroke: colours.ground, width: 2 }, drag: { x: false, y: false } },
      scales: { x: { range }, y: { range: (_, __, most) => [0, Math.max(scale().least, most * 1.12)] } },
      axes: [
        axis(colours, { size: 26, space: 70, incrs: TIME_STEPS, values: (_, ticks, __, ___, step) => ticks.map((tick) => (step < 60 ? timeOfDay : clock)(tick * 1000)), grid: { show: false } }),
        axis(colours, {
          size: 74,
          space: 40,
          ...(binary ? { incrs: BINARY_STEPS } : {}),
          values: (_, ticks) => ticks.map((tick) => (tick ? scale().format(tick) : "0")),
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
      plugins: [told((value) => scale().format(value))],
    } as uPlot.Options,
    data as uPlot.AlignedData,
    element,
  );
}

interface Colours {
  line: string;
  text: string;
  grid: string;
  ground: string;
}

/** As the page has them now, in numbers that a canvas can mix. */
function coloursOf(element: HTMLElement, tone: string): Colours {
  const read = (name: string): string => {
    // A new one each time: one that changes its colour may be on the way from the last one still.
    const probe = element.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g) ?? ["0", "0", "0"];
    probe.remove();
    return `rgb(${red} ${green} ${blue})`;
  };
  return { line: read(tone), text: read("text-3"), grid: read("border"), ground: read("surface") };
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
        tip.textContent = `${format(value)} · ${timeOfDay((self.data[0][at] ?? 0) * 1000)}`;
        const left = self.cursor.left ?? 0;
        const isRight = left > self.over.clientWidth / 2;
        tip.style.left = isRight ? "" : `${left + 12}px`;
        tip.style.right = isRight ? `${self.over.clientWidth - left + 12}px` : "";
      },
    },
  };
}
