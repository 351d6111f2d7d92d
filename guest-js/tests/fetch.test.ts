import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { fetch, isOtplessError, type OtplessError } from "../src/index.js";
import { closePage, gate, openPage, settled, type Gate, type Page } from "./support/page.js";
import { CANARY, offline } from "./support/values.js";

afterEach(closePage);

const URL_OF_ORDERS = "https://api.example.com/orders";

/** What the core is told and asked, without the plugin's name. */
type Step = [command: string, args: unknown];

/** A core with a backend behind it: what it answers to each command. */
interface Backend {
  page: Page;
  steps: Step[];
  /** The bodies that were written, put together. */
  written: string;
  /** How often the end of a body was written. */
  ends: number;
  head: Record<string, unknown>;
  /** Pieces of the answer's body; a gate is one that is still to come. */
  pieces: (string | Gate<string> | Error | object)[];
  /** Takes the place of what a command answers. */
  answers: Record<string, (args: unknown) => unknown>;
}

function backend(changes: Partial<Backend> = {}): Backend {
  const made: Backend = {
    page: undefined as unknown as Page,
    steps: [],
    written: "",
    ends: 0,
    head: {},
    pieces: [],
    answers: {},
    ...changes,
  };
  made.page = openPage(async (name, args) => {
    const command = name.replace("plugin:otpless|", "");
    made.steps.push([command, args]);
    const answer = made.answers[command];
    if (answer) return answer(args);
    switch (command) {
      case "fetch":
        return 7;
      case "fetch_write": {
        const piece = args as Uint8Array;
        made.written += new TextDecoder().decode(piece);
        made.ends += piece.byteLength === 0 ? 1 : 0;
        return null;
      }
      case "fetch_send":
        return {
          type: "basic",
          status: 200,
          statusText: "OK",
          headers: [["content-type", "text/plain"]],
          url: URL_OF_ORDERS,
          redirected: false,
          hasBody: true,
          ...made.head,
        };
      case "fetch_read": {
        const next = made.pieces.shift();
        const piece = typeof next === "object" && "promise" in next ? await next.promise : next;
        if (typeof piece === "object") throw piece;
        return new TextEncoder().encode(piece ?? "").buffer;
      }
      default:
        return null;
    }
  });
  return made;
}

function commands({ steps }: Backend): string[] {
  return steps.map(([command]) => command);
}

async function failure(run: Promise<unknown>): Promise<TypeError & { cause: OtplessError }> {
  const error = await run.then(
    () => assert.fail("it should have been rejected"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof TypeError, String(error));
  assert.ok(isOtplessError(error.cause), String(error.cause));
  return error as TypeError & { cause: OtplessError };
}

test("a call becomes a standard Response that says where it is from", async () => {
  const core = backend({
    head: {
      status: 201,
      statusText: "Created",
      headers: [
        ["x-twice", "1"],
        ["x-twice", "2"],
        ["x-latin", "caf\u00e9"],
      ],
      url: "https://api.example.com/moved",
      redirected: true,
    },
    pieces: ["one ", "two"],
  });
  const response = await fetch(URL_OF_ORDERS);
  assert.ok(response instanceof Response);
  const { status, statusText, ok, url, redirected, type } = response;
  assert.deepEqual(
    { status, statusText, ok, url, redirected, type },
    { status: 201, statusText: "Created", ok: true, url: "https://api.example.com/moved", redirected: true, type: "basic" },
  );
  assert.equal(response.headers.get("x-twice"), "1, 2");
  assert.equal(response.headers.get("x-latin"), "caf\u00e9");
  const clone = response.clone();
  assert.equal(clone.url, "https://api.example.com/moved");
  assert.equal(clone.redirected, true);
  assert.equal(await response.text(), "one two");
  assert.equal(await clone.text(), "one two");
  assert.deepEqual(core.steps, [
    ["fetch", { request: { method: "GET", url: URL_OF_ORDERS, headers: [], redirect: "follow", body: "none" } }],
    ["fetch_send", { call: 7 }],
    ["fetch_read", { call: 7 }],
    ["fetch_read", { call: 7 }],
    ["fetch_read", { call: 7 }],
  ]);
});

const bodies: [what: string, body: BodyInit, type: string | null, written: RegExp][] = [
  ["text", "caf\u00e9", "text/plain;charset=UTF-8", /^caf\u00e9$/],
  ["bytes", new TextEncoder().encode("bytes"), null, /^bytes$/],
  ["a Blob", new Blob(["blob"], { type: "text/csv" }), "text/csv", /^blob$/],
  ["URLSearchParams", new URLSearchParams({ a: "1 2" }), "application/x-www-form-urlencoded;charset=UTF-8", /^a=1\+2$/],
];
for (const [what, body, type, written] of bodies) {
  test(`a body of ${what} is handed over whole, with its type, before the request is sent`, async () => {
    const core = backend();
    await fetch(URL_OF_ORDERS, { method: "post", body, headers: { "X-Page": "1" }, redirect: "manual" });
    const headers = type === null ? [["x-page", "1"]] : [["content-type", type], ["x-page", "1"]];
    assert.deepEqual(core.steps[0], [
      "fetch",
      { request: { method: "POST", url: URL_OF_ORDERS, headers, redirect: "manual", body: "whole" } },
    ]);
    assert.match(core.written, written);
    assert.deepEqual(commands(core), ["fetch", "fetch_write", "fetch_write", "fetch_send"]);
    assert.equal(core.ends, 1);
  });
}

test("a form is sent with its boundary", async () => {
  const core = backend();
  const form = new FormData();
  form.set("field", "value");
  await fetch(URL_OF_ORDERS, { method: "POST", body: form });
  const [, args] = core.steps[0] as [string, { request: { headers: [string, string][] } }];
  const boundary = /boundary=(.+)$/.exec(args.request.headers[0]?.[1] ?? "")?.[1];
  assert.ok(boundary && core.written.includes(boundary) && core.written.includes("value"), core.written);
});

test("a Request is taken as it is, and init wins", async () => {
  const core = backend();
  const request = new Request(URL_OF_ORDERS, { method: "PUT", body: "mine", headers: { "x-a": "1" } });
  await fetch(request);
  await fetch(new URL(URL_OF_ORDERS), { method: "DELETE" });
  await fetch(new Request(URL_OF_ORDERS, { method: "PUT", body: "theirs" }), { body: "ours" });
  const asked = core.steps.filter(([command]) => command === "fetch").map(([, args]) => (args as { request: object }).request);
  assert.deepEqual(
    asked.map(({ method, body }: { method?: string; body?: string }) => [method, body]),
    [
      ["PUT", "whole"],
      ["DELETE", "none"],
      ["PUT", "whole"],
    ],
  );
  assert.equal(core.written, "mineours");
});

test("a body larger than the core takes at once goes over in pieces", async () => {
  const sizes: number[] = [];
  const core = backend({
    answers: {
      fetch_write: (piece) => {
        sizes.push((piece as Uint8Array).byteLength);
      },
    },
  });
  await fetch(URL_OF_ORDERS, { method: "POST", body: new Uint8Array(2 * 1024 * 1024 + 5) });
  assert.deepEqual(sizes, [1024 * 1024, 1024 * 1024, 5, 0]);
  assert.equal(commands(core).at(-1), "fetch_send");
});

test("a stream goes out while it is still being made, and the core sets the pace", async () => {
  const taken = gate<void>();
  let pulled = 0;
  const core = backend({ answers: { fetch_write: () => taken.promise } });
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        pulled += 1;
        if (pulled > 3) controller.close();
        else controller.enqueue(new TextEncoder().encode(`piece ${pulled} `));
      },
    },
    { highWaterMark: 0 },
  );
  const response = await fetch(URL_OF_ORDERS, { method: "POST", body, duplex: "half" } as RequestInit);
  assert.equal(response.status, 200);
  await settled();
  assert.deepEqual(commands(core), ["fetch", "fetch_send", "fetch_write"]);
  assert.equal(pulled, 1, "the core has not taken the first piece");
  taken.open();
  await settled();
  assert.equal(pulled, 4);
  assert.equal(commands(core).filter((command) => command === "fetch_write").length, 4);
  const [, args] = core.steps[0] as [string, { request: { body: string } }];
  assert.equal(args.request.body, "stream");
});

test("a piece is written with the number of its call", async () => {
  const core = backend({ answers: { fetch: () => 41 } });
  const tauri = (window as unknown as { __TAURI_INTERNALS__: { invoke: (...args: unknown[]) => unknown } })
    .__TAURI_INTERNALS__;
  const { invoke } = tauri;
  const options: unknown[] = [];
  tauri.invoke = (command, args, option) => {
    if (command === "plugin:otpless|fetch_write") options.push(option);
    return invoke(command, args, option);
  };
  await fetch(URL_OF_ORDERS, { method: "POST", body: "x" });
  assert.deepEqual(options, [{ headers: { "otpless-call": "41" } }, { headers: { "otpless-call": "41" } }]);
  assert.equal(core.ends, 1);
});

test("an answer's body is read when the page reads it and not ahead", async () => {
  const second = gate<string>();
  const core = backend({ pieces: ["first", second] });
  const response = await fetch(URL_OF_ORDERS);
  await settled();
  assert.equal(core.page.count("plugin:otpless|fetch_read"), 0);
  const reader = response.body!.getReader();
  const decode = ({ value }: ReadableStreamReadResult<Uint8Array>): string => new TextDecoder().decode(value);
  assert.equal(decode(await reader.read()), "first");
  await settled();
  assert.equal(core.page.count("plugin:otpless|fetch_read"), 1);
  const reading = reader.read();
  second.open("second");
  assert.equal(decode(await reading), "second");
  assert.equal((await reader.read()).done, true);
  assert.equal(commands(core).includes("fetch_cancel"), false);
});

test("pieces may come as numbers, where Tauri's IPC has no bytes", async () => {
  const pieces = [[104, 105], []];
  backend({ answers: { fetch_read: () => pieces.shift() } });
  assert.equal(await (await fetch(URL_OF_ORDERS)).text(), "hi");
});

for (const status of [204, 205, 304]) {
  test(`a ${status} has no body and nothing is read`, async () => {
    const core = backend({ head: { status, hasBody: false } });
    const response = await fetch(URL_OF_ORDERS);
    assert.equal(response.status, status);
    assert.equal(response.body, null);
    assert.equal(await response.text(), "");
    assert.deepEqual(commands(core), ["fetch", "fetch_send"]);
  });
}

test("redirect: manual gives the page an opaque redirect", async () => {
  const core = backend({
    head: { type: "opaqueredirect", status: 0, statusText: "", headers: [], hasBody: false },
  });
  const response = await fetch(URL_OF_ORDERS, { redirect: "manual" });
  const { type, status, ok, url, body } = response;
  assert.deepEqual({ type, status, ok, url, body }, { type: "opaqueredirect", status: 0, ok: false, url: URL_OF_ORDERS, body: null });
  assert.equal(response.clone().status, 0);
  assert.equal([...response.headers].length, 0);
  assert.deepEqual(commands(core), ["fetch", "fetch_send"]);
});

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
    answer.open(command === "fetch" ? 7 : {});
    await settled();
    const cancelled = core.steps.filter(([name]) => name === "fetch_cancel");
    assert.deepEqual(cancelled, [["fetch_cancel", { call: 7 }]]);
  });
}

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
  assert.deepEqual(core.steps.at(-1), ["fetch_cancel", { call: 7 }]);
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
  assert.deepEqual(core.steps.at(-1), ["fetch_cancel", { call: 7 }]);
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
