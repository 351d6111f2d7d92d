import { invoke } from "@tauri-apps/api/core";

import { isOtplessError, type OtplessError } from "./errors.js";
import { assertInsideTauri } from "./ipc.js";
import { LARGEST_KEPT, outgoing, type OutgoingBody } from "./outgoing.js";
import { invalidArgument, toOtplessError } from "./rejection.js";

/** Largest piece of a body that goes to the core at once, in bytes; it takes no larger ones. */
const PIECE = 1024 * 1024;

/**
 * `fetch` for your own backend: the app's core makes the request and attaches the session, so that the page needs no
 * token. The arguments are those of the standard `fetch`, and so is the `Response`; both bodies may be streams.
 *
 * What differs: only the URLs in the scope of the permission may be called, and redirects must stay in it. The session is
 * always attached; `Authorization` and `Cookie` cannot be set, cookies of the answer stay in the core. There is no CORS,
 * so `mode`, `cache`, `referrer` and `keepalive` say nothing here. `statusText` is the standard phrase of the status. A
 * 401 is answered with one renewal of the session and one more try, unless the body was a stream or larger than 64 MiB.
 * The body of a Request goes out as a stream if it has not ended after a quarter of a second: a Request does not say what
 * it was made of. A call that nobody reads or waits for is dropped after five minutes.
 *
 * Permission: `otpless:allow-fetch` with a scope, **not** part of `otpless:default`.
 *
 * @throws `TypeError` if there is no answer, as the standard has it. If it is the core that says so, `cause` is an
 *   {@link OtplessError}: `notSignedIn` and nothing was sent, `sessionChanged` if somebody else signed in meanwhile,
 *   `notPermitted` if the URL or a redirect is not in the scope, `network` without a connection, `rateLimited` with too
 *   many calls at once, `storageUnavailable` while the keychain has not answered, `invalidArgument` for what cannot be
 *   sent or a call that was dropped. If a stream of the page's failed, `cause` is what it failed with; arguments that
 *   the standard refuses have no `cause`. With an aborted `signal` it is the signal's reason.
 * @example
 * ```ts
 * import { fetch, isOtplessError } from "tauri-plugin-otpless-api";
 *
 * try {
 *   const response = await fetch("https://api.example.com/orders", { signal: AbortSignal.timeout(10_000) });
 *   console.log(response.ok ? await response.json() : response.status);
 * } catch (error) {
 *   const cause = error instanceof TypeError ? error.cause : error;
 *   if (isOtplessError(cause) && cause.kind === "notSignedIn") location.hash = "#/sign-in";
 * }
 * ```
 */
export async function fetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const signal = signalOf(input, init);
  const call = new Call(signal);
  try {
    return await call.run(input, init);
  } catch (error) {
    const reason: unknown = signal?.aborted ? signal.reason : error;
    call.giveUp(reason);
    throw reason;
  }
}

/** As in the standard, `null` in `init` leaves a Request's own signal out. */
function signalOf(input: RequestInfo | URL, { signal }: RequestInit): AbortSignal | undefined {
  return (signal === undefined && input instanceof Request ? input.signal : signal) ?? undefined;
}

/** What the core answers to `fetch_send`. */
interface Head {
  type: ResponseType;
  status: number;
  statusText: string;
  headers: [name: string, value: string][];
  url: string;
  redirected: boolean;
  /** `empty` has one that has ended already; there is nothing to be read of `none` or `empty`. */
  body: "none" | "empty" | "stream";
}

/** What there is to do for a call of which nobody in the page holds anything any more. */
interface Remains {
  /** The core's number for it, while there is one and something is still to come. */
  number: number | undefined;
  letGoOfSignal: () => void;
}

/** An answer need not be read to its end, and a signal may live as long as the page. */
const forgotten = /* @__PURE__ */ new FinalizationRegistry<Remains>(({ number, letGoOfSignal }) => {
  letGoOfSignal();
  if (number !== undefined) {
    cancel(number);
  }
});

/** One call, from being asked for until its answer has been read. */
class Call {
  readonly #signal: AbortSignal | undefined;
  readonly #remains: Remains;
  /** Whether there is nothing more to be read. */
  #isAnswered = false;
  /** Whether there is nothing more to be written: an answer may come before its request is complete. */
  #isWritten = false;
  #isGivenUp = false;
  /** The page's end of a body that is a stream. */
  #stream: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #answer: ReadableStreamController<Uint8Array> | undefined;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    const call = new WeakRef(this);
    const onAbort = (): void => call.deref()?.giveUp(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    this.#remains = { number: undefined, letGoOfSignal: () => signal?.removeEventListener("abort", onAbort) };
    forgotten.register(this, this.#remains);
  }

  async run(input: RequestInfo | URL, init: RequestInit): Promise<Response> {
    const { request, reader, body } = outgoing(input, init);
    this.#stream = reader;
    refuse(request);
    this.#signal?.throwIfAborted();
    const found = await this.#wait(
      body().catch((error: unknown) => {
        throw bodyFailed(error);
      }),
    );
    this.#stream = found instanceof Uint8Array ? undefined : found;
    const isKept = found instanceof Uint8Array && found.byteLength <= LARGEST_KEPT;
    this.#isWritten = found === undefined;

    const asked = step<number>("fetch", {
      request: {
        method: request.method,
        url: request.url,
        headers: [...request.headers],
        redirect: request.redirect,
        body: found === undefined ? "none" : isKept ? "whole" : "stream",
      },
    });
    await this.#wait(asked.then((number) => this.#begin(number)));
    const written = found === undefined ? Promise.resolve() : this.#write(found).finally(() => this.#written());
    if (isKept) {
      await this.#wait(written);
    }
    const head = await this.#wait(this.#send(written));
    // From here on an abort is told to the body's reader; until here it was told to nobody.
    this.#signal?.throwIfAborted();
    if (head.body !== "stream") {
      this.#answered();
    }
    const answer = head.body === "stream" ? this.#body() : head.body === "empty" ? new Uint8Array() : null;
    return dressed(new Response(answer, responseInit(head)), head);
  }

  #begin(number: number): void {
    if (this.#isGivenUp) {
      // While the core was still finding a number for it.
      cancel(number);
    } else {
      this.#remains.number = number;
    }
  }

  /** Tells the core, if it has anything to be told, and breaks both bodies off. */
  giveUp(reason: unknown): void {
    if (!this.#isOver && this.#remains.number !== undefined) {
      cancel(this.#remains.number);
    }
    this.#isGivenUp = true;
    this.#answer?.error(reason);
    this.#answered();
    // Settles when the stream has been told; nobody waits for that.
    this.#stream?.cancel(reason).catch(() => {});
  }

  /** The call's result, or the signal's reason if that comes first. */
  async #wait<T>(result: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) {
      return result;
    }
    let onAbort!: () => void;
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort);
    });
    try {
      return await Promise.race([result, aborted]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      signal.throwIfAborted();
    }
  }

  /** The head of the answer. A stream that fails before there is one fails the call. */
  #send(written: Promise<void>): Promise<Head> {
    const sent = step<Head>("fetch_send", { call: this.#remains.number });
    return new Promise((resolve, reject) => {
      sent.then(resolve, reject);
      written.catch((error: unknown) => {
        // That the request is over is told better by its answer; any other refusal of a piece would leave it waiting for the next.
        if (!isNetworkError(error) || error.cause.kind !== "network") {
          this.giveUp(error);
          reject(error);
        }
      });
    });
  }

  async #write(body: NonNullable<OutgoingBody>): Promise<void> {
    if (body instanceof Uint8Array) {
      await this.#writePieces(body);
    } else {
      try {
        for (let read = await body.read(); !read.done; read = await body.read()) {
          await this.#writePieces(read.value);
        }
      } catch (error) {
        body.cancel(error).catch(() => {});
        throw isNetworkError(error) ? error : bodyFailed(error);
      }
    }
    // A stream that was broken off looks like one that has ended, and must not to the core.
    if (!this.#isGivenUp) {
      await this.#writePiece(new Uint8Array());
    }
  }

  async #writePieces(bytes: Uint8Array): Promise<void> {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError("a stream that is the body of a request must be one of Uint8Arrays");
    }
    for (let at = 0; at < bytes.byteLength && !this.#isGivenUp; at += PIECE) {
      await this.#writePiece(bytes.subarray(at, at + PIECE));
    }
  }

  #writePiece(piece: Uint8Array): Promise<void> {
    return step("fetch_write", piece, { headers: { "otpless-call": String(this.#remains.number) } });
  }

  /** The answer's body. Nothing is read ahead, so a page that reads slowly slows the server down. */
  #body(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const call = this.#remains.number;
    const start = (controller: ReadableStreamController<Uint8Array>): void => {
      this.#answer = controller;
    };
    const pull = async (controller: ReadableStreamController<Uint8Array>): Promise<void> => {
      // An array of numbers where Tauri's IPC has no bytes.
      const read = await step<ArrayBuffer | number[]>("fetch_read", { call }).catch((error: unknown) => {
        this.giveUp(error);
        throw error;
      });
      const piece = new Uint8Array(read);
      if (this.#isGivenUp) {
        return;
      }
      if (piece.byteLength === 0) {
        this.#answered();
        controller.close();
        // Whoever reads into a buffer of their own gets it back.
        (controller as Partial<ReadableByteStreamController>).byobRequest?.respond(0);
      } else {
        controller.enqueue(piece);
      }
    };
    const cancelled = (): void => {
      this.#answer = undefined;
      this.giveUp(undefined);
    };
    try {
      return new ReadableStream({ type: "bytes", start, pull, cancel: cancelled });
    } catch {
      // A webview without streams of bytes.
      return new ReadableStream<Uint8Array<ArrayBuffer>>({ start, pull, cancel: cancelled }, { highWaterMark: 0 });
    }
  }

  get #isOver(): boolean {
    return this.#isGivenUp || (this.#isAnswered && this.#isWritten);
  }

  #answered(): void {
    this.#isAnswered = true;
    this.#answer = undefined;
    this.#letGoOfSignal();
  }

  #written(): void {
    this.#isWritten = true;
    this.#letGoOfSignal();
  }

  /** Once there is nothing to abort. */
  #letGoOfSignal(): void {
    if (this.#isOver) {
      this.#remains.number = undefined;
      this.#remains.letGoOfSignal();
    }
  }
}

/** What this `fetch` cannot honour and must not pass over in silence. */
function refuse(request: Request): void {
  if (request.credentials === "omit") {
    throw networkError(invalidArgument("this fetch always attaches the session; use the window's own without it"));
  }
  if (request.integrity) {
    throw networkError(invalidArgument("this fetch does not check the integrity of what it gets"));
  }
}

/** A step of a call; rejects as `fetch` does. */
async function step<T>(
  command: string,
  args: Record<string, unknown> | Uint8Array,
  options?: { headers: Record<string, string> },
): Promise<T> {
  try {
    assertInsideTauri();
    return await invoke<T>(`plugin:otpless|${command}`, args, options);
  } catch (raw) {
    throw networkError(toOtplessError(raw, { plugin: "otpless", name: "fetch", permission: "otpless:allow-fetch" }));
  }
}

/** Tells the core that a call is given up. That it is over already is as good. */
function cancel(call: number): void {
  step("fetch_cancel", { call }).catch(() => {});
}

/** What the standard calls a network error, whatever it was. */
function networkError(cause: OtplessError): TypeError {
  return new TypeError(cause.message, { cause });
}

function bodyFailed(cause: unknown): TypeError {
  return new TypeError("the stream of the request's body failed", { cause });
}

function isNetworkError(error: unknown): error is TypeError & { cause: OtplessError } {
  return error instanceof TypeError && isOtplessError(error.cause);
}

function responseInit({ status, statusText, headers }: Head): ResponseInit {
  // No Response can be made with the status of an opaque redirect.
  return status === 0 ? {} : { status, statusText, headers };
}

/** A response says itself where it is from, which the one that made it cannot. */
function dressed(response: Response, head: Head): Response {
  const { type, url, redirected } = head;
  const own = head.status === 0 ? { type, url, redirected, status: 0, ok: false } : { type, url, redirected };
  for (const [name, value] of Object.entries(own)) {
    Object.defineProperty(response, name, { value, configurable: true, enumerable: true });
  }
  const clone = (): Response => dressed(Response.prototype.clone.call(response), head);
  Object.defineProperty(response, "clone", { value: clone, configurable: true });
  return response;
}
