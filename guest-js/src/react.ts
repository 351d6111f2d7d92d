"use client";

/**
 * The OTPless session in React.
 *
 * @example
 * ```tsx
 * import { SessionProvider, useSession } from "tauri-plugin-otpless-api/react";
 *
 * function Greeting() {
 *   const { status, isSignedIn, session } = useSession();
 *   if (isSignedIn) return <p>Hello {session.claims?.name ?? "there"}</p>;
 *   return <p>{status === "signedOut" ? "Signed out" : "One moment…"}</p>;
 * }
 *
 * export function App() {
 *   return (
 *     <SessionProvider trackActivity>
 *       <Greeting />
 *     </SessionProvider>
 *   );
 * }
 * ```
 *
 * @packageDocumentation
 */

import {
  createElement,
  Fragment,
  useEffect,
  useRef,
  useSyncExternalStore,
  type ReactElement,
  type ReactNode,
} from "react";

import { trackActivity as track, type ActivityOptions } from "./activity.js";
import { watch, type SessionState } from "./watch.js";

export type { ActivityOptions } from "./activity.js";
export type { SessionState } from "./watch.js";

const subscribe = (changed: () => void): (() => void) => watch.subscribe(changed);
const state = (): SessionState => watch.state;
const stateOnServer = (): SessionState => watch.unknown;

/**
 * The session as it is now; the component is rendered again after every change, in this window or anywhere else.
 *
 * However many components use it, the page listens once, and no longer than one of them is mounted. All of them show the
 * same state, also while React renders concurrently. It is `restoring` at first, and where a page is made on a server. It
 * needs no provider.
 *
 * Permissions: `core:event:allow-listen` and `core:event:allow-unlisten` (in `core:default`), `otpless:allow-get-session`.
 * If one is missing, `error` says which.
 *
 * @example
 * ```tsx
 * import { logout } from "tauri-plugin-otpless-api";
 * import { useSession } from "tauri-plugin-otpless-api/react";
 *
 * export function Account() {
 *   const { status, isSignedIn, session, error, retry } = useSession();
 *   if (isSignedIn) {
 *     return (
 *       <button onClick={() => void logout()}>
 *         Sign {session.claims?.name} out {status === "stale" && "(offline)"}
 *       </button>
 *     );
 *   }
 *   return error ? <button onClick={retry}>{error.message} Try again</button> : null;
 * }
 * ```
 */
export function useSession(): SessionState {
  return useSyncExternalStore(subscribe, state, stateOnServer);
}

/**
 * What {@link SessionProvider} can be told.
 *
 * @example
 * ```tsx
 * import { SessionProvider, type SessionProviderProps } from "tauri-plugin-otpless-api/react";
 *
 * const props: SessionProviderProps = { trackActivity: { onError: (error) => console.warn(error.message) } };
 * export const App = () => <SessionProvider {...props}>…</SessionProvider>;
 * ```
 */
export interface SessionProviderProps {
  /** The app. */
  children?: ReactNode;
  /**
   * Whether to tell the core, for as long as the provider is mounted, that the user is there, as `trackActivity()` does.
   * Turn it on if you use the inactivity timeout. Permission: `otpless:allow-record-activity`, part of `otpless:default`.
   */
  trackActivity?: boolean | ActivityOptions | undefined;
}

/**
 * Watches the session for as long as it is mounted, whichever components come and go inside it, so that none of them ever
 * begins with `restoring` again. Around the app it also is the place to track activity from. {@link useSession} works
 * without it.
 *
 * @example
 * ```tsx
 * import { createRoot } from "react-dom/client";
 * import { SessionProvider } from "tauri-plugin-otpless-api/react";
 *
 * createRoot(document.body).render(<SessionProvider trackActivity>…</SessionProvider>);
 * ```
 */
export function SessionProvider({ children, trackActivity = false }: SessionProviderProps): ReactElement {
  useEffect(() => subscribe(() => {}), []);

  const options = useRef<ActivityOptions>({});
  useEffect(() => {
    options.current = typeof trackActivity === "object" ? trackActivity : {};
  });
  const isTracking = trackActivity !== false;
  useEffect(
    () => (isTracking ? track({ onError: (error) => options.current.onError?.(error) }) : undefined),
    [isTracking],
  );
  return createElement(Fragment, null, children);
}
