/** The timeline as a drawing: the rows on their common scale, with what goes through all of them. */
import { span } from "../time.js";
import type { History } from "./history.js";
import { dueTimes, placeOf, ROWS } from "./rows.js";
import { beginning, position, scaleFor, type Gap, type Scale } from "./scale.js";
import { hatching, line, svg, text } from "./svg.js";

/** From this width on the rows' names stand beside them, below it above. */
const WIDE = 480;
const BESIDE = 96;
const TOP = 22;
const BOTTOM = 22;
const SECOND_LINE = 13;
const MARGIN = 6;

/** Distances between the marks of the axis, in seconds: the closest that leaves room for the times is used. */
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 1200];
const TIME_WIDTH = 60;
const LATER_WIDTH = 50;

/** Fills `drawing`, which is `width` pixels wide, with the history as it is at `now`. */
export function draw(drawing: SVGSVGElement, history: History, now: number, width: number): void {
  const wide = width >= WIDE;
  const left = wide ? BESIDE : MARGIN;
  const across = width - left - MARGIN;
  const rowHeight = wide ? 30 : 46;
  const bottom = TOP + ROWS.length * rowHeight;
  const scale = scaleFor(history, now, dueTimes(history));
  const crowded = ((1 - scale.laterFrom) * across) / scale.later.length < LATER_WIDTH;
  const height = bottom + BOTTOM + (crowded ? SECOND_LINE : 0);
  const x = (at: number): number => left + position(scale, at) * across;

  const back: Element[] = [];
  const front: Element[] = [];
  if (scale.later.length > 0) {
    const from = left + scale.laterFrom * across;
    back.push(svg("rect", { x: from, y: TOP, width: left + across - from, height: bottom - TOP, class: "later" }));
    back.push(line(from, TOP, from, bottom, "break"));
    const room = left + across - from;
    back.push(text(from + 4, TOP - 8, room > 120 ? "later, not to scale" : "later", "caption start"));
  }
  back.push(...axis(scale, x, left, bottom), ...laterAxis(scale, x, crowded, bottom));
  const opened = x(history.since);
  if (opened > left + 1) {
    back.push(line(opened, TOP, opened, bottom, "opened"));
  }

  const rows = ROWS.flatMap((row, index) => {
    const y = TOP + index * rowHeight;
    const middle = wide ? y + rowHeight / 2 : y + rowHeight / 2 + 8;
    const name = wide ? text(0, middle + 4, row.name, "row start") : text(left, y + 13, row.name, "row start");
    return [line(0, y, width, y, "between"), name, ...row.draw(history, placeOf(scale, left, across, middle))];
  });

  front.push(...scale.gaps.flatMap((gap) => sleep(gap, left, across, bottom)));
  front.push(line(x(now), TOP - 4, x(now), bottom, "now"), text(x(now), TOP - 8, "now", "caption now"));

  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.setAttribute("height", String(height));
  drawing.replaceChildren(svg("defs", {}, hatching("hatched-warn", "warn")), ...back, ...rows, ...front);
}

/** The times of day below what was. */
function axis(scale: Scale, x: (at: number) => number, left: number, bottom: number): Element[] {
  const from = beginning(scale);
  const clear = scale.gaps.map((gap) => [x(gap.from), x(gap.to)] as const);
  const pixelsPerSecond = (x(scale.now) - x(scale.gaps.at(-1)?.to ?? from)) / ((scale.now - (scale.gaps.at(-1)?.to ?? from)) / 1000 || 1);
  const step = 1000 * (STEPS.find((seconds) => seconds * pixelsPerSecond >= TIME_WIDTH) ?? STEPS.at(-1)!);
  const drawn: Element[] = [];
  let taken = left - TIME_WIDTH / 2;
  const stretches = [from, ...scale.gaps.flatMap((gap) => [gap.from, gap.to]), scale.now];
  for (let stretch = 0; stretch < stretches.length; stretch += 2) {
    const [begin, end] = [stretches[stretch]!, stretches[stretch + 1]!];
    for (let at = Math.ceil(begin / step) * step; at <= end; at += step) {
      const here = x(at);
      const inGap = clear.some(([gapFrom, gapTo]) => here > gapFrom && here < gapTo);
      if (!inGap && here >= taken + TIME_WIDTH && here >= left + TIME_WIDTH / 2 - 8) {
        drawn.push(line(here, TOP, here, bottom + 4, "grid"), text(here, bottom + 16, clock(at), "time"));
        taken = here;
      }
    }
  }
  return drawn;
}

/** How far away it is, below each step of what comes later; in two heights where they stand close. */
function laterAxis(scale: Scale, x: (at: number) => number, crowded: boolean, bottom: number): Element[] {
  return scale.later.flatMap((at, index) => {
    const here = x(at);
    const low = crowded && index % 2 === 1;
    const what = `in ${span(at - scale.now).split(" ").slice(0, 2).join(" ")}`;
    return [line(here, TOP, here, bottom + (low ? 4 + SECOND_LINE : 4), "grid"), text(here, bottom + (low ? 16 + SECOND_LINE : 16), what, "time")];
  });
}

/** Paper torn out of the drawing. */
function sleep(gap: Gap, left: number, across: number, bottom: number): Element[] {
  const [from, to] = [left + gap.left * across, left + gap.right * across];
  const [top, teeth] = [TOP - 2, 14];
  const edge = (x: number): string => {
    const points: string[] = [];
    for (let index = 0; index <= teeth; index += 1) {
      points.push(`${(x + (index % 2 === 0 ? -2.5 : 2.5)).toFixed(1)} ${(top + ((bottom + 2 - top) * index) / teeth).toFixed(1)}`);
    }
    return points.join("L");
  };
  const back = edge(to).split("L").reverse().join("L");
  const middle = { x: (from + to) / 2, y: (top + bottom) / 2 };
  const label = text(middle.x, middle.y, `asleep for ${span(gap.to - gap.from)}`, "asleep");
  label.setAttribute("transform", `rotate(-90 ${middle.x.toFixed(1)} ${middle.y.toFixed(1)})`);
  return [
    svg("path", { d: `M${edge(from)}L${back}Z`, class: "torn" }),
    svg("path", { d: `M${edge(from)}M${edge(to)}`, class: "tear" }),
    label,
  ];
}

function clock(at: number): string {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
