const ERROR_KINDS = [
  "notSignedIn",
  "rejected",
  "network",
  "server",
  "rateLimited",
  "invalidToken",
  "storageUnavailable",
  "storage",
  "sessionChanged",
  "invalidConfig",
  "invalidArgument",
  "notPermitted",
  "internal",
] as const;

/**
 * What sort of thing went wrong; what a caller switches on.
 *
 * | kind | meaning |
 * |---|---|
 * | `notSignedIn` | nobody is signed in: show the sign-in page |
 * | `rejected` | OTPless said that this session is over; it has been ended here too |
 * | `network` | the server could not be reached; the session is kept; `code` is one of OTPless's 91xx |
 * | `server` | the server was reached and did not work; the session is kept |
 * | `rateLimited` | the server asked for fewer requests, or too many calls of `fetch` are open; the session is kept |
 * | `invalidToken` | a token did not pass verification; nothing was stored |
 * | `storageUnavailable` | the keychain does not answer or is locked; nothing was lost |
 * | `storage` | a newer version of the app has taken the stored session over: restart to use that version |
 * | `sessionChanged` | a logout or another sign-in won while the call was under way |
 * | `invalidConfig` | the app is configured wrongly; the message names the setting |
 * | `invalidArgument` | an argument is not acceptable; the message names it |
 * | `notPermitted` | this window has not been given the permission, the webview is not the window's own, or the URL is not in the scope; the message says which |
 * | `internal` | a defect, or an answer nobody foresaw |
 *
 * @example
 * ```ts
 * import { isOtplessError, verifySession, type ErrorKind } from "tauri-plugin-otpless-api";
 *
 * const harmless: ErrorKind[] = ["network", "server", "rateLimited"];
 * try {
 *   await verifySession();
 * } catch (error) {
 *   if (!isOtplessError(error) || !harmless.includes(error.kind)) throw error;
 * }
 * ```
 */
export type ErrorKind = (typeof ERROR_KINDS)[number];

/**
 * An error as it crosses IPC: the plain form of {@link OtplessError}.
 *
 * @example
 * ```ts
 * import { diagnostics, OtplessError, type ErrorPayload } from "tauri-plugin-otpless-api";
 *
 * const failure: ErrorPayload | undefined = (await diagnostics()).lastRefresh?.error;
 * if (failure) throw new OtplessError(failure);
 * ```
 */
export interface ErrorPayload {
  /** What sort of thing went wrong. */
  kind: ErrorKind;
  /** What happened, what is still true and what to do; for people, never to be matched on. */
  message: string;
  /** Whether the same call may succeed later with nothing else changed. */
  retryable: boolean;
  /** OTPless's own code where there is one: `7414`, `7020`, or a 91xx for transport failures. */
  code?: string;
}

/**
 * What every function of this package rejects with. It never holds a token.
 *
 * @example
 * ```ts
 * import { OtplessError, refreshSession } from "tauri-plugin-otpless-api";
 *
 * try {
 *   await refreshSession();
 * } catch (error) {
 *   if (error instanceof OtplessError && error.retryable) {
 *     console.warn(`${error.kind} ${error.code ?? ""}: ${error.message}`);
 *   } else {
 *     throw error;
 *   }
 * }
 * ```
 */
export class OtplessError extends Error implements ErrorPayload {
  /** Always `OtplessError`, also where two copies of the package are in one page. */
  override readonly name = "OtplessError";
  /** What sort of thing went wrong. */
  readonly kind: ErrorKind;
  /** Whether the same call may succeed later with nothing else changed. */
  readonly retryable: boolean;
  /** OTPless's own code where there is one: `7414`, `7020`, or a 91xx for transport failures. */
  declare readonly code?: string;

  constructor({ kind, message, retryable, code }: ErrorPayload) {
    super(message);
    this.kind = kind;
    this.retryable = retryable;
    if (code !== undefined) {
      this.code = code;
    }
  }
}

/**
 * Whether `value` is an {@link OtplessError}. Unlike `instanceof` it also recognises one that was made by another
 * copy of this package.
 *
 * @example
 * ```ts
 * import { getSessionToken, isOtplessError } from "tauri-plugin-otpless-api";
 *
 * try {
 *   await getSessionToken();
 * } catch (error) {
 *   if (isOtplessError(error) && error.kind === "notSignedIn") {
 *     location.hash = "#/sign-in";
 *   } else {
 *     throw error;
 *   }
 * }
 * ```
 */
export function isOtplessError(value: unknown): value is OtplessError {
  return value instanceof Error && value.name === "OtplessError" && isErrorPayload(value);
}

/** Whether `value` has the shape in which the plugin sends its errors. */
export function isErrorPayload(value: unknown): value is ErrorPayload {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const { kind, message, retryable, code } = value as Partial<Record<keyof ErrorPayload, unknown>>;
  return (
    (ERROR_KINDS as readonly unknown[]).includes(kind) &&
    typeof message === "string" &&
    typeof retryable === "boolean" &&
    (code === undefined || typeof code === "string")
  );
}
