/**
 * The OTPless session of a Tauri app, as a page may see it: who is signed in, why not, and until when. The tokens stay
 * in the app's core.
 *
 * @example
 * ```ts
 * import { logout, onSessionChange, trackActivity } from "tauri-plugin-otpless-api";
 *
 * trackActivity();
 * await onSessionChange(({ status, claims }) => {
 *   document.title = status === "signedOut" ? "Signed out" : `Hello ${claims?.name ?? "there"}`;
 * });
 * document.querySelector("#sign-out")!.addEventListener("click", () => void logout());
 * ```
 *
 * @packageDocumentation
 */

export { trackActivity, type ActivityOptions } from "./activity.js";
export {
  diagnostics,
  getSession,
  getSessionToken,
  logout,
  recordActivity,
  refreshSession,
  sessionDetails,
  startSession,
  verifySession,
  type SessionTokenOptions,
} from "./commands.js";
export type { DeviceInfo, Identity, NetworkInfo, SessionDetails } from "./details.js";
export type { Diagnostics, Exchange } from "./diagnostics.js";
export { isOtplessError, OtplessError, type ErrorKind, type ErrorPayload } from "./errors.js";
export { onSessionChange, type SessionChangeOptions } from "./events.js";
export { fetch } from "./fetch.js";
export type { EndReason, Session, SessionStatus, SessionStorage, SessionToken, UserClaims } from "./session.js";
