import type { SessionDetails } from "./details.js";
import type { Diagnostics } from "./diagnostics.js";
import { invalidArgument } from "./rejection.js";
import { call } from "./ipc.js";
import type { Session, SessionToken } from "./session.js";

/**
 * The session as it is now, from memory and without the network. While the app is starting it waits for the keychain.
 *
 * Permission: `otpless:allow-get-session`, part of `otpless:default`.
 *
 * @throws {@link OtplessError}
 * @example
 * ```ts
 * import { getSession } from "tauri-plugin-otpless-api";
 *
 * const session = await getSession();
 * if (session.status === "signedOut") {
 *   location.hash = "#/sign-in";
 * }
 * ```
 */
export function getSession(): Promise<Session> {
  return call("get_session");
}

/**
 * Signs in with what OTPless's sign-in script or SDK handed to the app, in the web or the mobile spelling, nested or
 * not. The tokens are verified and then kept by the app's core; a session that was there before is replaced.
 *
 * Do not keep `result`: pass it on from the callback and let go of it.
 *
 * Permission: `otpless:allow-start-session`, **not** part of `otpless:default`.
 *
 * @param result What the callback received.
 * @throws {@link OtplessError}: `invalidArgument` names the field that is missing or wrong, `invalidToken` says why a
 *   token was not believed. An existing session is then left as it was.
 * @example
 * ```ts
 * import { startSession } from "tauri-plugin-otpless-api";
 *
 * const sdk = new OTPless(async (event) => {
 *   if (event.responseType === "ONETAP") {
 *     const session = await startSession(event.response);
 *     console.log(`signed in as ${session.userId}`);
 *   }
 * });
 * ```
 */
export function startSession(result: unknown): Promise<Session> {
  return call("start_session", { result });
}

/**
 * Ends the session here and now, also without a network. OTPless is told in the background, if need be after a restart.
 *
 * Permission: `otpless:allow-logout`, part of `otpless:default`.
 *
 * @throws {@link OtplessError}
 * @example
 * ```ts
 * import { logout } from "tauri-plugin-otpless-api";
 *
 * document.querySelector("#sign-out")!.addEventListener("click", () => void logout());
 * ```
 */
export function logout(): Promise<Session> {
  return call("logout");
}

/**
 * Says that the user did something, which moves the inactivity deadline. {@link trackActivity} does this for a page by
 * itself; call it for what the page cannot see, such as a call or a video that is being watched.
 *
 * Permission: `otpless:allow-record-activity`, part of `otpless:default`.
 *
 * @throws {@link OtplessError}
 * @example
 * ```ts
 * import { recordActivity } from "tauri-plugin-otpless-api";
 *
 * document.querySelector("video")!.addEventListener("timeupdate", () => void recordActivity());
 * ```
 */
export function recordActivity(): Promise<Session> {
  return call("record_activity");
}

/**
 * Asks OTPless now whether the session is still good, for instance before something that matters. Look at the answer: a
 * session that OTPless has ended comes back as `signedOut`, with the reason, and is no error.
 *
 * Permission: `otpless:allow-verify-session`, part of `otpless:default`.
 *
 * @throws {@link OtplessError}: `notSignedIn` if there was nobody to ask about; `network` or `server` if nobody could say
 *   (the session is kept).
 * @example
 * ```ts
 * import { verifySession } from "tauri-plugin-otpless-api";
 *
 * const session = await verifySession();
 * if (session.status !== "active") throw new Error("sign in again before you pay");
 * ```
 */
export function verifySession(): Promise<Session> {
  return call("verify_session");
}

/**
 * Renews the session token now. There is seldom a reason: it is renewed in the background before it expires. Several
 * calls at once make one request.
 *
 * Permission: `otpless:allow-refresh-session`, part of `otpless:default`.
 *
 * @throws {@link OtplessError}
 * @example
 * ```ts
 * import { refreshSession } from "tauri-plugin-otpless-api";
 *
 * const { expiresAt } = await refreshSession();
 * console.log(`good until ${new Date(expiresAt!)}`);
 * ```
 */
export function refreshSession(): Promise<Session> {
  return call("refresh_session");
}

/**
 * What {@link getSessionToken} can be told.
 *
 * @example
 * ```ts
 * import { getSessionToken, type SessionTokenOptions } from "tauri-plugin-otpless-api";
 *
 * const forAnUpload: SessionTokenOptions = { minValidity: 300 };
 * const { token } = await getSessionToken(forAnUpload);
 * ```
 */
export interface SessionTokenOptions {
  /** For how many seconds the token must still be valid; it is renewed first if it is not. 30 by default. */
  minValidity?: number;
}

/**
 * The session token itself, for apps that call their own backend from JavaScript. Script that gets into the page can
 * use it too: grant it only to windows that need it, and prefer {@link fetch}, which needs no token in the page.
 *
 * Permission: `otpless:allow-get-session-token`, **not** part of `otpless:default`.
 *
 * @throws {@link OtplessError}: `notSignedIn` if nobody is signed in; `network` or `server` if the token is too old and
 *   cannot be renewed.
 * @example
 * ```ts
 * import { getSessionToken } from "tauri-plugin-otpless-api";
 *
 * const { token } = await getSessionToken({ minValidity: 60 });
 * await fetch("https://api.example.com/orders", { headers: { Authorization: `Bearer ${token}` } });
 * ```
 */
export async function getSessionToken(options: SessionTokenOptions = {}): Promise<SessionToken> {
  const { minValidity } = options;
  if (minValidity === undefined) {
    return call("get_session_token");
  }
  // NaN and Infinity would become null on their way and so quietly mean "the default".
  if (!Number.isFinite(minValidity) || minValidity < 0) {
    throw invalidArgument("minValidity must be a number of seconds, 0 or more");
  }
  return call("get_session_token", { minValidity });
}

/**
 * Asks OTPless what it knows of the session: with what, on which device and from where somebody signed in, and when. In
 * relay mode only (`"mode": "relay"`). OTPless is asked at most once in 10 s; until then the last answer is given again.
 *
 * Permission: `otpless:allow-get-session-details`, **not** part of `otpless:default`.
 *
 * @throws {@link OtplessError}: `invalidConfig` if the app is not in relay mode; `notSignedIn` if nobody is signed in;
 *   `rejected` if OTPless said that the session is over; `network` or `server` if nobody could say (the session is kept).
 * @example
 * ```ts
 * import { sessionDetails } from "tauri-plugin-otpless-api";
 *
 * const { startedAt, identities } = await sessionDetails();
 * console.log(`${identities[0]?.identityValue}, since ${new Date(startedAt).toLocaleString()}`);
 * ```
 */
export function sessionDetails(): Promise<SessionDetails> {
  return call("get_session_details");
}

/**
 * What the plugin knows about itself: keychain, next deadlines, last refresh and why it failed, counters. No secrets.
 *
 * Permission: `otpless:allow-diagnostics`, **not** part of `otpless:default`.
 *
 * @throws {@link OtplessError}
 * @example
 * ```ts
 * import { diagnostics } from "tauri-plugin-otpless-api";
 *
 * const { backend, storageError, lastRefresh } = await diagnostics();
 * console.log({ backend, storageError, lastRefresh });
 * ```
 */
export function diagnostics(): Promise<Diagnostics> {
  return call("diagnostics");
}
