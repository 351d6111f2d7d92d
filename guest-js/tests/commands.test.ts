import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import {
  diagnostics,
  getSession,
  getSessionToken,
  isOtplessError,
  logout,
  recordActivity,
  refreshSession,
  sessionDetails,
  startSession,
  verifySession,
} from "../src/index.js";
import { closePage, openPage } from "./support/page.js";
import { session } from "./support/values.js";

afterEach(closePage);

const signIn = {
  responseType: "ONETAP",
  response: { sessionInfo: { sessionId: "0123", sessionToken: "a.b.c", refreshToken: "d.e.f" } },
};

const commands: [what: string, run: () => Promise<unknown>, command: string, args: unknown][] = [
  ["getSession", getSession, "plugin:otpless|get_session", {}],
  ["logout", logout, "plugin:otpless|logout", {}],
  ["recordActivity", recordActivity, "plugin:otpless|record_activity", {}],
  ["verifySession", verifySession, "plugin:otpless|verify_session", {}],
  ["refreshSession", refreshSession, "plugin:otpless|refresh_session", {}],
  ["sessionDetails", sessionDetails, "plugin:otpless|get_session_details", {}],
  ["diagnostics", diagnostics, "plugin:otpless|diagnostics", {}],
  ["startSession", () => startSession(signIn), "plugin:otpless|start_session", { result: signIn }],
  ["getSessionToken", getSessionToken, "plugin:otpless|get_session_token", {}],
  [
    "getSessionToken with a least validity",
    () => getSessionToken({ minValidity: 90 }),
    "plugin:otpless|get_session_token",
    { minValidity: 90 },
  ],
  [
    "getSessionToken with a least validity of nothing",
    () => getSessionToken({ minValidity: 0 }),
    "plugin:otpless|get_session_token",
    { minValidity: 0 },
  ],
];

for (const [what, run, command, args] of commands) {
  test(`${what} calls ${command} once with ${JSON.stringify(Object.keys(args as object))} and hands on its answer`, async () => {
    const answer = session(7);
    const page = openPage(() => answer);
    assert.equal(await run(), answer);
    assert.deepEqual(page.calls, [{ command, args }]);
  });
}

for (const minValidity of [NaN, Infinity, -1, "60" as unknown as number]) {
  test(`getSessionToken refuses a least validity of ${JSON.stringify(minValidity)} (${String(minValidity)}) without a call`, async () => {
    const page = openPage(() => ({ token: "a.b.c", expiresAt: 1 }));
    await assert.rejects(getSessionToken({ minValidity }), (error) => {
      assert.ok(isOtplessError(error));
      assert.equal(error.kind, "invalidArgument");
      assert.match(error.message, /minValidity/);
      return true;
    });
    assert.deepEqual(page.calls, []);
  });
}
