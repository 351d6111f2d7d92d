/**
 * Where a session stands.
 *
 * - `restoring`: not known yet, the keychain has not answered. Not the same as signed out.
 * - `active`: there is a verified session token that is valid now.
 * - `stale`: the session exists, but its token has expired or cannot be verified yet (offline, server trouble).
 *   The user is still signed in.
 * - `signedOut`: nobody is signed in.
 *
 * @example
 * ```ts
 * import { getSession, type SessionStatus } from "tauri-plugin-otpless-api";
 *
 * const label: Record<SessionStatus, string> = {
 *   restoring: "One moment…",
 *   active: "Signed in",
 *   stale: "Signed in (offline)",
 *   signedOut: "Signed out",
 * };
 * document.title = label[(await getSession()).status];
 * ```
 */
export type SessionStatus = "restoring" | "active" | "stale" | "signedOut";

/**
 * Where a session is kept.
 *
 * - `keychain`: in the operating system's keychain; it survives a restart.
 * - `ephemeral`: in memory only, because the keychain refused it; it is stored as soon as the keychain works again.
 * - `unavailable`: the keychain does not answer, so it is not known whether there is a session.
 *
 * @example
 * ```ts
 * import { getSession, type SessionStorage } from "tauri-plugin-otpless-api";
 *
 * const storage: SessionStorage = (await getSession()).storage;
 * if (storage === "ephemeral") {
 *   alert("You will have to sign in again after closing the app.");
 * }
 * ```
 */
export type SessionStorage = "keychain" | "ephemeral" | "unavailable";

/**
 * Why a session ended.
 *
 * - `logout`: the user signed out, in this window, another window or another process.
 * - `inactive`: nobody did anything for longer than the inactivity timeout.
 * - `lifetime`: the maximum lifetime was reached.
 * - `revoked`: OTPless said that the session is over, for instance because it was revoked in the dashboard.
 * - `expired`: the refresh token expired before it could be used.
 * - `replaced`: another sign-in took its place.
 * - `storeCorrupt`: what the keychain held could not be read.
 * - `invalidToken`: a token turned out not to be genuine.
 *
 * @example
 * ```ts
 * import { onSessionChange, type EndReason } from "tauri-plugin-otpless-api";
 *
 * const worthExplaining: EndReason[] = ["inactive", "lifetime", "revoked"];
 * await onSessionChange(({ endReason }) => {
 *   if (endReason && worthExplaining.includes(endReason)) {
 *     location.hash = `#/signed-out/${endReason}`;
 *   }
 * });
 * ```
 */
export type EndReason =
  | "logout"
  | "inactive"
  | "lifetime"
  | "revoked"
  | "expired"
  | "replaced"
  | "storeCorrupt"
  | "invalidToken";

/**
 * Who the user is, as far as the verified session token says.
 *
 * @example
 * ```ts
 * import { getSession, type UserClaims } from "tauri-plugin-otpless-api";
 *
 * const greeting = ({ name, phoneNumber }: UserClaims) => `Hello ${name ?? phoneNumber ?? "there"}`;
 * document.title = greeting((await getSession()).claims ?? {});
 * ```
 */
export interface UserClaims {
  /** Name. */
  name?: string;
  /** E-mail address. */
  email?: string;
  /** Phone number as OTPless spells it: country code first, no plus sign. */
  phoneNumber?: string;
}

/**
 * The session as a page may see it: no token and no session id. All times are milliseconds since the Unix epoch,
 * as in `Date.now()`; what is not known or does not apply is absent.
 *
 * @example
 * ```ts
 * import { getSession, type Session } from "tauri-plugin-otpless-api";
 *
 * const isSignedIn = ({ status }: Session) => status === "active" || status === "stale";
 * const session = await getSession();
 * if (isSignedIn(session)) {
 *   console.log(`user ${session.userId}, signed in since ${new Date(session.startedAt!)}`);
 * }
 * ```
 */
export interface Session {
  /** Where it stands. */
  status: SessionStatus;
  /** Goes up with every change; a greater one is newer. Starts again when the app is started. */
  revision: number;
  /** Where it is kept. */
  storage: SessionStorage;
  /** OTPless's id of the user, `MO-…`. */
  userId?: string;
  /** When the session token expires. It is renewed in the background before that. */
  expiresAt?: number;
  /** When the refresh token expires. It is replaced with every refresh. */
  refreshExpiresAt?: number;
  /** When the user signed in. */
  startedAt?: number;
  /** When the user last did something. */
  lastActiveAt?: number;
  /** When the session ends unless the user does something. Absent without an inactivity timeout. */
  inactivityDeadline?: number;
  /** When the session ends whatever happens. Absent without a maximum lifetime. */
  lifetimeDeadline?: number;
  /** Set while the inactivity warning stands: when the session will end. `recordActivity()` averts it. */
  expiringAt?: number;
  /** Who the user is, as far as the verified token says. */
  claims?: UserClaims;
  /** Why the last session ended, until the next begins. */
  endReason?: EndReason;
}

/**
 * A session token and when it stops being valid.
 *
 * @example
 * ```ts
 * import { getSessionToken, type SessionToken } from "tauri-plugin-otpless-api";
 *
 * const { token, expiresAt }: SessionToken = await getSessionToken();
 * const headers = { Authorization: `Bearer ${token}` };
 * console.log(`good for ${Math.round((expiresAt - Date.now()) / 1000)} s`);
 * ```
 */
export interface SessionToken {
  /** The session JWT. It is a credential: never store or log it, ask again instead. */
  token: string;
  /** When it expires, in milliseconds since the Unix epoch. */
  expiresAt: number;
}
