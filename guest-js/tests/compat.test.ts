import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";
import { inspect } from "node:util";

import type { OTPlessResponse } from "otpless-headless-js";

import {
  captureSignIn,
  getActiveSession,
  initializeSessionManager,
  logout,
  OTPlessLogout,
  OTPlessVerifySession,
  type SignInEvent,
} from "../src/compat.js";
import { OtplessError, type ErrorKind, type ErrorPayload, type Session, type SessionStatus } from "../src/index.js";
import { collectGarbage } from "./support/garbage.js";
import { closePage, openPage, type Page } from "./support/page.js";
import { CANARY, offline, session } from "./support/values.js";

const GET = "plugin:otpless|get_session";
const LOGOUT = "plugin:otpless|logout";
const START = "plugin:otpless|start_session";
const TOKEN = "plugin:otpless|get_session_token";

const NOT_GRANTED = "Command plugin:otpless|get_session_token not allowed by ACL";

afterEach(() => {
  closePage();
  mock.restoreAll();
});

function failure(kind: ErrorKind, retryable = false): ErrorPayload {
  return { kind, message: `it failed with ${kind}`, retryable };
}

/** A core with a session of that status; the token's answer is thrown if it is no token. */
function openWith(status: SessionStatus, token: unknown = NOT_GRANTED): Page {
  return openPage((command) => {
    if (command === GET) {
      // More than a page ever gets: nothing of it may come through.
      return { ...session(1), status, sessionId: CANARY, refreshToken: CANARY, sessionToken: CANARY };
    }
    assert.equal(command, TOKEN);
    if (typeof token === "object" && token !== null && "token" in token) return token;
    throw token;
  });
}

const granted = { token: "h.p.s", expiresAt: Date.UTC(2030, 0, 1) };

for (const status of ["active", "stale"] as const) {
  test(`a session that is ${status} has its token in the answer of a page that may have it`, async () => {
    openWith(status, granted);
    assert.deepEqual(await OTPlessVerifySession(), { success: true, sessionToken: "h.p.s" });
    assert.deepEqual(await getActiveSession(), { state: "active", sessionToken: "h.p.s" });
  });

  test(`d3 a session that is ${status} has no token in the answer of a page without the permission`, async () => {
    openWith(status);
    assert.deepEqual(await OTPlessVerifySession(), { success: true });
    assert.deepEqual(await getActiveSession(), { state: "active" });
  });
}

test("d1 neither the session id nor the refresh token is in any answer, whatever the core says", async () => {
  for (const token of [NOT_GRANTED, { ...granted, refreshToken: CANARY, sessionId: CANARY }]) {
    openWith("active", token);
    for (const answer of [await OTPlessVerifySession(), await getActiveSession()]) {
      assert.equal(inspect(answer, { showHidden: true, depth: 9 }).includes(CANARY), false);
    }
  }
});

test("nobody signed in is success: false and inactive, and no token is asked for", async () => {
  const page = openWith("signedOut", granted);
  assert.deepEqual(await OTPlessVerifySession(), { success: false });
  assert.deepEqual(await getActiveSession(), { state: "inactive" });
  assert.equal(page.count(TOKEN), 0);
});

test("a keychain that has not answered is not signed out: it rejects, and can be asked again", async () => {
  openWith("restoring", granted);
  for (const ask of [OTPlessVerifySession, getActiveSession]) {
    await assert.rejects(ask, (error) => {
      assert.ok(error instanceof OtplessError);
      assert.deepEqual([error.kind, error.retryable], ["storageUnavailable", true]);
      return true;
    });
  }
});

for (const error of [
  offline,
  failure("server", true),
  failure("rateLimited", true),
  failure("storageUnavailable", true),
]) {
  test(`a token that cannot be had now (${error.kind}) does not end the session`, async () => {
    openWith("stale", error);
    assert.deepEqual(await OTPlessVerifySession(), { success: true });
    assert.deepEqual(await getActiveSession(), { state: "active" });
  });
}

for (const kind of ["notSignedIn", "rejected"] as const) {
  test(`a session that ends while its token is asked for (${kind}) is over`, async () => {
    openWith("active", failure(kind));
    assert.deepEqual(await OTPlessVerifySession(), { success: false });
    assert.deepEqual(await getActiveSession(), { state: "inactive" });
  });
}

test("a session that is another one when its token is asked for is looked at again, once", async () => {
  const page = openWith("active", failure("sessionChanged"));
  await assert.rejects(OTPlessVerifySession(), { kind: "sessionChanged" });
  assert.deepEqual([page.count(GET), page.count(TOKEN)], [2, 2]);

  const tokens = [failure("sessionChanged"), granted];
  openPage((command) => {
    if (command === GET) return session(1);
    const token = tokens.shift();
    if (token === granted) return token;
    throw token;
  });
  assert.deepEqual(await OTPlessVerifySession(), { success: true, sessionToken: "h.p.s" });
});

for (const kind of ["invalidConfig", "internal", "invalidToken"] as const) {
  test(`a defect (${kind}) is neither signed in nor signed out: it rejects`, async () => {
    openWith("active", failure(kind));
    await assert.rejects(OTPlessVerifySession(), { kind });
    await assert.rejects(getActiveSession(), { kind });
  });
}

test("a window that may not ask for the session is told which permission to add", async () => {
  openPage(() => {
    throw "Command plugin:otpless|get_session not allowed by ACL";
  });
  for (const ask of [OTPlessVerifySession, getActiveSession, () => initializeSessionManager("APP")]) {
    await assert.rejects(ask, { kind: "notPermitted", message: /"otpless:allow-get-session"/ });
  }
});

test("OTPlessLogout ends the session and says so", async () => {
  const page = openPage(() => ({ ...session(2), status: "signedOut", endReason: "logout" }));
  assert.deepEqual(await OTPlessLogout(), { success: true });
  assert.deepEqual(page.calls, [{ command: LOGOUT, args: {} }]);
});

test("OTPlessLogout is no success if somebody is signed in after it", async () => {
  openPage(() => session(3));
  assert.deepEqual(await OTPlessLogout(), { success: false });
});

test("OTPlessLogout is no success if another attempt may be one, and rejects if not", async () => {
  openPage(() => {
    throw failure("storageUnavailable", true);
  });
  assert.deepEqual(await OTPlessLogout(), { success: false });
  openPage(() => {
    throw "Command plugin:otpless|logout not allowed by ACL";
  });
  await assert.rejects(OTPlessLogout(), { kind: "notPermitted", message: /"otpless:allow-logout"/ });
});

test("logout ends the session and has no answer", async () => {
  const page = openPage(() => ({ ...session(2), status: "signedOut" }));
  assert.equal(await logout(), undefined);
  assert.deepEqual(page.calls, [{ command: LOGOUT, args: {} }]);
});

test("initializeSessionManager waits for the restore, with or without an app id, and sends none", async () => {
  const page = openPage(() => session(1));
  assert.equal(await initializeSessionManager("YOUR_APP_ID"), undefined);
  assert.equal(await initializeSessionManager(), undefined);
  assert.deepEqual(page.calls, [
    { command: GET, args: {} },
    { command: GET, args: {} },
  ]);
});

const web = { sessionId: "0123", sessionToken: "h.p.s", refreshToken: "h.r.s" };
const mobile = { sessionToken: "0123", sessionTokenJWT: "h.p.s", refreshToken: "h.r.s", state: "s-1" };
/** What stands around the session and is nobody's business. */
const around = {
  token: CANARY,
  idToken: CANARY,
  userId: "MO-1",
  identities: [{ identityValue: CANARY }],
  deviceInfo: {},
};

const captured: Record<string, [event: SignInEvent, result: unknown]> = {
  "the web spelling in sessionInfo": [
    {
      responseType: "ONETAP",
      success: true,
      statusCode: 200,
      response: { ...around, status: "SUCCESS", sessionInfo: web },
    },
    web,
  ],
  "the mobile spelling in sessionInfo": [
    { responseType: "ONETAP", statusCode: 200, response: { ...around, status: "SUCCESS", sessionInfo: mobile } },
    mobile,
  ],
  "the web spelling in the response": [
    { responseType: "ONETAP", response: { ...around, success: true, ...web } },
    { success: true, ...web },
  ],
  "the mobile spelling in the response": [{ responseType: "ONETAP", response: { ...around, ...mobile } }, mobile],
  "the mobile spelling beside an empty place": [
    { responseType: "ONETAP", response: { ...around, ...mobile, sessionInfo: null } },
    mobile,
  ],
};
for (const [what, [event, result]] of Object.entries(captured)) {
  test(`captureSignIn starts the session with ${what}, and passes nothing else on`, async () => {
    const page = openPage(() => session(1));
    const before = structuredClone(event);
    assert.deepEqual(await captureSignIn(event), session(1));
    assert.deepEqual(page.calls, [{ command: START, args: { result } }]);
    assert.deepEqual(event, before);
  });
}

for (const responseType of [
  "INITIATE",
  "VERIFY",
  "OTP_AUTO_READ",
  "FAILED",
  "FALLBACK_TRIGGERED",
  "SESSION_END",
  "onetap",
  "",
]) {
  test(`captureSignIn ignores ${JSON.stringify(responseType)}`, async () => {
    const page = openPage(() => session(1));
    const failed = { success: false, statusCode: 400, response: { sessionInfo: web } };
    assert.equal(await captureSignIn({ responseType, ...failed }), undefined);
    assert.deepEqual(page.calls, []);
  });
}

const failed: Record<string, [event: object, field: RegExp, code?: string]> = {
  "success: false": [{ success: false, response: { errorCode: "7102", sessionInfo: web } }, /^success /, "7102"],
  "a status code of 400": [{ statusCode: 400, response: { sessionInfo: web } }, /^statusCode /],
  "a status code of 0": [{ statusCode: 0, response: { sessionInfo: web } }, /^statusCode /],
  "a status of FAILED": [{ success: true, response: { status: "FAILED", sessionInfo: web } }, /^status /],
  "an error code that is none": [{ success: false, response: { errorCode: CANARY } }, /^success /],
  "no response": [{ success: true }, /^response /],
  "a response that is text": [{ response: CANARY }, /^response /],
};
for (const [what, [event, message, code]] of Object.entries(failed)) {
  test(`captureSignIn rejects an ONETAP with ${what}, without a call and without quoting it`, async () => {
    const page = openPage(() => session(1));
    await assert.rejects(captureSignIn({ responseType: "ONETAP", ...event }), (error) => {
      assert.ok(error instanceof OtplessError);
      assert.deepEqual([error.kind, error.retryable, error.code], ["invalidArgument", false, code]);
      assert.match(error.message, message);
      const shown = inspect(error, { showHidden: true, depth: 9 });
      for (const secret of [CANARY, "h.p.s", "h.r.s"]) assert.equal(shown.includes(secret), false);
      return true;
    });
    assert.deepEqual(page.calls, []);
  });
}

for (const event of [undefined, null, "ONETAP", {}, { sessionInfo: web }, { responseType: 1 }]) {
  test(`captureSignIn says that ${JSON.stringify(event)} is no event`, async () => {
    openPage(() => session(1));
    await assert.rejects(captureSignIn(event as SignInEvent), { kind: "invalidArgument", message: /responseType/ });
  });
}

test("what the core says of a sign-in is what captureSignIn rejects with", async () => {
  openPage(() => {
    throw failure("invalidToken");
  });
  const event = { responseType: "ONETAP", response: { sessionInfo: web } };
  await assert.rejects(captureSignIn(event), { kind: "invalidToken" });
});

test("captureSignIn neither writes an event anywhere nor keeps it", async () => {
  const written: unknown[] = [];
  for (const method of ["debug", "error", "info", "log", "trace", "warn"] as const) {
    mock.method(console, method, (...what: unknown[]) => written.push(what));
  }
  const page = openPage(() => session(1));
  const kept = await (async () => {
    const event = { responseType: "ONETAP", response: { ...around, sessionInfo: { ...web } } };
    await captureSignIn(event);
    return [new WeakRef(event), new WeakRef(event.response), new WeakRef(event.response.sessionInfo)];
  })();
  assert.equal(page.count(START), 1);
  page.calls.length = 0;
  await collectGarbage();
  assert.deepEqual(
    kept.map((ref) => ref.deref()),
    [undefined, undefined, undefined],
  );
  assert.deepEqual(written, []);
});

test("the events of otpless-headless-js itself are taken", async (t) => {
  const page = openPage(() => session(1));
  Object.assign(globalThis, { document: window.document });
  t.after(() => Reflect.deleteProperty(globalThis, "document"));
  const { otpless } = await import("otpless-headless-js");

  let emit!: (event: OTPlessResponse) => void;
  window.OTPless = class {
    constructor(callback: (event: OTPlessResponse) => void) {
      emit = callback;
    }
  };
  const answers: Promise<Session | undefined>[] = [];
  const take = (event: OTPlessResponse): void => void answers.push(captureSignIn(event));
  otpless.on({ ONETAP: take, FAILED: take });
  const ready = otpless.init("YOUR_APP_ID");
  document.getElementById("otpless-sdk")?.dispatchEvent(new window.Event("load"));
  await ready;
  emit({ responseType: "FAILED", success: false, statusCode: 400, response: {} });
  emit({ responseType: "ONETAP", success: true, statusCode: 200, response: { status: "SUCCESS", sessionInfo: web } });
  assert.deepEqual(await Promise.all(answers), [undefined, session(1)]);
  assert.deepEqual(page.calls, [{ command: START, args: { result: web } }]);
});
