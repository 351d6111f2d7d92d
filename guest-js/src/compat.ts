/**
 * The names that OTPless's own SDKs give to a session, for apps that come from them: change the import, then move on to
 * the functions of `tauri-plugin-otpless-api` where you want more than these can say.
 *
 * The refresh token and the session id are in none of the answers. Whoever holds them can pass for the user, so they stay
 * in the app's core, whatever the page is allowed.
 *
 * @example
 * ```ts
 * import { captureSignIn, OTPlessLogout, OTPlessVerifySession } from "tauri-plugin-otpless-api/compat";
 *
 * const sdk = new OTPless((event) => void captureSignIn(event));
 *
 * const session = await OTPlessVerifySession();
 * if (session.success) document.querySelector("#sign-out")!.addEventListener("click", () => void OTPlessLogout());
 * ```
 *
 * @packageDocumentation
 */

import { getSession, getSessionToken, logout as endSession, startSession } from "./commands.js";
import { isOtplessError, OtplessError, type ErrorKind } from "./errors.js";
import { invalidArgument } from "./rejection.js";
import type { Session } from "./session.js";

/**
 * What {@link OTPlessVerifySession} answers while somebody is signed in: the web SDK's object, without what may not leave
 * the app's core.
 *
 * @example
 * ```ts
 * import { OTPlessVerifySession, type WebSession } from "tauri-plugin-otpless-api/compat";
 *
 * const words = ({ sessionToken }: WebSession) => (sessionToken ? "signed in" : "signed in, and this page needs no token");
 * const session = await OTPlessVerifySession();
 * document.title = session.success ? words(session) : "signed out";
 * ```
 */
export interface WebSession {
  /** Somebody is signed in. */
  success: true;
  /**
   * The session JWT. Absent if the window was not granted `otpless:allow-get-session-token`, or if the token has expired
   * and cannot be renewed now, for instance offline. It is a credential: never store or log it.
   */
  sessionToken?: string;
  /** Never there: OTPless takes it for a credential, so it does not leave the app's core. */
  sessionId?: never;
  /** Never there: it buys new sessions, so it does not leave the app's core, which renews the session by itself. */
  refreshToken?: never;
}

/**
 * What {@link OTPlessVerifySession} answers when nobody is signed in.
 *
 * @example
 * ```ts
 * import { OTPlessVerifySession, type NoWebSession } from "tauri-plugin-otpless-api/compat";
 *
 * const isOver = (session: { success: boolean }): session is NoWebSession => !session.success;
 * if (isOver(await OTPlessVerifySession())) location.hash = "#/sign-in";
 * ```
 */
export interface NoWebSession {
  /** Nobody is signed in. */
  success: false;
}

/**
 * The session in the web SDK's shape. As there it is what the app knows, but that a token which is about to expire is
 * renewed first if the page may have it; {@link getActiveSession} is the same in the mobile shape, and `verifySession()`
 * of `tauri-plugin-otpless-api` asks OTPless.
 *
 * A session that is `stale`, as it is offline, is a session: `success` is true. Before the keychain has been read nobody
 * knows, so at the start of the app it waits, and rejects with `storageUnavailable` rather than say that nobody is
 * signed in: ask again, or watch the session with `onSessionChange`.
 *
 * Permissions: `otpless:allow-get-session`, part of `otpless:default`; for the token `otpless:allow-get-session-token`,
 * which is **not**. Without it the answer is the same, less the token.
 *
 * @throws `OtplessError`
 * @example
 * ```ts
 * import { OTPlessVerifySession } from "tauri-plugin-otpless-api/compat";
 *
 * const session = await OTPlessVerifySession();
 * if (!session.success) location.hash = "#/sign-in";
 * ```
 */
export async function OTPlessVerifySession(): Promise<WebSession | NoWebSession> {
  const found = await find();
  return found ? { success: true, ...found } : { success: false };
}

/**
 * What {@link OTPlessLogout} answers.
 *
 * @example
 * ```ts
 * import { OTPlessLogout, type LogoutResult } from "tauri-plugin-otpless-api/compat";
 *
 * const { success }: LogoutResult = await OTPlessLogout();
 * if (success) location.hash = "#/sign-in";
 * ```
 */
export interface LogoutResult {
  /** Whether nobody is signed in now. */
  success: boolean;
}

/**
 * Ends the session here and now, also without a network: unlike the web SDK it keeps nothing back for another attempt, and
 * OTPless is told in the background. `success` is false if somebody signed in at the same moment, or if the core could
 * not do it and another attempt may succeed.
 *
 * Permission: `otpless:allow-logout`, part of `otpless:default`.
 *
 * @throws `OtplessError` if another attempt would not help, as without the permission.
 * @example
 * ```ts
 * import { OTPlessLogout } from "tauri-plugin-otpless-api/compat";
 *
 * document.querySelector("#sign-out")!.addEventListener("click", async () => {
 *   const { success } = await OTPlessLogout();
 *   if (success) location.hash = "#/sign-in";
 * });
 * ```
 */
export async function OTPlessLogout(): Promise<LogoutResult> {
  try {
    const { status } = await endSession();
    return { success: status === "signedOut" };
  } catch (error) {
    if (isOtplessError(error) && error.retryable) {
      return { success: false };
    }
    throw error;
  }
}

/**
 * Waits until the app knows whether somebody is signed in, as far as `getSession()` does. There is nothing to initialise:
 * the app's core restores and renews the session from the moment the app starts, whether a page asks for it or not.
 *
 * Permission: `otpless:allow-get-session`, part of `otpless:default`.
 *
 * @param _appId Not used, so that calls need not be changed. The app id that counts stands in `tauri.conf.json`; a page
 *   cannot choose another.
 * @throws `OtplessError`, above all if the plugin is not registered or the permission is missing.
 * @example
 * ```ts
 * import { getActiveSession, initializeSessionManager } from "tauri-plugin-otpless-api/compat";
 *
 * await initializeSessionManager();
 * const { state } = await getActiveSession();
 * ```
 */
export async function initializeSessionManager(_appId?: string): Promise<void> {
  await getSession();
}

/**
 * What {@link getActiveSession} answers: React Native's shape. `sessionToken` is the session JWT, as there, and absent if
 * the window was not granted `otpless:allow-get-session-token`, or if it has expired and cannot be renewed now.
 *
 * @example
 * ```ts
 * import { getActiveSession, type ActiveSession } from "tauri-plugin-otpless-api/compat";
 *
 * const label = (session: ActiveSession) => (session.state === "active" ? "Signed in" : "Signed out");
 * document.title = label(await getActiveSession());
 * ```
 */
export type ActiveSession =
  | {
      /** Somebody is signed in. */
      state: "active";
      /** The session JWT, if the page may have it and there is one. It is a credential: never store or log it. */
      sessionToken?: string;
    }
  | {
      /** Nobody is signed in. */
      state: "inactive";
    };

/**
 * The session in React Native's shape. Unlike there it does not end because a refresh has failed: only OTPless's own
 * verdict, a deadline or a logout makes it `inactive`.
 *
 * When it waits and rejects, and which permissions it needs, is as with {@link OTPlessVerifySession}.
 *
 * @throws `OtplessError`
 * @example
 * ```ts
 * import { getActiveSession } from "tauri-plugin-otpless-api/compat";
 *
 * const session = await getActiveSession();
 * if (session.state === "inactive") location.hash = "#/sign-in";
 * ```
 */
export async function getActiveSession(): Promise<ActiveSession> {
  const found = await find();
  return found ? { state: "active", ...found } : { state: "inactive" };
}

/**
 * React Native's name for the end of the session: here and now, also without a network.
 *
 * Permission: `otpless:allow-logout`, part of `otpless:default`.
 *
 * @throws `OtplessError`
 * @example
 * ```ts
 * import { logout } from "tauri-plugin-otpless-api/compat";
 *
 * document.querySelector("#sign-out")!.addEventListener("click", () => void logout());
 * ```
 */
export async function logout(): Promise<void> {
  await endSession();
}

/**
 * An event of OTPless's sign-in script or of `otpless-headless-js`, as far as {@link captureSignIn} looks at it.
 *
 * @example
 * ```ts
 * import { captureSignIn, type SignInEvent } from "tauri-plugin-otpless-api/compat";
 *
 * const sdk = new OTPless(async (event: SignInEvent) => {
 *   if (event.responseType === "FAILED") console.warn("the sign-in failed");
 *   else await captureSignIn(event);
 * });
 * ```
 */
export interface SignInEvent {
  /** `ONETAP` is the one with the session. */
  readonly responseType: string;
  /** Whether it went well. */
  readonly success?: unknown;
  /** The HTTP status. */
  readonly statusCode?: unknown;
  /** What belongs to it; in an `ONETAP` the result of the sign-in. */
  readonly response?: unknown;
}

/**
 * Starts the session with the `ONETAP` event of OTPless's sign-in script or of `otpless-headless-js`, in the web or the
 * mobile spelling, nested in `sessionInfo` or not. Hand it every event; the others are ignored.
 *
 * Only the three values of the session are passed on to the app's core, which verifies and keeps them; the event itself
 * is neither kept nor written anywhere.
 *
 * Permission: `otpless:allow-start-session`, **not** part of `otpless:default`.
 *
 * @returns The session; `undefined` if the event is another one.
 * @throws `OtplessError`: `invalidArgument` if the event says that the sign-in failed, or lacks something, and
 *   `invalidToken` if a token was not believed. An existing session is then left as it was.
 * @example
 * ```ts
 * import { captureSignIn } from "tauri-plugin-otpless-api/compat";
 *
 * const sdk = new OTPless(async (event) => {
 *   try {
 *     const session = await captureSignIn(event);
 *     if (session) location.hash = "#/";
 *   } catch (error) {
 *     alert(String(error));
 *   }
 * });
 * ```
 */
export async function captureSignIn(event: SignInEvent): Promise<Session | undefined> {
  if (!isObject(event) || typeof event.responseType !== "string") {
    throw invalidArgument("event has no responseType: pass the whole event that the callback received");
  }
  if (event.responseType !== "ONETAP") {
    return undefined;
  }
  const { response } = event;
  assertSucceeded(event, response);
  if (!isObject(response)) {
    throw invalidArgument("response of the event is missing. Nothing was stored; a session that existed is unchanged");
  }
  return startSession(response["sessionInfo"] ?? withoutTheRest(response));
}

/** In the mobile nesting the values stand among phone numbers, addresses and the description of the device. */
function withoutTheRest(response: Record<string, unknown>): Record<string, unknown> {
  const names = ["success", "sessionId", "sessionToken", "sessionTokenJWT", "refreshToken", "state"];
  return Object.fromEntries(names.filter((name) => name in response).map((name) => [name, response[name]]));
}

/** An event can say at three places that there is no session in it. */
function assertSucceeded({ success, statusCode }: SignInEvent, response: unknown): void {
  const { status, errorCode } = isObject(response) ? response : {};
  const field =
    success === false
      ? "success"
      : typeof statusCode === "number" && (statusCode < 200 || statusCode > 299)
        ? "statusCode"
        : typeof status === "string" && status.toUpperCase() !== "SUCCESS"
          ? "status"
          : undefined;
  if (field === undefined) {
    return;
  }
  const { kind, message, retryable } = invalidArgument(
    `${field} of the event says that the sign-in failed and there is no session to start. ` +
      "Nothing was stored; a session that existed is unchanged",
  );
  // Anything longer is no code, and could be anything.
  const isCode = typeof errorCode === "string" && /^\d{1,6}$/.test(errorCode);
  throw new OtplessError(isCode ? { kind, message, retryable, code: errorCode } : { kind, message, retryable });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Nothing if nobody is signed in; otherwise the token, if the page may have it and there is one. */
async function find(isSecondTry = false): Promise<{ sessionToken?: string } | undefined> {
  const { status } = await getSession();
  if (status === "restoring") {
    throw new OtplessError({
      kind: "storageUnavailable",
      message:
        "the keychain has not answered, so it is not known whether somebody is signed in. Nothing is lost; ask again",
      retryable: true,
    });
  }
  if (status === "signedOut") {
    return undefined;
  }
  try {
    const { token } = await getSessionToken();
    return { sessionToken: token };
  } catch (error) {
    if (!isOtplessError(error)) {
      throw error;
    }
    if (OVER.includes(error.kind)) {
      return undefined;
    }
    if (error.kind === "sessionChanged" && !isSecondTry) {
      return find(true);
    }
    if (error.kind === "notPermitted" || error.retryable) {
      return {};
    }
    throw error;
  }
}

/** The session has ended since `getSession` answered. */
const OVER: readonly ErrorKind[] = ["notSignedIn", "rejected"];
