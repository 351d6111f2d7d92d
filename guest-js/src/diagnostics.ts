import type { ErrorPayload } from "./errors.js";
import type { SessionStorage } from "./session.js";

/**
 * How an exchange with OTPless went.
 *
 * @example
 * ```ts
 * import { diagnostics, type Exchange } from "tauri-plugin-otpless-api";
 *
 * const describe = ({ at, ok, error }: Exchange) =>
 *   `${new Date(at).toLocaleTimeString()}: ${ok ? "fine" : error?.message}`;
 * const { lastRefresh } = await diagnostics();
 * console.log(lastRefresh ? describe(lastRefresh) : "no refresh yet");
 * ```
 */
export interface Exchange {
  /** When it ended, in milliseconds since the Unix epoch. */
  at: number;
  /** Whether it succeeded. */
  ok: boolean;
  /** Why it did not. */
  error?: ErrorPayload;
}

/**
 * What a developer wants to know when a session does not behave. No secrets.
 *
 * @example
 * ```ts
 * import { diagnostics, type Diagnostics } from "tauri-plugin-otpless-api";
 *
 * const report: Diagnostics = await diagnostics();
 * console.table(report.counters);
 * ```
 */
export interface Diagnostics {
  /** Which keychain. */
  backend: string;
  /** Where the session is kept. */
  storage: SessionStorage;
  /** Why it is not in the keychain, or what the keychain last refused. */
  storageError?: string;
  /** When the background task looks next at the latest, in milliseconds since the Unix epoch. */
  nextWakeAt?: number;
  /** When the session token is due for renewal, in milliseconds since the Unix epoch. */
  nextRefreshAt?: number;
  /**
   * When the plugin was last told to look around at once, in milliseconds since the Unix epoch: a window got the focus,
   * the system resumed the app.
   */
  lastLookAt?: number;
  /** How the last refresh went. */
  lastRefresh?: Exchange;
  /** How the last question to the server whether the session is still good went. */
  lastVerify?: Exchange;
  /** How the last fetch of OTPless's keys went that a stored session needed to be verified. */
  lastKeyFetch?: Exchange;
  /** How far the server's clock is ahead of this machine's, in milliseconds. */
  clockSkewMs: number;
  /** Ended sessions that OTPless could not be told about yet. */
  pendingRevocations: number;
  /** Counts since the app was started. */
  counters: {
    /** Refreshes that brought a token. */
    refreshes: number;
    /** Refreshes that did not. */
    refreshFailures: number;
    /** Times the server was asked whether the session is still good. */
    heartbeats: number;
    /** Revocations that OTPless has confirmed. */
    revocationsDelivered: number;
    /** Calls to OTPless's session API in all. */
    requests: number;
  };
}
