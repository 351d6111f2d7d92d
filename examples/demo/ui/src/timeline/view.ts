/** Samples the session as any app could, keeps its history and shows it. */
import { diagnostics, getSession, isOtplessError, type Diagnostics, type Session } from "tauri-plugin-otpless-api";

import { now } from "../clock.js";
import { byId, create, setText } from "../dom.js";
import { everySecond, moment } from "../time.js";
import { FAILED_PART } from "../words.js";
import { draw } from "./drawing.js";
import { observe, type History } from "./history.js";
import { numbered } from "./rows.js";
import { mark, svg, type Shape } from "./svg.js";
import { inWords } from "./words.js";

/** With reduced motion the drawing moves on only when something happened, or this often. */
const CALM_MS = 15_000;

const LEGEND: readonly (readonly [Shape, string])[] = [
  ["done", "renewed"],
  ["failed", "failed"],
  ["next", "renewal due"],
  ["active", "activity"],
  ["flag", "deadline"],
  ["end", "session ended"],
];

let history: History | undefined;
let said = "";
let drawnAt = -Infinity;
let sampling = false;
let told: (session: Session, report: Diagnostics) => void = () => {};

/** Begins to look. `onReport` is told what the diagnostics say beside the session they belong to. */
export function setUpTimeline(onReport: (session: Session, report: Diagnostics) => void): void {
  told = onReport;
  byId("timeline-card").hidden = false;
  byId("timeline-legend").replaceChildren(...LEGEND.map(([shape, name]) => legendEntry(shape, name)));
  new ResizeObserver(() => redraw(true)).observe(byId("timeline-figure"));
  everySecond(() => void sample());
}

/** Looks at once: something has changed. */
export async function sample(): Promise<void> {
  // The next second looks again, so a question that takes its time, as at start-up, is not asked twice.
  if (sampling) {
    return;
  }
  sampling = true;
  try {
    const [session, report] = await Promise.all([getSession(), diagnostics()]);
    history = observe(history, { at: now(), awake: performance.now(), session, diagnostics: report });
    told(session, report);
    redraw(false);
  } catch (error) {
    // Whatever is wrong with the session shows where it is asked for by hand; the timeline has a gap.
    if (!isOtplessError(error)) {
      throw error;
    }
  } finally {
    sampling = false;
  }
}

function redraw(always: boolean): void {
  const width = byId("timeline-figure").clientWidth;
  if (!history || width === 0) {
    return;
  }
  const sentences = inWords(history);
  const words = sentences.join(" ");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!always && calm && words === said && performance.now() - drawnAt < CALM_MS) {
    return;
  }
  drawnAt = performance.now();
  const drawing = byId<SVGSVGElement>("timeline", SVGSVGElement);
  draw(drawing, history, now(), width);
  if (words !== said) {
    said = words;
    drawing.setAttribute("aria-label", `Timeline of the session. ${words}`);
    byId("timeline-words").replaceChildren(...sentences.map((sentence) => create("li", sentence)));
    showFailures(history);
  }
}

function showFailures(from: History): void {
  const list = byId("timeline-failures");
  list.replaceChildren(
    ...numbered(from).map(({ at, part, message }) => {
      const entry = create("li");
      const what = create("strong", `${FAILED_PART[part]}, ${moment(at)}: `);
      entry.append(what, message);
      return entry;
    }),
  );
  list.hidden = from.failures.length === 0;
}

function legendEntry(shape: Shape, name: string): HTMLLIElement {
  const entry = create("li");
  entry.append(svg("svg", { viewBox: "0 0 16 16", class: "sample", "aria-hidden": "true" }, mark(shape, shape === "flag" ? 12 : 8, 8)));
  const label = create("span");
  setText(label, name);
  entry.append(label);
  return entry;
}
