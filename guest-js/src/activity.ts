import { recordActivity } from "./commands.js";
import { isOtplessError, type OtplessError } from "./errors.js";

/** As often as the core takes note of activity; more frequent reports would tell it nothing. */
const MIN_INTERVAL_MS = 15_000;

const INPUT_EVENTS = ["pointerdown", "pointermove", "keydown", "touchstart", "touchmove", "wheel"] as const;

/** Capture: a page that stops the propagation of its events is in use all the same. Passive: scrolling never waits. */
const LISTENER_OPTIONS: AddEventListenerOptions = { capture: true, passive: true };

/**
 * What {@link trackActivity} can be told.
 *
 * @example
 * ```ts
 * import { trackActivity, type ActivityOptions } from "tauri-plugin-otpless-api";
 *
 * const options: ActivityOptions = { onError: (error) => console.warn(error.kind, error.message) };
 * trackActivity(options);
 * ```
 */
export interface ActivityOptions {
  /** Told when a report failed. That nobody is signed in is no failure. */
  onError?: (error: OtplessError) => void;
}

/**
 * Tells the core that the user is there, for as long as the page is used by pointer, key, touch or wheel, or comes
 * into view. The first sign is reported at once, then at most one in 15 s, however often this function is called in a
 * page. Events made by script do not count. Without a window, as while a page is made on a server, it does nothing.
 *
 * Permission: `otpless:allow-record-activity`, part of `otpless:default`.
 *
 * @returns A function that ends the tracking.
 * @example
 * ```ts
 * import { trackActivity } from "tauri-plugin-otpless-api";
 *
 * const stop = trackActivity();
 * // when the page goes away, if it ever does:
 * stop();
 * ```
 */
export function trackActivity(options: ActivityOptions = {}): () => void {
  if (typeof window === "undefined") {
    return () => {};
  }
  return listenForInput(window, () => throttled(() => void report(options.onError)));
}

/** When this page last reported. Wall time, because a monotonic clock may stand still while the machine sleeps. */
let lastReport = -Infinity;

/** Lets the first call through and then at most one per interval. */
function throttled(action: () => void): void {
  const elapsed = Date.now() - lastReport;
  // Negative when the clock was put back, which must not silence the reports until it has caught up.
  if (elapsed < 0 || elapsed >= MIN_INTERVAL_MS) {
    lastReport = Date.now();
    action();
  }
}

function listenForInput(page: Window, onInput: () => void): () => void {
  let lastPosition: string | undefined;

  const moved = ({ screenX, screenY }: PointerEvent): boolean => {
    const before = lastPosition;
    lastPosition = `${screenX},${screenY}`;
    return before !== undefined && before !== lastPosition;
  };
  const input = (event: Event): void => {
    // Engines also send trusted moves when the layout changes under a pointer that rests.
    if (event.isTrusted && (event.type !== "pointermove" || moved(event as PointerEvent))) {
      onInput();
    }
  };
  const visibility = (event: Event): void => {
    if (event.isTrusted && page.document.visibilityState === "visible") {
      onInput();
    }
  };

  for (const type of INPUT_EVENTS) {
    page.addEventListener(type, input, LISTENER_OPTIONS);
  }
  page.document.addEventListener("visibilitychange", visibility, LISTENER_OPTIONS);
  return () => {
    for (const type of INPUT_EVENTS) {
      page.removeEventListener(type, input, LISTENER_OPTIONS);
    }
    page.document.removeEventListener("visibilitychange", visibility, LISTENER_OPTIONS);
  };
}

async function report(onError: ActivityOptions["onError"]): Promise<void> {
  try {
    await recordActivity();
  } catch (error) {
    if (isOtplessError(error) && error.kind !== "notSignedIn") {
      onError?.(error);
    }
  }
}
