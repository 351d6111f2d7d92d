import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { emit } from "@tauri-apps/api/event";

import type { Session, SessionStatus } from "../src/index.js";
import { watch, type SessionState } from "../src/watch.js";
import { CHANGED, ChangingCore, GET, heldCore } from "./support/core.js";
import { closePage, gate, openPage, settled } from "./support/page.js";
import { change, offline, session } from "./support/values.js";

const LISTEN = "plugin:event|listen";
const UNLISTEN = "plugin:event|unlisten";

const stops: (() => void)[] = [];

afterEach(async () => {
  stops.splice(0).forEach((stop) => stop());
  await settled();
  closePage();
});

function subscribe(changed: () => void = () => {}): () => void {
  const stop = watch.subscribe(changed);
  stops.push(stop);
  return stop;
}

/** Every state that a listener saw. */
function recorded(): SessionState[] {
  const states: SessionState[] = [];
  subscribe(() => states.push(watch.state));
  return states;
}

const revision = ({ session }: SessionState): number | undefined => session?.revision;

const meanings: [SessionStatus, isSignedIn: boolean][] = [
  ["restoring", false],
  ["active", true],
  ["stale", true],
  ["signedOut", false],
];
for (const [status, isSignedIn] of meanings) {
  test(`a session that is ${status} is ${isSignedIn ? "" : "not "}signed in`, async () => {
    const core = new ChangingCore(status);
    openPage(core.answer);
    subscribe();
    await settled();
    const { retry: _, ...state } = watch.state;
    const present: Session = { status, revision: 1, storage: "keychain" };
    assert.deepEqual(state, { status, isSignedIn, session: present, error: undefined });
  });
}

test("before the core has answered it is restoring, with neither session nor error", async () => {
  const { requests, answer } = heldCore();
  openPage(answer);
  const states = recorded();
  await settled();
  assert.equal(requests.length, 1);
  const { retry: _, ...state } = watch.state;
  assert.deepEqual(state, { status: "restoring", isSignedIn: false, session: undefined, error: undefined });
  assert.deepEqual(states, []);
});

test("a hundred listeners share one subscription and one fetch, and all are told", async () => {
  const core = new ChangingCore("active");
  const page = openPage(core.answer);
  const told = new Array<number>(100).fill(0);
  for (const index of told.keys()) {
    subscribe(() => (told[index]! += 1));
  }
  await settled();
  assert.deepEqual([page.count(LISTEN), page.count(GET)], [1, 1]);
  await core.change("signedOut");
  assert.deepEqual([page.count(LISTEN), page.count(GET)], [1, 2]);
  assert.deepEqual(new Set(told), new Set([2]));
});

test("one function that subscribes twice is told twice, and once after it unsubscribed once", async () => {
  const core = new ChangingCore("active");
  openPage(core.answer);
  let told = 0;
  const changed = (): void => void (told += 1);
  const stop = subscribe(changed);
  subscribe(changed);
  await settled();
  assert.equal(told, 2);
  stop();
  stop();
  await core.change("stale");
  assert.equal(told, 3);
});

test("it stops listening when the last listener has gone, and not before", async () => {
  const core = new ChangingCore("active");
  const page = openPage(core.answer);
  const [first, second] = [subscribe(), subscribe()];
  await settled();
  first();
  await settled();
  assert.equal(page.count(UNLISTEN), 0);
  second();
  await settled();
  assert.equal(page.count(UNLISTEN), 1);
  await core.change("signedOut");
  assert.equal(page.count(GET), 1);
});

test("a listener that comes in the moment in which the last one goes finds everything as it was", async () => {
  const core = new ChangingCore("active");
  const page = openPage(core.answer);
  const stop = subscribe();
  await settled();
  stop();
  assert.equal(watch.state.status, "active");
  const states = recorded();
  await settled();
  assert.deepEqual([page.count(LISTEN), page.count(UNLISTEN), page.count(GET)], [1, 0, 1]);
  assert.equal(watch.state.status, "active");
  await core.change("signedOut");
  assert.deepEqual(
    states.map(({ status }) => status),
    ["signedOut"],
  );
});

test("what nobody has watched is not believed: a new watch begins with restoring", async () => {
  const core = new ChangingCore("signedOut");
  const page = openPage(core.answer);
  subscribe()();
  await settled();
  await core.change("active");
  assert.equal(watch.state, watch.unknown);
  const states = recorded();
  assert.equal(watch.state.status, "restoring");
  await settled();
  assert.deepEqual(
    states.map(({ status }) => status),
    ["active"],
  );
  assert.equal(page.count(LISTEN), 2);
});

test("a watch that ends before Tauri listens stops listening as soon as it does", async () => {
  const core = new ChangingCore("active");
  const page = openPage(core.answer);
  subscribe()();
  assert.equal(page.count(UNLISTEN), 0);
  await settled();
  assert.deepEqual([page.count(LISTEN), page.count(UNLISTEN)], [1, 1]);
  assert.equal(watch.state, watch.unknown);
});

test("the answer to a question of a watch that has ended changes nothing", async () => {
  const { requests, answer } = heldCore();
  openPage(answer);
  const stop = subscribe();
  await settled();
  stop();
  await settled();
  const states = recorded();
  await settled();
  requests[1]?.open(session(5));
  await settled();
  requests[0]?.open(session(6));
  await settled();
  assert.deepEqual(states.map(revision), [5]);
});

test("a watch that has ended says nothing any more, not even that Tauri refuses to listen", async () => {
  const listening = [gate<number>(), gate<number>()];
  const held = [...listening];
  openPage((command) => (command === LISTEN ? held.shift()?.promise : session(1)), { shouldMockEvents: false });
  subscribe()();
  await settled();
  subscribe();
  listening[1]?.open(1);
  await settled();
  assert.equal(watch.state.status, "active");
  listening[0]?.fail("Command plugin:event|listen not allowed by ACL");
  await settled();
  assert.deepEqual([watch.state.status, watch.state.error], ["active", undefined]);
});

test("a state is one object until the next", async () => {
  const core = new ChangingCore("active");
  openPage(core.answer);
  subscribe();
  await settled();
  const before = watch.state;
  await emit(CHANGED, change(1));
  await settled();
  assert.equal(watch.state, before);
  await core.change("active");
  assert.notEqual(watch.state, before);
});

test("an older answer never takes the place of a newer one, not even after a retry", async () => {
  const answers: (() => Session)[] = [
    () => session(5),
    () => {
      throw offline;
    },
    () => session(4),
    () => session(6),
  ];
  openPage(() => answers.shift()?.());
  subscribe();
  await settled();
  await emit(CHANGED, change(6));
  await settled();
  assert.equal(watch.state.error?.kind, "network");
  watch.state.retry();
  await settled();
  assert.deepEqual([revision(watch.state), watch.state.error], [5, undefined]);
  await emit(CHANGED, change(6));
  await settled();
  assert.deepEqual(answers, []);
  assert.equal(revision(watch.state), 6);
});

test("a first fetch that fails is restoring with an error, and a retry asks again", async () => {
  const core = new ChangingCore("active");
  const page = openPage(core.answer);
  core.failure = offline;
  const states = recorded();
  await settled();
  assert.deepEqual([watch.state.status, watch.state.error?.kind], ["restoring", "network"]);
  core.failure = undefined;
  watch.state.retry();
  assert.equal(watch.state.error, undefined);
  await settled();
  assert.deepEqual(
    states.map(({ status, error }) => [status, error?.kind]),
    [
      ["restoring", "network"],
      ["restoring", undefined],
      ["active", undefined],
    ],
  );
  assert.deepEqual([page.count(LISTEN), page.count(UNLISTEN), page.count(GET)], [2, 1, 2]);
});

test("a later fetch that fails leaves what was known, and the next change mends it", async () => {
  const core = new ChangingCore("active");
  openPage(core.answer);
  subscribe();
  await settled();
  core.failure = offline;
  await core.change("signedOut");
  assert.deepEqual([watch.state.status, watch.state.error?.kind], ["active", "network"]);
  core.failure = undefined;
  await core.change("stale");
  assert.deepEqual([watch.state.status, watch.state.error], ["stale", undefined]);
});

test("a retry that fails says so again, and nothing is an unhandled rejection", async (t) => {
  const rejections: unknown[] = [];
  const note = (reason: unknown): void => void rejections.push(reason);
  process.on("unhandledRejection", note);
  t.after(() => process.off("unhandledRejection", note));
  const core = new ChangingCore("active");
  openPage(core.answer);
  core.failure = offline;
  const states = recorded();
  await settled();
  watch.state.retry();
  await settled();
  assert.deepEqual(
    states.map(({ error }) => error?.kind),
    ["network", undefined, "network"],
  );
  assert.deepEqual(rejections, []);
});

test("a window that may not listen is told which permission to add; a retry tries to listen again", async () => {
  let mayListen = false;
  const page = openPage(
    (command) => {
      if (command === GET) return session(1);
      if (!mayListen) throw "Command plugin:event|listen not allowed by ACL";
      return 1;
    },
    { shouldMockEvents: false },
  );
  subscribe();
  await settled();
  assert.deepEqual([watch.state.status, watch.state.error?.kind], ["restoring", "notPermitted"]);
  assert.match(watch.state.error?.message ?? "", /"core:event:allow-listen"/);
  assert.equal(page.count(GET), 0);
  mayListen = true;
  watch.state.retry();
  await settled();
  assert.deepEqual([watch.state.status, watch.state.error], ["active", undefined]);
});

test("a retry without an error asks nobody", async () => {
  const core = new ChangingCore("active");
  const page = openPage(core.answer);
  watch.state.retry();
  await settled();
  assert.deepEqual(page.calls, []);
  const states = recorded();
  await settled();
  const calls = page.calls.length;
  watch.state.retry();
  await settled();
  assert.equal(page.calls.length, calls);
  assert.equal(states.length, 1);
});

for (const payload of [
  null,
  "signedOut",
  { revision: 99, status: "signedOut", reason: "logout" },
  { revision: -1, status: "active", userId: "MO-somebody-else" },
  { revision: "99", status: "signedOut" },
]) {
  test(`d10 a forged event (${JSON.stringify(payload)}) changes nothing`, async () => {
    const core = new ChangingCore("active");
    openPage(core.answer);
    const states = recorded();
    await settled();
    const before = watch.state;
    await emit(CHANGED, payload);
    await settled();
    assert.equal(watch.state, before);
    assert.equal(before.status, "active");
    assert.equal(states.length, 1);
  });
}

test("an exception of one listener shows as uncaught and keeps nothing from the others", async (t) => {
  const thrown: unknown[] = [];
  const { queueMicrotask } = globalThis;
  t.mock.method(globalThis, "queueMicrotask", (task: () => void) =>
    queueMicrotask(() => {
      try {
        task();
      } catch (exception) {
        thrown.push(exception);
      }
    }),
  );
  const core = new ChangingCore("active");
  openPage(core.answer);
  const broken = new Error("the app's own mistake");
  subscribe(() => {
    throw broken;
  });
  const states = recorded();
  await settled();
  await core.change("signedOut");
  assert.deepEqual(
    states.map(({ status }) => status),
    ["active", "signedOut"],
  );
  assert.deepEqual(thrown, [broken, broken]);
});

test("a listener that another one ends is not told any more", async () => {
  const core = new ChangingCore("active");
  openPage(core.answer);
  let told = 0;
  subscribe(() => stop());
  const stop = subscribe(() => (told += 1));
  await settled();
  assert.equal(watch.state.status, "active");
  assert.equal(told, 0);
});

test("in a plain browser it stays restoring and says why", async () => {
  const page = openPage(() => session(1));
  Reflect.deleteProperty(window, "__TAURI_INTERNALS__");
  subscribe();
  await settled();
  assert.deepEqual([watch.state.status, watch.state.error?.kind], ["restoring", "internal"]);
  assert.deepEqual(page.calls, []);
});

test("without a window nothing is watched and nothing fails", async () => {
  assert.equal(typeof window, "undefined");
  subscribe()();
  await settled();
  assert.equal(watch.state, watch.unknown);
});
