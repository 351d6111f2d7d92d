import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { fetch } from "../src/index.js";
import { backend, commands, URL_OF_ORDERS } from "./support/backend.js";
import { closePage, gate, settled } from "./support/page.js";

afterEach(closePage);

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
    ["fetch_send", { call: core.call }],
    ["fetch_read", { call: core.call }],
    ["fetch_read", { call: core.call }],
    ["fetch_read", { call: core.call }],
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
    const core = backend({ head: { status, body: "none" } });
    const response = await fetch(URL_OF_ORDERS);
    assert.equal(response.status, status);
    assert.equal(response.body, null);
    assert.equal(await response.text(), "");
    assert.deepEqual(commands(core), ["fetch", "fetch_send"]);
  });
}

test("redirect: manual gives the page an opaque redirect", async () => {
  const core = backend({
    head: { type: "opaqueredirect", status: 0, statusText: "", headers: [], body: "none" },
  });
  const response = await fetch(URL_OF_ORDERS, { redirect: "manual" });
  const { type, status, ok, url, body } = response;
  assert.deepEqual({ type, status, ok, url, body }, { type: "opaqueredirect", status: 0, ok: false, url: URL_OF_ORDERS, body: null });
  assert.equal(response.clone().status, 0);
  assert.equal([...response.headers].length, 0);
  assert.deepEqual(commands(core), ["fetch", "fetch_send"]);
});
