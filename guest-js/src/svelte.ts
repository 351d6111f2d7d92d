/**
 * The OTPless session in Svelte, 4 or 5.
 *
 * @example
 * ```ts
 * import { sessionState } from "tauri-plugin-otpless-api/svelte";
 *
 * // In a component it is $sessionState, which subscribes and unsubscribes by itself.
 * const unsubscribe = sessionState.subscribe(({ status, session }) => {
 *   document.title = status === "signedOut" ? "Signed out" : `Hello ${session?.claims?.name ?? "there"}`;
 * });
 * ```
 *
 * @packageDocumentation
 */

import { readable, type Readable } from "svelte/store";

import { watch, type SessionState } from "./watch.js";

export type { SessionState } from "./watch.js";

/**
 * A readable store of Svelte's: what `$` takes.
 *
 * @example
 * ```ts
 * import type { SessionState } from "tauri-plugin-otpless-api/svelte";
 * import { sessionState, type SessionStore } from "tauri-plugin-otpless-api/svelte";
 *
 * function show(store: SessionStore): () => void {
 *   return store.subscribe((state: SessionState) => console.log(state.status));
 * }
 * show(sessionState);
 * ```
 */
export type SessionStore = Readable<SessionState>;

/**
 * The session as it is now, and after every change, in this window or anywhere else.
 *
 * However many components use it, the page listens once: from the first subscriber to the last. It is `restoring` at
 * first, and where a page is made on a server.
 *
 * Permissions: `core:event:allow-listen` and `core:event:allow-unlisten` (in `core:default`), `otpless:allow-get-session`.
 * If one is missing, `error` says which.
 *
 * @example
 * ```ts
 * import { derived } from "svelte/store";
 * import { sessionState } from "tauri-plugin-otpless-api/svelte";
 *
 * export const userName = derived(sessionState, ({ session }) => session?.claims?.name ?? "there");
 * ```
 */
export const sessionState: SessionStore = /* @__PURE__ */ readable(watch.state, (set) => {
  const unsubscribe = watch.subscribe(() => set(watch.state));
  set(watch.state);
  return unsubscribe;
});
