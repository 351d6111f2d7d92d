import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { fetch } from "../src/index.js";
import { backend, commands, URL_OF_ORDERS, type Backend } from "./support/backend.js";
import { collectGarbage } from "./support/garbage.js";
import { closePage, gate, settled } from "./support/page.js";

afterEach(closePage);

const LARGEST_KEPT = 64 * 1024 * 1024;

interface Asked {
  method: string;
  headers: [string, string][];
  redirect: string;
  body: string;
}

/** What the core was asked for. */
function asked(core: Backend): Asked {
  const [, args] = core.steps.find(([command]) => command === "fetch") as [string, { request: Asked }];
  return args.request;
}

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** A stream that the test feeds. */
function fed(): { stream: ReadableStream<Uint8Array>; controller: ReadableStreamDefaultController<Uint8Array> } {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    start: (its) => {
      controller = its;
    },
  });
  return { stream, controller };
}

function streaming(stream: ReadableStream<Uint8Array>, init: RequestInit = {}): Request {
  return new Request(URL_OF_ORDERS, { method: "POST", ...init, body: stream, duplex: "half" } as RequestInit);
}

test("a stream in a Request goes out while it is still being made", async () => {
  const core = backend({ pieces: ["all"] });
  const { stream, controller } = fed();
  controller.enqueue(bytes("first, "));
  const response = await fetch(streaming(stream));
  assert.equal(asked(core).body, "stream");
  await settled();
  assert.deepEqual([core.written, core.ends], ["first, ", 0]);
  controller.enqueue(bytes("second"));
  controller.close();
  await settled();
  assert.deepEqual([core.written, core.ends], ["first, second", 1]);
  assert.equal(await response.text(), "all");
  assert.equal(commands(core).includes("fetch_cancel"), false);
});

test("a stream in a Request that fails later is the cause, and has not ended", async () => {
  const core = backend({ answers: { fetch_send: () => new Promise(() => {}) } });
  const { stream, controller } = fed();
  const outcome = fetch(streaming(stream)).catch((error: unknown) => error);
  while (core.steps.length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const cause = new Error("the file is gone");
  controller.error(cause);
  const error = (await outcome) as TypeError;
  assert.ok(error instanceof TypeError);
  assert.equal(error.cause, cause);
  assert.equal(core.ends, 0);
  assert.equal(commands(core).at(-1), "fetch_cancel");
});

test("a Request's body that fails at once is the cause, and nothing is asked of the core", async () => {
  const core = backend();
  const { stream, controller } = fed();
  const cause = new Error("the file is gone");
  controller.error(cause);
  const error = (await fetch(streaming(stream)).catch((error: unknown) => error)) as TypeError;
  assert.ok(error instanceof TypeError);
  assert.equal(error.cause, cause);
  assert.deepEqual(core.steps, []);
});

for (const [name, body] of [
  ["a stream that ends soon", () => new Blob(["all ", "of it"]).stream()],
  ["a file", () => new Blob(["all ", "of it"])],
  ["text", () => "all of it"],
] as const) {
  test(`a Request made of ${name} is kept whole, so that it can be sent again`, async () => {
    const core = backend();
    await fetch(new Request(URL_OF_ORDERS, { method: "POST", body: body(), duplex: "half" } as RequestInit));
    assert.deepEqual([asked(core).body, core.written, core.ends], ["whole", "all of it", 1]);
  });
}

test("a file larger than the core keeps goes out piece by piece, and is never in the page's memory whole", async () => {
  let written = 0;
  const core = backend({
    answers: {
      fetch_write: (piece) => {
        written += (piece as Uint8Array).byteLength;
      },
    },
  });
  const file = new Blob([new Uint8Array(LARGEST_KEPT + 1)], { type: "application/x-film" });
  file.arrayBuffer = () => assert.fail("it was read whole");
  const request = { method: "POST", body: file };
  await fetch(URL_OF_ORDERS, request);
  const { body, headers } = asked(core);
  assert.deepEqual([body, headers], ["stream", [["content-type", "application/x-film"]]]);
  while (written < file.size) {
    await settled();
  }
  assert.equal(written, file.size);
});

test("a form with files is what the standard makes of it", async () => {
  const form = new FormData();
  form.set('a "quoted"\r\nname', "one\ntwo\rthree\r\nfour");
  form.append("file", new File([new Uint8Array([0, 13, 10, 255])], 'b "c"\n.bin'));
  form.append("file", new File(["text"], "d.txt", { type: "text/plain" }));
  const pieces: Uint8Array[] = [];
  const core = backend({
    answers: {
      fetch_write: (piece) => {
        pieces.push(Uint8Array.from(piece as Uint8Array));
      },
    },
  });
  await fetch(URL_OF_ORDERS, { method: "POST", body: form });
  const sent = Buffer.concat(pieces).toString("latin1");
  const type = new Headers(asked(core).headers).get("content-type")!;
  const boundary = type.replace("multipart/form-data; boundary=", "");
  const standard = new Response(form);
  const theirs = standard.headers.get("content-type")!.replace(/.*boundary=/, "");
  const expected = Buffer.from(await standard.arrayBuffer()).toString("latin1");
  assert.equal(sent, expected.replaceAll(theirs, boundary).replaceAll(/\r\n$/g, "") + (sent.endsWith("\r\n") ? "\r\n" : ""));
});

test("a Request may be the second argument", async () => {
  const core = backend();
  const init = new Request(URL_OF_ORDERS, { method: "PATCH", headers: { "x-a": "1" }, redirect: "error", body: "x" });
  await fetch(URL_OF_ORDERS, init);
  const { method, headers, redirect } = asked(core);
  assert.deepEqual([method, redirect, new Headers(headers).get("x-a")], ["PATCH", "error", "1"]);
  await settled();
  assert.equal(core.written, "x");
});

test("mode, cache, referrer and keepalive say nothing", async () => {
  const core = backend();
  const headers = { "content-type": "application/json", "x-a": "1" };
  const init = { method: "PUT", headers, body: "{}", mode: "no-cors", referrer: "about:client", keepalive: true } as const;
  await fetch(URL_OF_ORDERS, init);
  await fetch(URL_OF_ORDERS, { cache: "only-if-cached" });
  assert.deepEqual(asked(core).headers, Object.entries(headers));
  assert.equal(commands(core).filter((command) => command === "fetch_send").length, 2);
});

test("a stream of which somebody has read is refused, and is not sent without its beginning", async () => {
  const core = backend();
  const stream = new Blob(["beginning", "rest"]).stream();
  const reader = stream.getReader();
  await reader.read();
  reader.releaseLock();
  await assert.rejects(fetch(URL_OF_ORDERS, { method: "POST", body: stream }), TypeError);
  assert.deepEqual(core.steps, []);
});

test("a body in init takes the place of a Request's own, used or not, and leaves it alone", async () => {
  const core = backend();
  const used = new Request(URL_OF_ORDERS, { method: "PUT", body: "used" });
  await used.text();
  await fetch(used, { body: new Blob(["one "]).stream() });
  const unused = new Request(URL_OF_ORDERS, { method: "PUT", body: "unused" });
  await fetch(unused, { body: new Blob(["two"]).stream() });
  await settled();
  assert.equal(core.written, "one two");
  assert.equal(await unused.text(), "unused");
});

test("GET with a stream is refused, and the stream left alone", async () => {
  const core = backend();
  const body = new ReadableStream<Uint8Array>({ cancel: () => assert.fail("it was cancelled") });
  await assert.rejects(fetch(URL_OF_ORDERS, { body }), TypeError);
  assert.equal(body.locked, false);
  assert.deepEqual(core.steps, []);
});

test("an answer can be read into a buffer of the page's own", async () => {
  backend({ pieces: ["abcdef"] });
  const response = await fetch(URL_OF_ORDERS);
  const reader = response.body!.getReader({ mode: "byob" });
  const first = await reader.read(new Uint8Array(4));
  assert.equal(new TextDecoder().decode(first.value), "abcd");
  const second = await reader.read(new Uint8Array(4));
  assert.equal(new TextDecoder().decode(second.value), "ef");
  assert.equal((await reader.read(new Uint8Array(4))).done, true);
});

test("in a webview without streams of bytes the answer is a stream nevertheless", async (context) => {
  const Standard = globalThis.ReadableStream;
  context.after(() => {
    globalThis.ReadableStream = Standard;
  });
  globalThis.ReadableStream = new Proxy(Standard, {
    construct: (its, [source, strategy]: [UnderlyingSource?, QueuingStrategy?]) => {
      if (source?.type === "bytes") throw new TypeError("no such thing");
      return Reflect.construct(its, [source, strategy]) as ReadableStream;
    },
  });
  const core = backend({ pieces: ["one ", "two"] });
  const response = await fetch(URL_OF_ORDERS);
  await settled();
  assert.equal(commands(core).includes("fetch_read"), false);
  assert.equal(await response.text(), "one two");
});

test("an answer that is known to be empty has a body, and nothing is read", async () => {
  const core = backend({ head: { status: 201, body: "empty" } });
  const response = await fetch(URL_OF_ORDERS, { method: "POST", body: "x" });
  assert.ok(response.body);
  assert.equal(await response.text(), "");
  assert.deepEqual(commands(core), ["fetch", "fetch_write", "fetch_write", "fetch_send"]);
});

test("an answer that nobody holds any more is given up, and its signal let go of", async () => {
  const core = backend({ pieces: ["never read"] });
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  await (async () => {
    assert.equal((await fetch(URL_OF_ORDERS, { signal })).ok, true);
  })();
  assert.equal(listeners.size, 1);
  assert.equal(commands(core).includes("fetch_cancel"), false);
  for (let tries = 0; listeners.size > 0 && tries < 100; tries += 1) {
    await collectGarbage();
  }
  assert.equal(listeners.size, 0);
  assert.equal(commands(core).at(-1), "fetch_cancel");
});

test("an answer that is being held or read is not given up", async () => {
  const second = gate<string>();
  const core = backend({ pieces: ["first ", second] });
  const reading = fetch(URL_OF_ORDERS).then((response) => response.text());
  await collectGarbage();
  await collectGarbage();
  second.open("second");
  assert.equal(await reading, "first second");
  assert.equal(commands(core).includes("fetch_cancel"), false);
});

test("whenever an abort comes, it is its reason that the page gets", async () => {
  // As many turns after the head of the answer as there can be before the page has it.
  for (let turns = 0; turns < 30; turns += 1) {
    const abort = new AbortController();
    const reason = new Error(`after ${turns} turns`);
    backend({
      pieces: ["all"],
      answers: {
        fetch_send: () => {
          let turn = Promise.resolve();
          for (let left = turns; left > 0; left -= 1) {
            turn = turn.then(() => {});
          }
          void turn.then(() => abort.abort(reason));
          return { type: "basic", status: 200, statusText: "", headers: [], url: URL_OF_ORDERS, body: "stream" };
        },
      },
    });
    const outcome = fetch(URL_OF_ORDERS, { signal: abort.signal }).then((response) => response.text());
    const error = await outcome.then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(error === undefined || error === reason, String(error));
    closePage();
  }
});
