/** The timeline in sentences: all that the drawing shows, for whoever does not see it. */
import { moment, span } from "../time.js";
import { FAILED_PART, STATUS_SHORT, STORAGE_SHORT } from "../words.js";
import type { History, Span, Status } from "./history.js";

/** The sentences never count down, so that they change only when something happens. */
export function inWords(history: History): string[] {
  const { statuses, storages, tokens, refreshTokens, activity, latest, sleeps } = history;
  const { session } = latest;
  const sentences = [`Session: ${listed(statuses, statusShort)}.`];
  const token = tokens.at(-1);
  if (token && token.to === undefined) {
    const replaced = tokens.length === 1 ? "" : ` It is number ${tokens.length} since this page was opened.`;
    sentences.push(`Session token: good until ${moment(token.expiresAt)}.${replaced}`);
  }
  const refreshToken = refreshTokens.at(-1);
  if (refreshToken && refreshToken.to === undefined) {
    sentences.push(`Refresh token: good until ${moment(refreshToken.expiresAt)}.`);
  }
  sentences.push(renewals(history));
  const active = activity.at(-1);
  if (active !== undefined) {
    sentences.push(`Activity: ${times(activity.length)} noted, last at ${moment(active)}.`);
  }
  const deadlines = [
    ...(session.inactivityDeadline === undefined ? [] : [`without activity the session ends at ${moment(session.inactivityDeadline)}`]),
    ...(session.expiringAt === undefined ? [] : ["the warning of that stands now"]),
    ...(session.lifetimeDeadline === undefined ? [] : [`in any case it ends at ${moment(session.lifetimeDeadline)}`]),
  ];
  if (deadlines.length > 0) {
    sentences.push(`Deadlines: ${deadlines.join("; ")}.`);
  }
  const failures = history.failures.slice(-3).map(({ at, part, message }) => `${FAILED_PART[part]} at ${moment(at)}: ${message}`);
  sentences.push(`Failures: ${failures.length === 0 ? "none" : failures.join("; ")}.`);
  sentences.push(`Storage: ${listed(storages, (storage) => STORAGE_SHORT[storage])}.`);
  if (sleeps.length > 0) {
    const said = sleeps.slice(-3).map(({ from, to }) => `${span(to - from)} from ${moment(from)} to ${moment(to)}`);
    sentences.push(`The machine slept, or its clock was moved on: ${said.join("; ")}.`);
  }
  return sentences;
}

export function statusShort({ status, endReason }: Status): string {
  return status === "signedOut" && endReason ? `signed out (${endReason})` : STATUS_SHORT[status];
}

function renewals({ refreshes, latest }: History): string {
  const { session, diagnostics } = latest;
  const worked = refreshes.filter(({ ok }) => ok);
  const failed = refreshes.length - worked.length;
  const last = refreshes.at(-1);
  const next = session.status === "signedOut" ? undefined : diagnostics?.nextRefreshAt;
  return [
    `Renewals: ${worked.length} done, ${failed} failed`,
    ...(last ? [`, last at ${moment(last.at)}`] : []),
    ...(next === undefined ? [] : [`, ${next > latest.at ? "next due at" : "due since"} ${moment(next)}`]),
    ".",
  ].join("");
}

function listed<T>(spans: readonly Span<T>[], name: (what: T) => string): string {
  const shown = spans.slice(-4).map(({ from, what }) => `${name(what)} from ${moment(from)}`);
  return shown.join(", then ");
}

function times(count: number): string {
  return count === 1 ? "once" : count === 0 ? "never" : `${count} times`;
}
