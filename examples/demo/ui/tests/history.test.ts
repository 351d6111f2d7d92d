import assert from "node:assert/strict";
import { test } from "node:test";

import { diagnostics, historyOf, HOUR, MINUTE, OFFLINE, sample, SECOND, START } from "./values.js";

test("a status lasts until another is seen, and an end keeps its reason", () => {
  const { statuses } = historyOf(
    sample(0),
    sample(1 * SECOND),
    sample(2 * SECOND, { status: "stale" }),
    sample(3 * SECOND, { status: "signedOut", endReason: "inactive" }),
  );
  assert.deepEqual(statuses, [
    { from: START, to: START + 2 * SECOND, what: { status: "active", endReason: undefined } },
    { from: START + 2 * SECOND, to: START + 3 * SECOND, what: { status: "stale", endReason: undefined } },
    { from: START + 3 * SECOND, what: { status: "signedOut", endReason: "inactive" } },
  ]);
});

test("a session that is older than the page begins when it began", () => {
  const { statuses } = historyOf(sample(5 * MINUTE));
  assert.equal(statuses[0]?.from, START);
});

test("a restoring session begins with the page, whatever it turns out to be", () => {
  const { statuses } = historyOf(sample(5 * MINUTE, { status: "restoring" }), sample(6 * MINUTE));
  assert.deepEqual(
    statuses.map(({ from }) => from),
    [START + 5 * MINUTE, START + 6 * MINUTE],
  );
});

test("every session token is a bar, and the one before it ends where it was replaced", () => {
  const { tokens } = historyOf(
    sample(0),
    sample(1 * SECOND, { expiresAt: START + 20 * SECOND + 300 }),
    sample(10 * SECOND, { expiresAt: START + 30 * SECOND }),
  );
  assert.deepEqual(tokens, [
    { from: START, to: START + 10 * SECOND, ended: false, expiresAt: START + 20 * SECOND },
    { from: START + 10 * SECOND, expiresAt: START + 30 * SECOND },
  ]);
});

test("with the session its token ends", () => {
  const { tokens } = historyOf(sample(0), { ...sample(9 * SECOND), session: { status: "signedOut", revision: 2, storage: "keychain" } });
  assert.deepEqual(tokens, [{ from: START, to: START + 9 * SECOND, ended: true, expiresAt: START + 20 * SECOND }]);
});

test("renewals, checks and the keychain's refusals are noted once, with their words", () => {
  const lastRefresh = { at: START + 5 * SECOND, ok: false, error: OFFLINE };
  const failing = diagnostics({ lastRefresh, storageError: "the keychain is locked" });
  const { refreshes, failures } = historyOf(
    sample(0),
    sample(6 * SECOND, {}, { diagnostics: failing }),
    sample(7 * SECOND, {}, { diagnostics: failing }),
    sample(9 * SECOND, {}, { diagnostics: diagnostics({ lastRefresh: { at: START + 8 * SECOND, ok: true } }) }),
  );
  assert.deepEqual(refreshes, [
    { at: START + 5 * SECOND, ok: false },
    { at: START + 8 * SECOND, ok: true },
  ]);
  assert.deepEqual(failures, [
    { at: START + 5 * SECOND, part: "renewal", message: OFFLINE.message },
    { at: START + 6 * SECOND, part: "keychain", message: "the keychain is locked" },
  ]);
});

test("a keychain that refuses again after it worked is a failure of its own", () => {
  const locked = { diagnostics: diagnostics({ storageError: "the keychain is locked" }) };
  const { failures } = historyOf(sample(0, {}, locked), sample(1 * SECOND), sample(2 * SECOND, {}, locked));
  assert.deepEqual(
    failures.map(({ at }) => at),
    [START, START + 2 * SECOND],
  );
});

test("activity is noted once, and the warning from its beginning to its end", () => {
  const { activity, warnings } = historyOf(
    sample(0),
    sample(1 * SECOND),
    sample(2 * SECOND, { expiringAt: START + 60 * SECOND }),
    sample(3 * SECOND, { lastActiveAt: START + 3 * SECOND }),
  );
  assert.deepEqual(activity, [START, START + 3 * SECOND]);
  assert.deepEqual(warnings, [{ from: START + 2 * SECOND, to: START + 3 * SECOND, what: "warning" }]);
});

test("wall time that runs ahead of waking time is a sleep; a busy page is none", () => {
  const { sleeps } = historyOf(
    sample(0),
    sample(40 * SECOND),
    sample(41 * SECOND + 8 * HOUR, {}, { awake: 41 * SECOND }),
  );
  assert.deepEqual(sleeps, [{ from: START + 40 * SECOND, to: START + 40 * SECOND + 8 * HOUR }]);
});

test("a clock that is set back begins a new history", () => {
  const history = historyOf(sample(0), sample(10 * SECOND), sample(11 * SECOND - HOUR, {}, { awake: 11 * SECOND }));
  assert.equal(history.since, START + 11 * SECOND - HOUR);
  assert.equal(history.statuses.length, 1);
});

test("a page that runs for days keeps no more than it can show", () => {
  const many = Array.from({ length: 1000 }, (_, index) => sample(index * SECOND, { lastActiveAt: START + index * SECOND }));
  assert.ok(historyOf(...many).activity.length <= 200);
});
