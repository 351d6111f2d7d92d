import type { Diagnostics, Session } from "tauri-plugin-otpless-api";

import { observe, type History, type Sample } from "../src/timeline/history.js";

export const START = Date.UTC(2026, 0, 1, 12);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export function session(change: Partial<Session> = {}): Session {
  return {
    status: "active",
    revision: 1,
    storage: "keychain",
    startedAt: START,
    lastActiveAt: START,
    expiresAt: START + 20 * SECOND,
    refreshExpiresAt: START + 7 * 24 * HOUR,
    ...change,
  };
}

export function diagnostics(change: Partial<Diagnostics> = {}): Diagnostics {
  return {
    backend: "Secret Service",
    storage: "keychain",
    clockSkewMs: 0,
    pendingRevocations: 0,
    counters: { refreshes: 0, refreshFailures: 0, heartbeats: 0, revocationsDelivered: 0, requests: 0 },
    ...change,
  };
}

/** A sample `after` the start on a machine that never slept. */
export function sample(after: number, change: Partial<Session> = {}, more: Partial<Sample> = {}): Sample {
  return { at: START + after, awake: after, session: session(change), diagnostics: diagnostics(), ...more };
}

export function historyOf(...samples: Sample[]): History {
  const history = samples.reduce<History | undefined>(observe, undefined);
  if (!history) {
    throw new Error("a history needs a sample");
  }
  return history;
}

export const OFFLINE = { kind: "network", message: "OTPless could not be reached", retryable: true, code: "9100" } as const;
