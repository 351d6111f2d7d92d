import assert from "node:assert/strict";
import { test } from "node:test";

import { remaining, span } from "../src/time.js";
import { inWords } from "../src/timeline/words.js";
import { why } from "../src/why.js";
import { diagnostics, historyOf, HOUR, MINUTE, OFFLINE, sample, SECOND, session, START } from "./values.js";

const failing = diagnostics({ lastRefresh: { at: START + 5 * SECOND, ok: false, error: OFFLINE } });

test("the timeline in words names the status with its reason, failures, storage and sleeps", () => {
  const words = inWords(
    historyOf(
      sample(0),
      sample(6 * SECOND, { status: "stale", storage: "ephemeral" }, { diagnostics: failing }),
      sample(7 * SECOND + 8 * HOUR, { status: "signedOut", endReason: "inactive" }, { awake: 7 * SECOND }),
    ),
  ).join("\n");
  for (const part of [
    /^Session: active from .*, then stale from .*, then signed out \(inactive\) from /m,
    /^Renewals: 0 done, 1 failed, last at /m,
    /^Failures: Renewal at .*: OTPless could not be reached\.$/m,
    /^Storage: in the keychain from .*, then in memory only from .*, then in the keychain from /m,
    /slept.*: 8 h from /m,
  ]) {
    assert.match(words, part);
  }
});

test("the timeline in words says what is due and leaves out what is off", () => {
  const next = diagnostics({ nextRefreshAt: START + 10 * SECOND });
  const words = inWords(historyOf(sample(0, { lifetimeDeadline: START + 24 * HOUR }, { diagnostics: next }))).join("\n");
  assert.match(words, /Renewals: 0 done, 0 failed, next due at /);
  assert.match(words, /^Deadlines: in any case it ends at [^;]*$/m);
  assert.match(words, /^Failures: none\.$/m);
  assert.doesNotMatch(words, /slept/);
});

test("the timeline in words stays the same while nothing happens", () => {
  const history = historyOf(sample(0));
  assert.deepEqual(inWords(history), inWords(historyOf(sample(0), sample(1 * SECOND))));
});

test("a stale session says what went wrong and what to do", () => {
  const reason = why(session({ status: "stale" }), failing);
  assert.equal(reason?.cause, "network");
  assert.match(reason.sentences.join(" "), /failed: OTPless could not be reached \(9100\)\. Check the connection/);
});

test("a stale session whose renewal has not been tried does not blame the last one, which worked", () => {
  const fine = diagnostics({ lastRefresh: { at: START, ok: true } });
  assert.equal(why(session({ status: "stale" }), fine)?.cause, "waiting");
  assert.equal(why(session({ status: "stale" }), undefined)?.cause, "waiting");
});

test("a session that is not in the keychain says what the keychain said", () => {
  const locked = diagnostics({ storageError: "the keychain is locked" });
  const memory = why(session({ storage: "ephemeral" }), locked);
  assert.equal(memory?.cause, "ephemeral");
  assert.match(memory.sentences.join(" "), /the keychain is locked.*Unlock/);
  const unknown = why(session({ status: "restoring", storage: "unavailable" }), locked);
  assert.equal(unknown?.cause, "unavailable");
  const both = why(session({ status: "stale", storage: "ephemeral" }), { ...failing, storageError: "the keychain is locked" });
  assert.match(both?.sentences.join(" ") ?? "", /could not be reached.*the keychain is locked/);
});

test("a session that is well needs no reason, nor does one that is over", () => {
  assert.equal(why(session(), failing), undefined);
  assert.equal(why(session({ status: "signedOut", storage: "ephemeral" }), failing), undefined);
});

test("lengths of time are said in one or two words", () => {
  assert.deepEqual([8 * HOUR, 90 * MINUTE, 7 * 24 * HOUR, 20 * SECOND, 400, 59_800].map(span), [
    "8 h",
    "1 h 30 min",
    "7 d",
    "20 s",
    "0 s",
    "1 min",
  ]);
  assert.equal(remaining(START + 90 * SECOND, START), "1 min 30 s");
});
