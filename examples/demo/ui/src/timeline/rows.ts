/** The rows of the timeline: what each of them draws for a history, on a scale. */
import type { SessionStorage } from "tauri-plugin-otpless-api";

import type { History, Span, Status, Token } from "./history.js";
import { beginning, position, type Scale } from "./scale.js";
import { bar, line, mark, svg, text } from "./svg.js";
import { statusShort } from "./words.js";

/** Where to draw: moments across, the row's middle down. */
export interface Place {
  x: (at: number) => number;
  middle: number;
  /** The first moment there is room for. */
  from: number;
  /** Where sleeps are cut out. */
  gaps: readonly (readonly [left: number, right: number])[];
  /** Where the present and the edges are. */
  now: number;
  left: number;
  right: number;
}

export interface Row {
  name: string;
  draw: (history: History, place: Place) => Element[];
}

/** About the width of a bold letter in the drawing's own size. */
const LETTER = 6.9;
const BAR = 15;
const LANE = 7;

export const ROWS: readonly Row[] = [
  { name: "Session", draw: ({ statuses }, place) => spans(statuses, place, session) },
  { name: "Session token", draw: ({ tokens }, place) => tokenBars(tokens, place, true) },
  { name: "Refresh token", draw: ({ refreshTokens }, place) => tokenBars(refreshTokens, place, false) },
  { name: "Renewals", draw: renewals },
  { name: "Activity", draw: ({ activity }, place) => visible(activity, place).map((at) => mark("active", clear(place.x(at), place), place.middle)) },
  { name: "Deadlines", draw: deadlines },
  { name: "Failures", draw: failures },
  { name: "Storage", draw: ({ storages }, place) => spans(storages, place, storage) },
];

/** The failures that have a number in the drawing, and their words below it. */
export function numbered({ failures }: History): History["failures"] {
  return failures.slice(-3);
}

/** The moments at which something is due. */
export function dueTimes({ latest: { session, diagnostics } }: History): number[] {
  const { status, expiresAt, refreshExpiresAt, inactivityDeadline, lifetimeDeadline } = session;
  const next = status === "signedOut" ? undefined : diagnostics?.nextRefreshAt;
  return [expiresAt, refreshExpiresAt, inactivityDeadline, lifetimeDeadline, next].filter((at) => at !== undefined);
}

interface Look {
  kind: string;
  /** From the longest to the shortest, of which the first that fits is used. */
  names: string[];
  hatched?: string;
  thin?: boolean;
  /** Whether something ended when this began. */
  end?: boolean;
}

function session(what: Status): Look {
  switch (what.status) {
    case "active":
      return { kind: "bar good", names: ["active"] };
    case "stale":
      return { kind: "bar warn", names: ["stale"], hatched: "hatched-warn" };
    case "restoring":
      return { kind: "bar unknown", names: ["restoring"] };
    case "signedOut":
      return { kind: "over", names: [statusShort(what), what.endReason ?? "signed out"], thin: true, end: what.endReason !== undefined };
  }
}

function storage(what: SessionStorage): Look {
  switch (what) {
    case "keychain":
      return { kind: "bar good", names: ["keychain"] };
    case "ephemeral":
      return { kind: "bar warn", names: ["memory only", "memory"], hatched: "hatched-warn" };
    case "unavailable":
      return { kind: "bar bad", names: ["unavailable", "no answer"] };
  }
}

function spans<T>(all: readonly Span<T>[], place: Place, look: (what: T) => Look): Element[] {
  const drawn: Element[] = [];
  for (const { from, to, what } of all) {
    const [x1, x2] = [place.x(from), to === undefined ? place.now : place.x(to)];
    if (x2 <= place.left) {
      continue;
    }
    const { kind, names, hatched, thin, end: ended } = look(what);
    if (thin) {
      drawn.push(line(x1, place.middle, x2, place.middle, kind));
      if (ended && x1 > place.left) {
        drawn.push(mark("end", clear(x1, place), place.middle));
      }
    } else {
      const shape = bar(x1, x2, place.middle - BAR / 2, BAR, kind);
      if (hatched) {
        shape.setAttribute("fill", `url(#${hatched})`);
      }
      drawn.push(shape);
    }
    // What it is now is always said, if need be beside the bar.
    const present = to === undefined;
    const [start, end] = widest(x1 + (thin ? 9 : 0), x2, place.gaps);
    const inside = names.find((candidate) => candidate.length * LETTER + 6 <= end - start);
    const beside = names.find((candidate) => candidate.length * LETTER + 10 <= place.right - x2) ?? names.at(-1);
    const name = inside ?? (present ? beside : undefined);
    if (name !== undefined) {
      const width = name.length * LETTER + 6;
      const left = inside === undefined ? x2 + 4 : thin ? start : (start + end) / 2 - width / 2;
      // On a hatching or a line letters need a ground of their own.
      if (thin || hatched || inside === undefined) {
        drawn.push(svg("rect", { x: left, y: place.middle - 7, width, height: 14, rx: 3, class: "ground" }));
      }
      drawn.push(text(left + width / 2, place.middle + 4, name, "inside"));
    }
  }
  return drawn;
}

/** Where a mark is drawn that a sleep would hide half of: beside it. */
function clear(x: number, { gaps }: Place): number {
  const room = 8;
  const near = gaps.find(([left, right]) => x > left - room && x < right + room);
  if (!near) {
    return x;
  }
  const [left, right] = near;
  return x < (left + right) / 2 ? left - room : right + room;
}

/** The widest stretch between two places that no sleep has been cut out of. */
function widest(from: number, to: number, gaps: Place["gaps"]): readonly [number, number] {
  const edges = [from, ...gaps.flat().filter((x) => x > from && x < to), to];
  const isGap = (left: number): boolean => gaps.some(([begin, end]) => left >= begin && left < end);
  let best: readonly [number, number] = [from, from];
  for (const [index, left] of edges.entries()) {
    const right = edges[index + 1];
    if (right !== undefined && !isGap(left) && right - left > best[1] - best[0]) {
      best = [left, right];
    }
  }
  return best;
}

/**
 * Tokens overlap, since each is renewed before it expires: every other one is in the lower lane. A session token
 * `outlives` its replacement, a refresh token is spent by it.
 */
function tokenBars(tokens: readonly Token[], place: Place, outlives: boolean): Element[] {
  const drawn: Element[] = [];
  for (const [index, { from, to, ended, expiresAt }] of tokens.entries()) {
    const y = place.middle + (index % 2 === 0 ? -LANE - 1 : 1);
    const [x1, end, until] = [place.x(from), place.x(expiresAt), to === undefined ? undefined : place.x(to)];
    if (Math.max(end, until ?? 0) <= place.left) {
      continue;
    }
    const used = Math.min(end, until ?? end);
    if (outlives && !ended && end > used + 1) {
      drawn.push(bar(used, end, y, LANE, "bar spare"));
    }
    drawn.push(bar(x1, used, y, LANE, "bar token"));
    if (until === undefined || expiresAt <= (to ?? 0)) {
      drawn.push(line(end, y - 3, end, y + LANE + 3, "expiry"));
    }
  }
  return drawn;
}

function renewals({ refreshes, latest: { session, diagnostics } }: History, place: Place): Element[] {
  const drawn = visible(refreshes, place, ({ at }) => at).map(({ at, ok }) =>
    mark(ok ? "done" : "failed", clear(place.x(at), place), place.middle),
  );
  const next = session.status === "signedOut" ? undefined : diagnostics?.nextRefreshAt;
  // What is overdue is due now.
  return next === undefined ? drawn : [...drawn, mark("next", Math.max(place.x(next), place.now), place.middle)];
}

function deadlines({ warnings, latest: { session } }: History, place: Place): Element[] {
  const drawn: Element[] = [];
  const lanes = [
    [session.inactivityDeadline, session.lastActiveAt, "inactivity", -7],
    [session.lifetimeDeadline, session.startedAt, "lifetime", 7],
  ] as const;
  for (const [index, { from, to }] of warnings.entries()) {
    const stands = to === undefined && index === warnings.length - 1 ? session.expiringAt : to;
    const x2 = place.x(stands ?? from);
    if (x2 > place.left) {
      const warning = bar(place.x(from), x2, place.middle - 12, 10, "bar warn");
      warning.setAttribute("fill", "url(#hatched-warn)");
      drawn.push(warning);
    }
  }
  for (const [at, from, name, lane] of lanes) {
    if (at !== undefined && from !== undefined) {
      const [x1, x2, y] = [place.x(from), place.x(at), place.middle + lane];
      drawn.push(line(x1, y, x2 - 9, y, "leading"), mark("flag", x2, y));
      const width = name.length * LETTER;
      drawn.push(
        svg("rect", { x: x2 - 14 - width, y: y - 7, width: width + 3, height: 14, rx: 3, class: "ground" }),
        text(x2 - 13 - width / 2, y + 4, name, "inside"),
      );
    }
  }
  return drawn;
}

function failures(history: History, place: Place): Element[] {
  const numbers = numbered(history);
  const drawn: Element[] = [];
  let taken = -Infinity;
  for (const failure of visible(history.failures, place, ({ at }) => at)) {
    const x = clear(place.x(failure.at), place);
    drawn.push(mark("failed", x, place.middle));
    const number = numbers.indexOf(failure) + 1;
    if (number > 0 && x > taken + 16) {
      drawn.push(text(x + 11, place.middle + 4, String(number), "number"));
      taken = x;
    }
  }
  return drawn;
}

/** Those within the window; what is older would pile up at its edge. */
function visible<T>(all: readonly T[], place: Place, moment: (of: T) => number = (of) => of as number): T[] {
  return all.filter((one) => moment(one) >= place.from);
}

/** The place of a row on a scale that is `width` wide from `left` on. */
export function placeOf(scale: Scale, left: number, width: number, middle: number): Place {
  const x = (at: number): number => left + position(scale, at) * width;
  const gaps = scale.gaps.map((gap) => [left + gap.left * width, left + gap.right * width] as const);
  return { x, middle, from: beginning(scale), gaps, now: x(scale.now), left, right: left + width };
}
