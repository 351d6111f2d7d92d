import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { inspect } from "node:util";

import * as api from "../src/index.js";
import { isOtplessError, OtplessError } from "../src/index.js";
import { closePage, openPage } from "./support/page.js";
import { CANARY, offline } from "./support/values.js";

afterEach(closePage);

async function rejection(run: () => Promise<unknown>): Promise<OtplessError> {
  const outcome = await run().then(
    () => assert.fail("it should have been rejected"),
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof OtplessError, `rejected with ${inspect(outcome)}`);
  return outcome;
}

function rejectedWith(raw: unknown, run: () => Promise<unknown> = api.getSession): Promise<OtplessError> {
  openPage(() => {
    throw raw;
  });
  return rejection(run);
}

const functions: Record<string, () => Promise<unknown>> = {
  getSession: api.getSession,
  logout: api.logout,
  recordActivity: api.recordActivity,
  verifySession: api.verifySession,
  refreshSession: api.refreshSession,
  startSession: () => api.startSession({}),
  getSessionToken: api.getSessionToken,
  diagnostics: api.diagnostics,
};

for (const [name, run] of Object.entries(functions)) {
  test(`${name} rejects with an OtplessError that says what the plugin said`, async () => {
    const error = await rejectedWith(offline, run);
    assert.deepEqual(
      { name: error.name, kind: error.kind, message: error.message, retryable: error.retryable, code: error.code },
      { name: "OtplessError", ...offline },
    );
  });

  test(`${name} without its permission rejects with notPermitted and names the permission to add`, async () => {
    const command = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const error = await rejectedWith(`Command plugin:otpless|${command} not allowed by ACL`, run);
    assert.equal(error.kind, "notPermitted");
    assert.equal(error.retryable, false);
    assert.ok(error.message.includes(`"otpless:allow-${command.replaceAll("_", "-")}"`), error.message);
  });

  test(`${name} in a plain browser rejects with internal and says to open the app`, async () => {
    openPage(() => ({}));
    Reflect.deleteProperty(window, "__TAURI_INTERNALS__");
    const error = await rejection(run);
    assert.equal(error.kind, "internal");
    assert.match(error.message, /app's window/);
  });

  test(`${name} without a window rejects with internal`, async () => {
    assert.equal(typeof window, "undefined");
    assert.equal((await rejection(run)).kind, "internal");
  });
}

test("an error without a code has no code property", async () => {
  const { code: _, ...payload } = offline;
  assert.equal("code" in (await rejectedWith(payload)), false);
});

/** As Tauri 2.12 words them in debug builds. */
const refusals = {
  "no capability names the command":
    "otpless.get_session not allowed. Permissions associated with this command: otpless:allow-get-session, otpless:default",
  "no capability covers the window":
    'otpless.get_session not allowed on window "second", webview "second", URL: local\n\nallowed on: [windows: "main", URL: local]\n\nreferenced by: capability: main, permission: allow-get-session',
  "no capability covers the origin":
    "otpless.get_session not allowed on origin [remote]. Please create a capability that has this origin on the context field.\n\nFound matches for: - context: [local], referenced by: capability: main, permission: allow-get-session\n\nPermissions associated with this command: otpless:allow-get-session",
  "a capability denies it":
    "otpless.get_session explicitly denied on origin local\n\nreferenced by: capability: main, permission: deny-get-session",
};
for (const [why, raw] of Object.entries(refusals)) {
  test(`a call is notPermitted when ${why}`, async () => {
    const error = await rejectedWith(raw);
    assert.equal(error.kind, "notPermitted");
    assert.ok(error.message.includes('"otpless:allow-get-session"'), error.message);
  });
}

for (const raw of ["plugin otpless not found", "otpless.get_session not allowed. Plugin not found"]) {
  test(`"${raw}" is internal and says how to register the plugin`, async () => {
    const error = await rejectedWith(raw);
    assert.equal(error.kind, "internal");
    assert.match(error.message, /\.plugin\(tauri_plugin_otpless::init\(\)\)/);
  });
}

for (const raw of ["Command get_session not found", "otpless.get_session not allowed. Command not found"]) {
  test(`"${raw}" is internal and says to bring both sides to one version`, async () => {
    const error = await rejectedWith(raw);
    assert.equal(error.kind, "internal");
    assert.match(error.message, /get_session.*same version/);
  });
}

test("arguments that Tauri cannot read are invalidArgument, named but not quoted", async () => {
  const error = await rejectedWith(
    `invalid args \`minValidity\` for command \`get_session_token\`: invalid type: string "${CANARY}", expected f64`,
    () => api.getSessionToken({ minValidity: 1 }),
  );
  assert.equal(error.kind, "invalidArgument");
  assert.match(error.message, /minValidity/);
  assert.equal(inspect(error, { showHidden: true, depth: 9 }).includes(CANARY), false);
});

const unforeseen: Record<string, unknown> = {
  "a string": `could not handle ${CANARY}`,
  "an exception": new TypeError(`cannot read ${CANARY}`),
  "an object of another shape": { sessionToken: CANARY },
  "an object of an unknown kind": { kind: "other", message: CANARY, retryable: false },
  "an object with a message that is no text": { kind: "network", message: { token: CANARY }, retryable: true },
  "an object that does not say whether to try again": { kind: "network", message: CANARY },
  "an object with a code that is no text": { kind: "network", message: CANARY, retryable: true, code: 9104 },
  nothing: undefined,
  null: null,
};
for (const [what, raw] of Object.entries(unforeseen)) {
  test(`an answer nobody foresaw (${what}) is internal and nothing of it is kept`, async () => {
    const error = await rejectedWith(raw, () => api.startSession({ sessionToken: CANARY }));
    assert.equal(error.kind, "internal");
    assert.equal(error.retryable, false);
    assert.match(error.message, /start_session/);
    assert.equal(inspect(error, { showHidden: true, depth: 9 }).includes(CANARY), false);
  });
}

test("isOtplessError recognises an error made by another copy of the package", () => {
  class OtplessErrorOfAnotherCopy extends Error {
    override readonly name = "OtplessError";
    readonly kind = "network";
    readonly retryable = true;
  }
  assert.equal(isOtplessError(new OtplessErrorOfAnotherCopy("offline")), true);
  assert.equal(isOtplessError(new OtplessError(offline)), true);
});

test("isOtplessError recognises nothing else", () => {
  for (const value of [undefined, null, "network", new Error("network"), offline, Object.assign(new Error(), offline)]) {
    assert.equal(isOtplessError(value), false, inspect(value));
  }
});
