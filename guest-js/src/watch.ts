import type { OtplessError } from "./errors.js";
import { callOutside, onSessionChange } from "./events.js";
import type { Session } from "./session.js";

/**
 * What a page knows about the session at one moment. It is never changed, only replaced.
 *
 * A page that has not heard of the session yet is `restoring`, and so is one whose keychain has not answered: nobody is
 * known to be signed in, and nobody to be signed out. Send people to the sign-in page when the status is `signedOut`,
 * never because `isSignedIn` is false. `stale` is signed in.
 *
 * @example
 * ```ts
 * import type { SessionState } from "tauri-plugin-otpless-api/react"; // or from …/svelte
 *
 * function title(state: SessionState): string {
 *   if (state.isSignedIn) return `Hello ${state.session.claims?.name ?? "there"}`;
 *   if (state.error) return state.error.message;
 *   return state.status === "signedOut" ? "Signed out" : "One moment…";
 * }
 * ```
 */
export type SessionState = (
  | {
      /** Not known yet. */
      readonly status: "restoring";
      /** Whether somebody is known to be signed in. */
      readonly isSignedIn: false;
      /** The session, once the core has answered; its `storage` says whether the keychain is what is missing. */
      readonly session: Session | undefined;
    }
  | {
      /** Signed in; `stale` while the token has expired or cannot be verified. */
      readonly status: "active" | "stale";
      /** Whether somebody is known to be signed in. */
      readonly isSignedIn: true;
      /** The session. */
      readonly session: Session;
    }
  | {
      /** Nobody is signed in. */
      readonly status: "signedOut";
      /** Whether somebody is known to be signed in. */
      readonly isSignedIn: false;
      /** The session that is none; its `endReason` says why. */
      readonly session: Session;
    }
) & {
  /** Why the session could not be fetched; what was known before still stands. Gone as soon as it could be. */
  readonly error: OtplessError | undefined;
  /** Asks again after an `error`; does nothing without one. It needs no `this` and is always the same function. */
  readonly retry: () => void;
};

/**
 * The one watch over the session that everything in a page shares. It begins with the first listener and ends with the
 * last, and then forgets: what nobody has watched may have changed.
 */
class Watch {
  readonly #listeners = new Set<{ changed: () => void }>();
  #state: SessionState;
  #end: (() => void) | undefined;

  /** What is known where nobody is watching: in a page that has just begun, or one that is made on a server. */
  readonly unknown: SessionState;

  constructor() {
    this.unknown = this.#state = stateOf(undefined, undefined, () => this.#retry());
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Calls `changed` after every change of `state`, never at once. Without a window it does nothing. */
  subscribe(changed: () => void): () => void {
    if (typeof window === "undefined") {
      return () => {};
    }
    const listener = { changed };
    this.#listeners.add(listener);
    this.#end ??= this.#begin();
    return () => {
      this.#listeners.delete(listener);
      // Frameworks take the old page down before they put the new one up. Between the two nobody listens, and a watch
      // that ended there would show the new page nothing but `restoring`.
      queueMicrotask(() => this.#endIfUnheard());
    };
  }

  #begin(): () => void {
    let ended = false;
    let unlisten = (): void => {};
    const unlessEnded =
      <T>(handle: (value: T) => void) =>
      (value: T): void => {
        if (!ended) {
          handle(value);
        }
      };
    const failed = unlessEnded((error: OtplessError) => this.#publish(this.#state.session, error));
    const answered = unlessEnded((session: Session) => this.#publish(newer(session, this.#state.session), undefined));

    onSessionChange(answered, { onError: failed }).then((stop) => {
      unlisten = stop;
      if (ended) {
        stop();
      }
    }, failed);
    return () => {
      ended = true;
      unlisten();
    };
  }

  #endIfUnheard(): void {
    if (this.#listeners.size === 0) {
      this.#end?.();
      this.#end = undefined;
      this.#state = this.unknown;
    }
  }

  #retry(): void {
    if (this.#end && this.#state.error) {
      this.#end();
      this.#end = this.#begin();
      this.#publish(this.#state.session, undefined);
    }
  }

  #publish(session: Session | undefined, error: OtplessError | undefined): void {
    this.#state = stateOf(session, error, this.unknown.retry);
    for (const listener of [...this.#listeners]) {
      // One that was called before may have ended this one.
      if (this.#listeners.has(listener)) {
        callOutside(listener.changed);
      }
    }
  }
}

/** A second subscription knows nothing of what the first has delivered. */
function newer(session: Session, known: Session | undefined): Session {
  return known !== undefined && known.revision > session.revision ? known : session;
}

function stateOf(session: Session | undefined, error: OtplessError | undefined, retry: () => void): SessionState {
  if (session === undefined || session.status === "restoring") {
    return { status: "restoring", isSignedIn: false, session, error, retry };
  }
  const { status } = session;
  return status === "signedOut"
    ? { status, isSignedIn: false, session, error, retry }
    : { status, isSignedIn: true, session, error, retry };
}

export const watch = /* @__PURE__ */ new Watch();
