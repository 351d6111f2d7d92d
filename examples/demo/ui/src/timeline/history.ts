/**
 * What happened to the session, as far as a page can tell: samples in, a history out. Pure, so that it can be tested
 * without a page and drawn by anything.
 *
 * All times are in milliseconds since the Unix epoch by the app's clock.
 */
import type { Diagnostics, EndReason, Session, SessionStatus, SessionStorage } from "tauri-plugin-otpless-api";

/** What `getSession()` and `diagnostics()` said at one moment. */
export interface Sample {
  at: number;
  /** The time since some fixed point on a clock that stands still while the machine sleeps. */
  awake: number;
  session: Session;
  /** Absent where the window has no permission for it. */
  diagnostics?: Diagnostics | undefined;
}

/** Something that lasted; without `to` it lasts. */
export interface Span<T> {
  from: number;
  to?: number;
  what: T;
}

export interface Status {
  status: SessionStatus;
  endReason?: EndReason | undefined;
}

export interface Token {
  from: number;
  /** When it stopped being the one in use, because another came or the session ended. */
  to?: number;
  /** Whether it stopped because the session ended; otherwise another took its place. */
  ended?: boolean;
  expiresAt: number;
}

export type Part = "renewal" | "check" | "keychain";

export interface Exchanged {
  at: number;
  ok: boolean;
}

export interface Failure {
  at: number;
  part: Part;
  message: string;
}

export interface Sleep {
  from: number;
  to: number;
}

export interface History {
  /** When the page began to look. */
  since: number;
  statuses: Span<Status>[];
  storages: Span<SessionStorage>[];
  tokens: Token[];
  refreshTokens: Token[];
  refreshes: Exchanged[];
  activity: number[];
  /** While the inactivity warning stood. */
  warnings: Span<"warning">[];
  failures: Failure[];
  sleeps: Sleep[];
  latest: Sample;
}

/** Clocks that drift apart by more than this between two samples: the machine slept, or its clock was changed. */
export const JUMP_MS = 5_000;

/** How many of each kind are kept; a demo that runs for days must not grow for days. */
const KEPT = 200;

/** The history with `sample` in it; `undefined` before the first sample. */
export function observe(history: History | undefined, sample: Sample): History {
  const jump = history ? jumped(history.latest, sample) : 0;
  // A clock that was set back makes nonsense of every time noted so far.
  if (!history || jump < -JUMP_MS) {
    return added(begun(sample), sample);
  }
  const sleeps =
    jump > JUMP_MS ? kept([...history.sleeps, { from: history.latest.at, to: history.latest.at + jump }]) : history.sleeps;
  return added({ ...history, sleeps }, sample);
}

/** How far wall time went ahead of waking time between two samples. */
function jumped(before: Sample, now: Sample): number {
  return now.at - before.at - (now.awake - before.awake);
}

function begun(first: Sample): History {
  return {
    since: first.at,
    statuses: [],
    storages: [],
    tokens: [],
    refreshTokens: [],
    refreshes: [],
    activity: [],
    warnings: [],
    failures: [],
    sleeps: [],
    latest: first,
  };
}

function added(history: History, sample: Sample): History {
  const { session, diagnostics, at } = sample;
  const first = history.statuses.length === 0;
  const signedIn = session.status === "active" || session.status === "stale";
  // A session is older than the page that looks at it, if the page was opened later.
  const from = first && signedIn ? Math.min(session.startedAt ?? at, at) : at;
  return {
    ...history,
    latest: sample,
    statuses: spanned(history.statuses, { status: session.status, endReason: session.endReason }, from, at),
    storages: spanned(history.storages, session.storage, at, at),
    tokens: issued(history.tokens, session.expiresAt, at),
    refreshTokens: issued(history.refreshTokens, session.refreshExpiresAt, at),
    warnings: spannedIf(history.warnings, session.expiringAt !== undefined, at),
    activity: noted(history.activity, session.lastActiveAt),
    refreshes: exchanged(history.refreshes, diagnostics?.lastRefresh),
    failures: failed(history, sample),
  };
}

function spanned<T>(spans: Span<T>[], what: T, from: number, now: number): Span<T>[] {
  const last = spans.at(-1);
  if (last && last.to === undefined && same(last.what, what)) {
    return spans;
  }
  return kept([...spans.slice(0, -1), ...(last ? [{ ...last, to: last.to ?? now }] : []), { from, what }]);
}

function spannedIf(spans: Span<"warning">[], stands: boolean, at: number): Span<"warning">[] {
  const last = spans.at(-1);
  const open = last !== undefined && last.to === undefined;
  if (stands === open) {
    return spans;
  }
  return stands ? kept([...spans, { from: at, what: "warning" }]) : [...spans.slice(0, -1), { ...last!, to: at }];
}

function issued(tokens: Token[], expiresAt: number | undefined, at: number): Token[] {
  const last = tokens.at(-1);
  const open = last !== undefined && last.to === undefined;
  // The same token moves a little when the server's clock has been learned anew.
  if (open && expiresAt !== undefined && Math.abs(last.expiresAt - expiresAt) < 1000) {
    return tokens;
  }
  const ended = expiresAt === undefined;
  const before = open ? [...tokens.slice(0, -1), { ...last, to: at, ended }] : tokens;
  return ended ? before : kept([...before, { from: at, expiresAt }]);
}

function noted(moments: number[], at: number | undefined): number[] {
  return at === undefined || moments.includes(at) ? moments : kept([...moments, at].sort((a, b) => a - b));
}

function exchanged(all: Exchanged[], last: { at: number; ok: boolean } | undefined): Exchanged[] {
  return last === undefined || all.some(({ at }) => at === last.at) ? all : kept([...all, { at: last.at, ok: last.ok }]);
}

function failed({ failures, latest: before, storages }: History, { at, diagnostics }: Sample): Failure[] {
  const found: Failure[] = [];
  for (const [part, last] of [
    ["renewal", diagnostics?.lastRefresh],
    ["check", diagnostics?.lastVerify],
  ] as const) {
    if (last && !last.ok && !failures.some((known) => known.part === part && known.at === last.at)) {
      found.push({ at: last.at, part, message: last.error?.message ?? "no reason was given" });
    }
  }
  const problem = diagnostics?.storageError;
  if (problem !== undefined && (storages.length === 0 || problem !== before.diagnostics?.storageError)) {
    found.push({ at, part: "keychain", message: problem });
  }
  return found.length === 0 ? failures : kept([...failures, ...found].sort((a, b) => a.at - b.at));
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function kept<T>(all: T[]): T[] {
  return all.slice(-KEPT);
}
