import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { fetch, isOtplessError, type OtplessError } from "../src/index.js";
import { backend, commands, URL_OF_ORDERS } from "./support/backend.js";
import { closePage, gate, openPage, settled } from "./support/page.js";
import { CANARY, offline } from "./support/values.js";

afterEach(closePage);

async function failure(run: Promise<unknown>): Promise<TypeError & { cause: OtplessError }> {
  const error = await run.then(
    () => assert.fail("it should have been rejected"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof TypeError, String(error));
  assert.ok(isOtplessError(error.cause), String(error.cause));
  return error as TypeError & { cause: OtplessError };
}

for (const command of ["fetch", "fetch_write", "fetch_send"]) {
  test(`what ${command} is refused with is the cause of a TypeError`, async () => {
    const core = backend({
      answers: {
        [command]: () => {
          throw { kind: "notSignedIn", message: "nobody is signed in", retryable: false };
        },
      },
    });
    const error = await failure(fetch(URL_OF_ORDERS, { method: "POST", body: "x" }));
    assert.equal(error.cause.kind, "notSignedIn");
    assert.equal(error.message, "nobody is signed in");
    assert.equal(commands(core).includes("fetch_cancel"), command !== "fetch");
  });
}

test("without the permission the error names it, whichever step was refused", async () => {
  for (const command of ["fetch", "fetch_send"]) {
    backend({
      answers: {
        [command]: () => {
          throw `otpless.${command} not allowed. Permissions associated with this command: otpless:allow-fetch`;
        },
      },
    });
    const { cause } = await failure(fetch(URL_OF_ORDERS));
    assert.equal(cause.kind, "notPermitted");
    assert.ok(cause.message.includes('"otpless:allow-fetch"'), cause.message);
    closePage();
  }
});

test("in a plain browser it rejects with a TypeError that says to open the app", async () => {
  openPage(() => ({}));
  Reflect.deleteProperty(window, "__TAURI_INTERNALS__");
  assert.match((await failure(fetch(URL_OF_ORDERS))).message, /app's window/);
});

test("a body that breaks off is an error of the stream", async () => {
  backend({ pieces: ["half", { ...offline, code: "9101" }] });
  const response = await fetch(URL_OF_ORDERS);
  const error = await failure(response.text());
  assert.deepEqual([error.cause.kind, error.cause.code], ["network", "9101"]);
});

test("an answer nobody foresaw leaves nothing of itself in the error", async () => {
  backend({
    answers: {
      fetch_send: () => {
        throw `could not handle ${CANARY}`;
      },
    },
  });
  const error = await failure(fetch(URL_OF_ORDERS));
  assert.equal(`${error.message} ${error.cause.message}`.includes(CANARY), false);
});

test("what the standard refuses is refused before anything is asked of the core", async () => {
  const core = backend();
  for (const [input, init] of [
    ["https://user:pw@api.example.com/", {}],
    [URL_OF_ORDERS, { method: "GET", body: "x" }],
    [URL_OF_ORDERS, { method: "TRACE" }],
    ["not a url", {}],
  ] as [string, RequestInit][]) {
    await assert.rejects(fetch(input, init), TypeError);
  }
  for (const init of [{ credentials: "omit" }, { integrity: "sha256-x" }] as RequestInit[]) {
    assert.equal((await failure(fetch(URL_OF_ORDERS, init))).cause.kind, "invalidArgument");
  }
  assert.deepEqual(core.steps, []);
});

test("an aborted signal is the reason, and nothing is asked of the core", async () => {
  const core = backend();
  const reason = new Error("never mind");
  const request = new Request(URL_OF_ORDERS, { signal: AbortSignal.abort(reason) });
  await assert.rejects(fetch(URL_OF_ORDERS, { signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(fetch(request), reason);
  await assert.rejects(fetch(URL_OF_ORDERS, { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.deepEqual(core.steps, []);
});

for (const command of ["fetch", "fetch_write", "fetch_send"]) {
  test(`an abort while ${command} is under way rejects at once and gives the call up`, async () => {
    const answer = gate<unknown>();
    const core = backend({ answers: { [command]: () => answer.promise } });
    const abort = new AbortController();
    const call = fetch(URL_OF_ORDERS, { method: "POST", body: "x", signal: abort.signal });
    const outcome = call.catch((error: unknown) => error);
    await settled();
    await settled();
    assert.equal(commands(core).at(-1), command);
    abort.abort();
    assert.equal(((await outcome) as Error).name, "AbortError");
    // The core's own answer comes when nobody waits for it any more: with `fetch` it is the number to give up.
    answer.open(command === "fetch" ? core.call : {});
    await settled();
    const cancelled = core.steps.filter(([name]) => name === "fetch_cancel");
    assert.deepEqual(cancelled, [["fetch_cancel", { call: core.call }]]);
  });
}

for (const command of ["fetch", "fetch_write", "fetch_send"]) {
  test(`an abort while ${command} is under way breaks the page's own stream off, and its end is not written`, async () => {
    const answer = gate<unknown>();
    // A body is written while its answer is waited for.
    const core = backend({ answers: { fetch_send: () => answer.promise, [command]: () => answer.promise } });
    const cancelled: unknown[] = [];
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
      cancel: (reason) => void cancelled.push(reason),
    });
    const abort = new AbortController();
    const outcome = fetch(URL_OF_ORDERS, { method: "POST", body, signal: abort.signal }).catch((error: unknown) => error);
    await settled();
    const reason = new Error("enough");
    abort.abort(reason);
    assert.equal(await outcome, reason);
    answer.open(command === "fetch" ? core.call : {});
    await settled();
    assert.deepEqual(cancelled, [reason]);
    assert.equal(core.ends, 0);
  });
}

test("an aborted signal breaks a stream off that was never begun", async () => {
  backend();
  const cancelled: unknown[] = [];
  const body = new ReadableStream<Uint8Array>({ cancel: (reason) => void cancelled.push(reason) });
  const reason = new Error("never mind");
  await assert.rejects(fetch(URL_OF_ORDERS, { method: "POST", body, signal: AbortSignal.abort(reason) }), reason);
  assert.deepEqual(cancelled, [reason]);
});

test("an abort while a Request's own body is being read rejects at once, and nothing is asked of the core", async () => {
  const core = backend();
  const abort = new AbortController();
  // Never ends.
  const body = new ReadableStream<Uint8Array>();
  const request = new Request(URL_OF_ORDERS, { method: "POST", body, duplex: "half" } as RequestInit);
  const outcome = fetch(request, { signal: abort.signal }).catch((error: unknown) => error);
  await settled();
  abort.abort();
  assert.equal(((await outcome) as Error).name, "AbortError");
  assert.deepEqual(core.steps, []);
});

test("null leaves a Request's own signal out", async () => {
  const core = backend({ pieces: ["all"] });
  const request = new Request(URL_OF_ORDERS, { signal: AbortSignal.abort() });
  const response = await fetch(request, { signal: null });
  assert.equal(await response.text(), "all");
  assert.deepEqual(commands(core).slice(0, 2), ["fetch", "fetch_send"]);
});

test("a stream that somebody else reads is refused before anything is asked of the core", async () => {
  const core = backend();
  const body = new ReadableStream<Uint8Array>();
  body.getReader();
  await assert.rejects(fetch(URL_OF_ORDERS, { method: "POST", body }), TypeError);
  assert.deepEqual(core.steps, []);
});

test("an abort while the answer is being read is an error of the stream and gives the call up", async () => {
  const late = gate<string>();
  const core = backend({ pieces: ["first", late] });
  const abort = new AbortController();
  const response = await fetch(URL_OF_ORDERS, { signal: abort.signal });
  const reader = response.body!.getReader();
  await reader.read();
  const reading = reader.read();
  const reason = new Error("enough");
  abort.abort(reason);
  await assert.rejects(reading, reason);
  assert.deepEqual(core.steps.at(-1), ["fetch_cancel", { call: core.call }]);
  late.open("too late");
  await settled();
  await assert.rejects(reader.read(), reason);
});

test("an abort after the end changes nothing", async () => {
  const core = backend({ pieces: ["all"] });
  const abort = new AbortController();
  const response = await fetch(URL_OF_ORDERS, { signal: abort.signal });
  assert.equal(await response.text(), "all");
  abort.abort();
  await settled();
  assert.equal(commands(core).includes("fetch_cancel"), false);
});

test("a page that cancels the body gives the call up", async () => {
  const core = backend({ pieces: ["first"] });
  const response = await fetch(URL_OF_ORDERS);
  await response.body!.cancel();
  assert.deepEqual(core.steps.at(-1), ["fetch_cancel", { call: core.call }]);
  assert.equal(core.page.count("plugin:otpless|fetch_cancel"), 1);
});

test("a stream that fails fails the call, and is its cause", async () => {
  const answer = gate<unknown>();
  const core = backend({ answers: { fetch_send: () => answer.promise } });
  const reason = new Error("the disk is gone");
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.error(reason),
  });
  await assert.rejects(fetch(URL_OF_ORDERS, { method: "POST", body }), (error) => {
    assert.ok(error instanceof TypeError);
    assert.equal(error.cause, reason);
    return true;
  });
  assert.equal(commands(core).includes("fetch_cancel"), true);
  answer.open({});
});

test("a stream of anything but bytes is a TypeError", async () => {
  const answer = gate<unknown>();
  backend({ answers: { fetch_send: () => answer.promise } });
  const body = new ReadableStream<unknown>({
    start: (controller) => controller.enqueue("text"),
  });
  await assert.rejects(fetch(URL_OF_ORDERS, { method: "POST", body: body as BodyInit }), TypeError);
  answer.open({});
});

test("a core that wants no more of a stream because it has its answer lets go of it", async () => {
  const cancelled: unknown[] = [];
  const core = backend({
    answers: {
      fetch_write: () => {
        throw { kind: "network", message: "nobody takes the body any more", retryable: true, code: "9101" };
      },
    },
    pieces: ["the answer"],
  });
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1)),
    cancel: (reason) => void cancelled.push(reason),
  });
  const response = await fetch(URL_OF_ORDERS, { method: "POST", body });
  assert.equal(await response.text(), "the answer");
  assert.equal(cancelled.length, 1);
  assert.equal(commands(core).filter((command) => command === "fetch_write").length, 1);
});

for (const [what, head] of [
  ["without a body", { status: 204, body: "none" }],
  ["that has been read", {}],
] as const) {
  test(`a stream goes on after an answer ${what}, to its end`, async () => {
    const core = backend({ head, pieces: ["early"] });
    const more = gate<void>();
    const pieces = ["one ", "two"];
    const body = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (pieces.length < 2) await more.promise;
          const piece = pieces.shift();
          if (piece === undefined) controller.close();
          else controller.enqueue(new TextEncoder().encode(piece));
        },
      },
      { highWaterMark: 0 },
    );
    const abort = new AbortController();
    const response = await fetch(URL_OF_ORDERS, { method: "POST", body, signal: abort.signal });
    await response.text();
    assert.equal(core.ends, 0);
    more.open();
    await settled();
    assert.deepEqual([core.written, core.ends], ["one two", 1]);
    // And now there is nothing to abort any more.
    abort.abort();
    await settled();
    assert.equal(commands(core).includes("fetch_cancel"), false);
  });
}

test("an abort after the answer still breaks a stream off that is being written", async () => {
  const core = backend({ head: { status: 204, body: "none" } });
  const cancelled: unknown[] = [];
  const body = new ReadableStream<Uint8Array>({ cancel: (reason) => void cancelled.push(reason) });
  const abort = new AbortController();
  await fetch(URL_OF_ORDERS, { method: "POST", body, signal: abort.signal });
  const reason = new Error("enough");
  abort.abort(reason);
  await settled();
  assert.deepEqual(cancelled, [reason]);
  assert.equal(core.ends, 0);
  assert.deepEqual(core.steps.at(-1), ["fetch_cancel", { call: core.call }]);
});
