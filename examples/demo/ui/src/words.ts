import type { EndReason, ErrorKind, SessionStatus, SessionStorage } from "tauri-plugin-otpless-api";

import type { Part } from "./timeline/history.js";

/** For the timeline, where there is little room. */
export const STATUS_SHORT: Record<SessionStatus, string> = {
  restoring: "restoring",
  active: "active",
  stale: "stale",
  signedOut: "signed out",
};

export const STORAGE_SHORT: Record<SessionStorage, string> = {
  keychain: "in the keychain",
  ephemeral: "in memory only",
  unavailable: "unavailable",
};

export const FAILED_PART: Record<Part, string> = {
  renewal: "Renewal",
  check: "Check with OTPless",
  keychain: "Keychain",
};

export const STATUS: Record<SessionStatus, string> = {
  restoring: "Looking for a session…",
  active: "Signed in",
  stale: "Signed in, unconfirmed",
  signedOut: "Signed out",
};

export const STATUS_EXPLAINED: Record<SessionStatus, string> = {
  restoring: "The app is asking the keychain whether somebody was signed in.",
  active: "",
  stale: "The session is kept, but its token has expired or cannot be checked right now. It is renewed as soon as OTPless can be reached.",
  signedOut: "Nobody is signed in.",
};

/** Where a session is kept, if there is one. */
export const STORAGE: Record<SessionStorage, string> = {
  keychain: "Kept in the keychain",
  ephemeral: "Kept in memory only",
  unavailable: "Keychain does not answer",
};

/** The same while nobody is signed in. */
export const STORAGE_WITHOUT_SESSION: Record<SessionStorage, string> = {
  keychain: "Keychain ready",
  ephemeral: "Keychain refuses",
  unavailable: "Keychain does not answer",
};

export const STORAGE_EXPLAINED: Record<SessionStorage, string> = {
  keychain: "The session survives a restart.",
  ephemeral: "The keychain refused the session, so it ends with the app. It is stored as soon as the keychain works again.",
  unavailable: "The keychain does not answer, so nobody knows whether somebody is signed in; that is not the same as signed out. The app goes on asking.",
};

export const END_REASON: Record<EndReason, string> = {
  logout: "You signed out.",
  inactive: "You were signed out because nothing happened for a while.",
  lifetime: "You were signed out because the session had reached its longest permitted age.",
  revoked: "OTPless ended the session, most likely because it was revoked in the dashboard.",
  expired: "The session expired before it could be renewed.",
  replaced: "Another sign-in took the place of the session.",
  storeCorrupt: "What the keychain held could not be read, so the session is lost.",
  invalidToken: "A token turned out not to be genuine, so the session was ended.",
};

/** What to do about it. */
export const ADVICE: Record<ErrorKind, string> = {
  notSignedIn: "Sign in first.",
  rejected: "The session is over. Sign in again.",
  network: "Check the connection. You are still signed in; the app tries again by itself.",
  server: "OTPless has trouble: try again in a moment. You are still signed in.",
  rateLimited: "Wait a little before trying again. You are still signed in.",
  invalidToken: "Nothing was changed. Is the app id the right one, and is this machine's clock right?",
  storageUnavailable: "Unlock the keychain. Nothing was lost; the app tries again by itself.",
  storage: "The keychain refused for good; Diagnostics says why.",
  sessionChanged: "Somebody signed in or out meanwhile. Look at the session and try again if it still makes sense.",
  invalidConfig: "Correct the setting that the message names and start the app again.",
  invalidArgument: "Correct the value that the message names.",
  notPermitted: "This is on purpose in the second window. In an app of your own, add the permission if the window needs it.",
  internal: "This should not happen. The app's own output may say more.",
};
