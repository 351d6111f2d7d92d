import { emit } from "@tauri-apps/api/event";

import type { ErrorPayload, Session, SessionStatus } from "../../src/index.js";
import { gate, settled, type Core, type Gate } from "./page.js";

/** The event that the core emits. */
export const CHANGED = "otpless://session-changed";

/** The command that every state comes from. */
export const GET = "plugin:otpless|get_session";

/** A core that holds every answer back until the test gives it. */
export function heldCore(): { requests: Gate<Session>[]; answer: () => Promise<Session> } {
  const requests: Gate<Session>[] = [];
  return {
    requests,
    answer: () => {
      const request = gate<Session>();
      requests.push(request);
      return request.promise;
    },
  };
}

/** A core with a session that changes when the test says so. */
export class ChangingCore {
  #session: Session;
  /** What `get_session` is rejected with, while there is something. */
  failure: ErrorPayload | undefined;

  constructor(status: SessionStatus) {
    this.#session = { status, revision: 1, storage: "keychain" };
  }

  /** For `openPage`. */
  readonly answer: Core = (command) => {
    if (command !== GET) {
      throw new Error(`nobody foresaw ${command}`);
    }
    if (this.failure) {
      throw this.failure;
    }
    return this.#session;
  };

  /** What the core answers from now on, and what it tells every page. Returns when the page has taken it in. */
  async change(status: SessionStatus, more: Partial<Session> = {}): Promise<void> {
    const revision = this.#session.revision + 1;
    this.#session = { status, storage: "keychain", ...more, revision };
    await emit(CHANGED, { revision, status });
    await settled();
  }
}
