import type { Session } from "tauri-plugin-otpless-api";

import { isSignedIn } from "./session-view.js";
import { moment } from "./time.js";
import { END_REASON, STATUS, STORAGE } from "./words.js";

/** What is different, in words; empty if nothing a person would care about is. */
export function describeChange(before: Session | undefined, now: Session): string[] {
  if (!before) {
    return [sentence(STATUS[now.status])];
  }
  const changes: string[] = [];
  const stillSignedIn = isSignedIn(before) && isSignedIn(now);
  if (now.status !== before.status) {
    const why = now.status === "signedOut" && now.endReason ? ` ${END_REASON[now.endReason]}` : "";
    changes.push(`${sentence(STATUS[now.status])}${why}`);
  }
  if (stillSignedIn && now.userId !== before.userId) {
    changes.push("Somebody else is signed in now.");
  }
  if (stillSignedIn && now.expiresAt !== undefined && now.expiresAt !== before.expiresAt) {
    changes.push(`The session token was renewed; it is good until ${moment(now.expiresAt)}.`);
  }
  if (now.expiringAt !== undefined && before.expiringAt === undefined) {
    changes.push(`Nobody seems to be there: the session ends at ${moment(now.expiringAt)}.`);
  }
  if (stillSignedIn && now.expiringAt === undefined && before.expiringAt !== undefined) {
    changes.push("Somebody is there after all: the session goes on.");
  }
  if (stillSignedIn && now.storage !== before.storage) {
    changes.push(`${STORAGE[now.storage]}.`);
  }
  return changes;
}

function sentence(words: string): string {
  return words.endsWith("…") ? words : `${words}.`;
}
