/**
 * Where a moment is drawn. One straight scale would not do: a token lives for seconds or for a day, a refresh token for
 * weeks, and a machine sleeps for hours in which nothing happens. So the scale has three parts, from left to right:
 *
 * - what was: as long as the page has looked, every waking second alike, every sleep a gap of one width;
 * - what comes soon: at the same pace;
 * - what comes later: one step for each thing that is due, however far away it is.
 */
import type { History, Sleep } from "./history.js";

/** Moments and where they are drawn, from 0 (left) to 1 (right), in the order of time. */
export interface Scale {
  knots: readonly Knot[];
  /** The sleeps that can be seen. */
  gaps: readonly Gap[];
  now: number;
  /** Where the later part begins; 1 if there is none. */
  laterFrom: number;
  /** The moments of the later part. */
  later: readonly number[];
}

export interface Knot {
  at: number;
  x: number;
}

export interface Gap extends Sleep {
  left: number;
  right: number;
}

const SHORTEST_PAST_MS = 30_000;
const LONGEST_PAST_MS = 20 * 60_000;

/** What comes soon, as a share of what was. */
const SOON = 0.15;
const GAP_WIDTH = 0.05;
const STEP_WIDTH = 0.1;
const WIDEST_LATER = 0.4;

/** Steps that would fall closer together than this share of what was are one. */
const TOGETHER = 0.02;

/** The scale at `now` for a history and the moments at which something is due. */
export function scaleFor(history: History, now: number, due: readonly number[]): Scale {
  const past = Math.min(Math.max(awake(history.since, now, history.sleeps), SHORTEST_PAST_MS), LONGEST_PAST_MS);
  const soon = now + past * SOON;
  const later = [...new Set(due)].filter((at) => at > soon).sort((a, b) => a - b);
  const steps = merged(later, past * TOGETHER);
  const laterWidth = Math.min(steps.length * STEP_WIDTH, WIDEST_LATER);
  const laterFrom = steps.length === 0 ? 1 : 1 - laterWidth;

  const shown = visible(history.sleeps, now, past);
  const pace = (laterFrom - shown.length * GAP_WIDTH) / (past * (1 + SOON));
  const knots: Knot[] = [{ at: soon, x: laterFrom }];
  const gaps: Gap[] = [];
  let x = laterFrom - past * SOON * pace;
  let at = now;
  let left = past;
  knots.unshift({ at, x });
  for (const sleep of [...shown].reverse()) {
    left -= at - sleep.to;
    x -= (at - sleep.to) * pace;
    knots.unshift({ at: sleep.to, x });
    gaps.unshift({ ...sleep, left: x - GAP_WIDTH, right: x });
    x -= GAP_WIDTH;
    at = sleep.from;
    knots.unshift({ at, x });
  }
  knots.unshift({ at: at - left, x: 0 });

  for (const [index, step] of steps.entries()) {
    // The last step stands clear of the edge, where its label would not fit.
    knots.push({ at: step, x: laterFrom + ((index + 0.7) * laterWidth) / steps.length });
  }
  return { knots, gaps, now, laterFrom, later: steps };
}

/** Where `at` is drawn; the edge if it lies beyond. */
export function position({ knots }: Scale, at: number): number {
  const next = knots.findIndex((knot) => knot.at >= at);
  if (next === -1) {
    return 1;
  }
  const [before, after] = [knots[next - 1], knots[next]!];
  if (!before) {
    return 0;
  }
  const share = after.at === before.at ? 1 : (at - before.at) / (after.at - before.at);
  return before.x + share * (after.x - before.x);
}

/** The first moment the scale shows. */
export function beginning({ knots }: Scale): number {
  return knots[0]!.at;
}

/** Waking time between two moments. */
export function awake(from: number, to: number, sleeps: readonly Sleep[]): number {
  const slept = sleeps.map((sleep) => Math.max(0, Math.min(sleep.to, to) - Math.max(sleep.from, from)));
  return to - from - slept.reduce((sum, part) => sum + part, 0);
}

function visible(sleeps: readonly Sleep[], now: number, past: number): Sleep[] {
  // Not more than leave room for the rest.
  return sleeps.filter(({ to }) => to <= now && awake(to, now, sleeps) < past).slice(-4);
}

function merged(moments: readonly number[], distance: number): number[] {
  const all: number[] = [];
  for (const at of moments) {
    if (at - (all.at(-1) ?? -Infinity) >= distance) {
      all.push(at);
    }
  }
  return all;
}
