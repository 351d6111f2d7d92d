import type { ErrorPayload, Session } from "../../src/index.js";

/** A session of the given revision. */
export function session(revision: number): Session {
  return { status: "active", revision, storage: "keychain", userId: "MO-0123456789abcdef0123456789abcdef" };
}

/** The payload of `otpless://session-changed`. */
export function change(revision: number): { revision: number; status: string } {
  return { revision, status: "active" };
}

/** What the plugin rejects with when there is no network. */
export const offline: ErrorPayload = {
  kind: "network",
  message: "OTPless cannot be reached; the session is kept",
  retryable: true,
  code: "9104",
};

/** A recognisable secret. */
export const CANARY = "canary-7f3a9b1c5d";
