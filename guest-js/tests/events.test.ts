import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { emit } from "@tauri-apps/api/event";

import { onSessionChange, OtplessError, type Session } from "../src/index.js";
import { heldCore } from "./support/core.js";
import { closePage, openPage, runCallback, settled } from "./support/page.js";
import { change, offline, session } from "./support/values.js";

const CHANGED = "otpless://session-changed";
const GET = "plugin:otpless|get_session";

afterEach(closePage);

function collector(): { revisions: number[]; collect: (session: Session) => void } {
  const revisions: number[] = [];
  return { revisions, collect: ({ revision }) => void revisions.push(revision) };
}

test("it listens before it fetches", async () => {
  const page = openPage(() => session(1));
  await onSessionChange(() => {});
  await settled();
  assert.deepEqual(
    page.calls.map(({ command }) => command),
    ["plugin:event|listen", GET],
  );
  const listen = page.calls[0]?.args as { event: string; target: unknown };
  assert.deepEqual([listen.event, listen.target], [CHANGED, { kind: "Any" }]);
});

test("the present state comes first, then every change in order", async () => {
  let revision = 3;
  openPage(() => session(revision));
  const { revisions, collect } = collector();
  await onSessionChange(collect);
  await settled();
  assert.deepEqual(revisions, [3]);
  for (revision of [4, 5]) {
    await emit(CHANGED, change(revision));
    await settled();
  }
  assert.deepEqual(revisions, [3, 4, 5]);
});

test("the callback gets the whole session, not the event", async () => {
  const present = session(1);
  openPage(() => present);
  const sessions: Session[] = [];
  await onSessionChange((session) => sessions.push(session));
  await settled();
  assert.deepEqual(sessions, [present]);
});

test("a change during the first fetch is not lost", async () => {
  const { requests, answer } = heldCore();
  openPage(answer);
  const { revisions, collect } = collector();
  await onSessionChange(collect);
  await emit(CHANGED, change(2));
  requests[0]?.open(session(1));
  await settled();
  assert.deepEqual(revisions, [1]);
  requests[1]?.open(session(2));
  await settled();
  assert.deepEqual(revisions, [1, 2]);
});

test("an older revision is never delivered after a newer one", async () => {
  const answers = [session(5), session(4), session(5), session(6)];
  openPage(() => answers.shift());
  const { revisions, collect } = collector();
  await onSessionChange(collect);
  await settled();
  for (const revision of [6, 7, 8]) {
    await emit(CHANGED, change(revision));
    await settled();
  }
  assert.deepEqual(answers, []);
  assert.deepEqual(revisions, [5, 6]);
});

test("a burst of 100 changes during a fetch leads to one more fetch", async () => {
  const { requests, answer } = heldCore();
  const page = openPage(answer);
  const { revisions, collect } = collector();
  await onSessionChange(collect);
  for (let revision = 2; revision <= 101; revision += 1) {
    await emit(CHANGED, change(revision));
  }
  assert.equal(page.count(GET), 1);
  requests[0]?.open(session(1));
  await settled();
  assert.equal(page.count(GET), 2);
  requests[1]?.open(session(101));
  await settled();
  assert.equal(page.count(GET), 2);
  assert.deepEqual(revisions, [1, 101]);
});

test("a burst that the running fetch already answers leads to no further fetch", async () => {
  const { requests, answer } = heldCore();
  const page = openPage(answer);
  await onSessionChange(() => {});
  await emit(CHANGED, change(2));
  await emit(CHANGED, change(3));
  requests[0]?.open(session(3));
  await settled();
  assert.equal(page.count(GET), 1);
});

test("an event that is not newer than what was delivered leads to no fetch", async () => {
  const page = openPage(() => session(9));
  await onSessionChange(() => {});
  await settled();
  for (const revision of [8, 9]) {
    await emit(CHANGED, change(revision));
  }
  await settled();
  assert.equal(page.count(GET), 1);
});

for (const payload of [null, undefined, "signedOut", {}, { revision: "99" }, { revision: Infinity }]) {
  test(`a forged event (${JSON.stringify(payload)}) leads to one fetch and changes nothing`, async () => {
    const page = openPage(() => session(1));
    const { revisions, collect } = collector();
    await onSessionChange(collect);
    await settled();
    await emit(CHANGED, payload);
    await settled();
    assert.equal(page.count(GET), 2);
    assert.deepEqual(revisions, [1]);
  });
}

test("nothing is delivered after unlisten, not even what was under way", async () => {
  const { requests, answer } = heldCore();
  const page = openPage(answer);
  const { revisions, collect } = collector();
  const unlisten = await onSessionChange(collect, { onError: () => assert.fail("told after unlisten") });
  await emit(CHANGED, change(2));
  unlisten();
  requests[0]?.open(session(1));
  await settled();
  await emit(CHANGED, change(3));
  await settled();
  assert.deepEqual(revisions, []);
  assert.equal(page.count(GET), 1);
  assert.equal(page.count("plugin:event|unlisten"), 1);
});

test("a failure is not reported after unlisten", async () => {
  const { requests, answer } = heldCore();
  openPage(answer);
  const errors: unknown[] = [];
  const unlisten = await onSessionChange(() => {}, { onError: (error) => errors.push(error) });
  unlisten();
  requests[0]?.fail(offline);
  await settled();
  assert.deepEqual(errors, []);
});

test("a callback may end its own subscription", async () => {
  let revision = 1;
  openPage(() => session(revision));
  const seen: number[] = [];
  const unlisten = await onSessionChange((session) => {
    seen.push(session.revision);
    if (session.revision === 2) unlisten();
  });
  await settled();
  for (revision of [2, 3]) {
    await emit(CHANGED, change(revision));
    await settled();
  }
  assert.deepEqual(seen, [1, 2]);
});

test("a failing fetch is reported and the next event tries again", async () => {
  const answers: (() => Session)[] = [
    () => {
      throw offline;
    },
    () => session(2),
  ];
  openPage(() => answers.shift()?.());
  const { revisions, collect } = collector();
  const errors: OtplessError[] = [];
  await onSessionChange(collect, { onError: (error) => errors.push(error) });
  await settled();
  assert.deepEqual(revisions, []);
  assert.deepEqual(
    errors.map((error) => [error instanceof OtplessError, error.kind]),
    [[true, "network"]],
  );
  await emit(CHANGED, change(2));
  await settled();
  assert.deepEqual(revisions, [2]);
  assert.equal(errors.length, 1);
});

test("a failing fetch without onError is not an unhandled rejection and the next event tries again", async () => {
  let fails = true;
  openPage(() => {
    if (fails) throw offline;
    return session(2);
  });
  const { revisions, collect } = collector();
  await onSessionChange(collect);
  await settled();
  fails = false;
  await emit(CHANGED, change(2));
  await settled();
  assert.deepEqual(revisions, [2]);
});

test("an event during a fetch that fails leads to another fetch", async () => {
  const { requests, answer } = heldCore();
  openPage(answer);
  const { revisions, collect } = collector();
  await onSessionChange(collect);
  await emit(CHANGED, change(2));
  requests[0]?.fail(offline);
  await settled();
  requests[1]?.open(session(2));
  await settled();
  assert.deepEqual(revisions, [2]);
});

test("an exception of the callback shows as uncaught and does not end the subscription", async (t) => {
  const thrown: unknown[] = [];
  t.mock.method(globalThis, "queueMicrotask", (task: () => void) => {
    try {
      task();
    } catch (exception) {
      thrown.push(exception);
    }
  });
  let revision = 1;
  openPage(() => session(revision));
  const seen: number[] = [];
  const broken = new Error("the app's own mistake");
  await onSessionChange((session) => {
    seen.push(session.revision);
    if (session.revision === 1) throw broken;
  });
  await settled();
  revision = 2;
  await emit(CHANGED, change(2));
  await settled();
  assert.deepEqual(seen, [1, 2]);
  assert.deepEqual(thrown, [broken]);
});

test("two subscriptions do not disturb each other", async () => {
  let revision = 1;
  openPage(() => session(revision));
  const [first, second] = [collector(), collector()];
  const unlisten = await onSessionChange(first.collect);
  await onSessionChange(second.collect);
  await settled();
  unlisten();
  revision = 2;
  await emit(CHANGED, change(2));
  await settled();
  assert.deepEqual([first.revisions, second.revisions], [[1], [1, 2]]);
});

test("a window that may not listen is told which permission to add, and nothing is fetched", async () => {
  const page = openPage(
    () => {
      throw "Command plugin:event|listen not allowed by ACL";
    },
    { shouldMockEvents: false },
  );
  await assert.rejects(
    onSessionChange(() => {}),
    (error) => {
      assert.ok(error instanceof OtplessError);
      assert.equal(error.kind, "notPermitted");
      assert.match(error.message, /"core:event:allow-listen"/);
      return true;
    },
  );
  assert.equal(page.count(GET), 0);
});

test("a refused unlisten is not an unhandled rejection and still ends the subscription", async () => {
  const page = openPage(
    (command) => {
      if (command === GET) return session(1);
      if (command === "plugin:event|unlisten") throw "Command plugin:event|unlisten not allowed by ACL";
      return 1;
    },
    { shouldMockEvents: false },
  );
  Object.assign(window, { __TAURI_EVENT_PLUGIN_INTERNALS__: { unregisterListener: () => {} } });
  const { revisions, collect } = collector();
  const unlisten = await onSessionChange(collect);
  unlisten();
  await settled();
  const { handler } = page.calls[0]?.args as { handler: number };
  runCallback(handler, { event: CHANGED, id: 1, payload: change(2) });
  await settled();
  assert.deepEqual(revisions, []);
  assert.equal(page.count(GET), 1);
});

test("outside a Tauri app the subscription is refused with an OtplessError", async () => {
  await assert.rejects(
    onSessionChange(() => {}),
    OtplessError,
  );
});
