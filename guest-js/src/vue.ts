/**
 * The OTPless session in Vue.
 *
 * @example
 * ```ts
 * import { watchEffect } from "vue";
 * import { useSession } from "tauri-plugin-otpless-api/vue";
 *
 * const { status, session } = useSession(); // in <script setup>
 * watchEffect(() => {
 *   document.title = status.value === "signedOut" ? "Signed out" : `Hello ${session.value?.claims?.name ?? "there"}`;
 * });
 * ```
 *
 * @packageDocumentation
 */

import { computed, onScopeDispose, shallowRef, type ComputedRef } from "vue";

import type { OtplessError } from "./errors.js";
import type { Session, SessionStatus } from "./session.js";
import { watch } from "./watch.js";

/**
 * What {@link useSession} gives: read-only refs that change together.
 *
 * A page that has not heard of the session yet is `restoring`, and so is one whose keychain has not answered: nobody is
 * known to be signed in, and nobody to be signed out. Send people to the sign-in page when the status is `signedOut`,
 * never because `isSignedIn` is false. `stale` is signed in.
 *
 * @example
 * ```ts
 * import { computed } from "vue";
 * import { useSession, type SessionRefs } from "tauri-plugin-otpless-api/vue";
 *
 * const nameOf = ({ session }: SessionRefs) => computed(() => session.value?.claims?.name ?? "there");
 * const name = nameOf(useSession());
 * ```
 */
export interface SessionRefs {
  /** Where the session stands. */
  readonly status: ComputedRef<SessionStatus>;
  /** Whether somebody is known to be signed in: `active` or `stale`. */
  readonly isSignedIn: ComputedRef<boolean>;
  /** The session, once the core has answered. */
  readonly session: ComputedRef<Session | undefined>;
  /** Why the session could not be fetched; what was known before still stands. Gone as soon as it could be. */
  readonly error: ComputedRef<OtplessError | undefined>;
  /** Asks again after an `error`; does nothing without one. */
  readonly retry: () => void;
}

/**
 * The session as it is now, in refs that follow every change, in this window or anywhere else, until the component or
 * effect scope in which it was called is gone.
 *
 * However many components use it, the page listens once, and no longer than one of them is there. It is `restoring` at
 * first, and where a page is made on a server.
 *
 * Permissions: `core:event:allow-listen` and `core:event:allow-unlisten` (in `core:default`), `otpless:allow-get-session`.
 * If one is missing, `error` says which.
 *
 * @example
 * ```ts
 * import { onScopeDispose, watch } from "vue";
 * import { trackActivity } from "tauri-plugin-otpless-api";
 * import { useSession } from "tauri-plugin-otpless-api/vue";
 *
 * const { session } = useSession();
 * watch(session, (now) => {
 *   if (now?.endReason === "inactive") alert("You were away for too long.");
 * });
 * onScopeDispose(trackActivity()); // in the root component, if you use the inactivity timeout
 * ```
 */
export function useSession(): SessionRefs {
  const state = shallowRef(watch.state);
  onScopeDispose(
    watch.subscribe(() => {
      state.value = watch.state;
    }),
  );
  return {
    status: computed(() => state.value.status),
    isSignedIn: computed(() => state.value.isSignedIn),
    session: computed(() => state.value.session),
    error: computed(() => state.value.error),
    retry: watch.unknown.retry,
  };
}
