import { listen, type UnlistenFn } from "@tauri-apps/api/event";

import { getSession } from "./commands.js";
import type { OtplessError } from "./errors.js";
import { assertInsideTauri } from "./ipc.js";
import { toOtplessError } from "./rejection.js";
import type { Session } from "./session.js";

const SESSION_CHANGED = "otpless://session-changed";

/**
 * What {@link onSessionChange} can be told.
 *
 * @example
 * ```ts
 * import { onSessionChange, type SessionChangeOptions } from "tauri-plugin-otpless-api";
 *
 * const options: SessionChangeOptions = { onError: (error) => console.warn(error.kind, error.message) };
 * await onSessionChange((session) => console.log(session.status), options);
 * ```
 */
export interface SessionChangeOptions {
  /** Told when the session could not be fetched. The subscription goes on and tries again at the next change. */
  onError?: (error: OtplessError) => void;
}

/**
 * Calls `callback` with the session as it is now, and again after every change, in this window or anywhere else.
 *
 * Nothing is lost between the first state and the first change, states come in order, changes that follow each other
 * closely are delivered as one, and nothing is delivered after the returned function has been called.
 *
 * The promise settles when the subscription stands; the first state may come a moment later, because while the app is
 * starting it waits for the keychain.
 *
 * Permissions: `core:event:allow-listen` and `core:event:allow-unlisten` (in `core:default`), `otpless:allow-get-session`.
 *
 * @returns A function that ends the subscription.
 * @throws {@link OtplessError} if the window may not listen.
 * @example
 * ```ts
 * import { onSessionChange } from "tauri-plugin-otpless-api";
 *
 * const unlisten = await onSessionChange((session) => {
 *   document.body.classList.toggle("signed-in", session.status === "active" || session.status === "stale");
 * });
 * // when the component goes away:
 * unlisten();
 * ```
 */
export async function onSessionChange(
  callback: (session: Session) => void,
  options: SessionChangeOptions = {},
): Promise<UnlistenFn> {
  const subscription = new Subscription(callback, options.onError);
  // Listening comes first: a change between a fetch and a later listen would go unnoticed.
  const stopListening = await startListening((payload) => subscription.changed(payload));
  subscription.changed(undefined);
  return () => {
    subscription.close();
    stopListening();
  };
}

/** Fetches after a hint that something changed, and delivers only what is newer than what was delivered before. */
class Subscription {
  readonly #callback: (session: Session) => void;
  readonly #onError: ((error: OtplessError) => void) | undefined;
  #closed = false;
  #fetching = false;
  /** The newest revision that was delivered. */
  #delivered = NONE;
  /** The newest revision that was announced while a fetch was under way. */
  #announced = NONE;

  constructor(callback: (session: Session) => void, onError?: (error: OtplessError) => void) {
    this.#callback = callback;
    this.#onError = onError;
  }

  /**
   * The payload decides nothing but whether a fetch would be in vain: any script in the app can emit such an event.
   */
  changed(payload: unknown): void {
    const revision = revisionOf(payload);
    if (this.#closed || revision <= this.#delivered) {
      return;
    }
    if (this.#fetching) {
      this.#announced = Math.max(this.#announced, revision);
    } else {
      void this.#fetch();
    }
  }

  close(): void {
    this.#closed = true;
  }

  async #fetch(): Promise<void> {
    this.#fetching = true;
    do {
      this.#announced = NONE;
      try {
        this.#deliver(await getSession());
      } catch (error) {
        this.#report(error as OtplessError);
      }
    } while (this.#announced > this.#delivered && !this.#closed);
    this.#fetching = false;
  }

  #deliver(session: Session): void {
    if (!this.#closed && session.revision > this.#delivered) {
      this.#delivered = session.revision;
      callOutside(() => this.#callback(session));
    }
  }

  #report(error: OtplessError): void {
    if (!this.#closed) {
      callOutside(() => this.#onError?.(error));
    }
  }
}

const NONE = -1;

async function startListening(handler: (payload: unknown) => void): Promise<() => void> {
  assertInsideTauri();
  try {
    const unlisten: () => unknown = await listen<unknown>(SESSION_CHANGED, ({ payload }) => handler(payload));
    return () => {
      // Nothing is delivered any more in either case, so there is nothing to tell if Tauri refuses to unlisten.
      void Promise.resolve(unlisten()).catch(() => {});
    };
  } catch (raw) {
    throw toOtplessError(raw, { plugin: "event", name: "listen", permission: "core:event:allow-listen" });
  }
}

/** A payload without a usable revision counts as newer than everything: better one fetch too many. */
function revisionOf(payload: unknown): number {
  const revision = (payload as { revision?: unknown } | null | undefined)?.revision;
  return typeof revision === "number" ? revision : Infinity;
}

/** An exception of the app's own function must show as one, and must not end the subscription. */
export function callOutside(run: () => void): void {
  try {
    run();
  } catch (exception) {
    queueMicrotask(() => {
      throw exception;
    });
  }
}
