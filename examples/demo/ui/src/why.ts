/** Why the session is as it is, in sentences a person can act on. */
import type { Diagnostics, Session } from "tauri-plugin-otpless-api";

import { moment } from "./time.js";
import { ADVICE } from "./words.js";

export interface Why {
  /** What is behind it, for whoever reads the page by machine: a kind of error, or how the session is stored. */
  cause: string;
  sentences: string[];
}

/** `undefined` if all is well, or if nothing is known beyond what the status says. */
export function why(session: Session, diagnostics: Diagnostics | undefined): Why | undefined {
  const found = [expired(session, diagnostics), stored(session, diagnostics)].filter((reason) => reason !== undefined);
  return found[0] && { cause: found[0].cause, sentences: found.flatMap(({ sentences }) => sentences) };
}

function expired(session: Session, diagnostics: Diagnostics | undefined): Why | undefined {
  if (session.status !== "stale") {
    return undefined;
  }
  // The newest of the two is the reason. A success is none: then the machine has just woken up.
  const { lastRefresh, lastKeyFetch } = diagnostics ?? {};
  const forKeys = (lastKeyFetch?.at ?? 0) > (lastRefresh?.at ?? 0);
  const last = forKeys ? lastKeyFetch : lastRefresh;
  if (!last?.error) {
    return { cause: "waiting", sentences: ["It has not been tried to renew it yet; that is about to happen."] };
  }
  const { kind, message, code } = last.error;
  const said = `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
  return {
    cause: kind,
    sentences: [
      `The last attempt to ${forKeys ? "get the keys to check it with" : "renew it"}, at ${moment(last.at)}, failed: ${said}${code === undefined ? "" : ` (${code})`}.`,
      ADVICE[kind],
    ],
  };
}

function stored(session: Session, diagnostics: Diagnostics | undefined): Why | undefined {
  if (session.status === "signedOut" || session.storage === "keychain") {
    return undefined;
  }
  const problem = diagnostics?.storageError;
  const named = problem === undefined ? [] : [`What the app was told: ${problem}.`];
  const advice =
    session.storage === "ephemeral"
      ? "Unlock the keychain; the app stores the session within a minute or so."
      : "Unlock the keychain, and the app goes on where it was; or sign in anew.";
  return { cause: session.storage, sentences: [...named, advice] };
}
