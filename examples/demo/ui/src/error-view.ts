import { isOtplessError } from "tauri-plugin-otpless-api";

import { byId, setText } from "./dom.js";
import { log } from "./event-log.js";
import { ADVICE } from "./words.js";

/** A problem of the demo itself, such as a sign-in script that cannot be loaded. */
export class DemoProblem extends Error {
  override readonly name = "DemoProblem";
  readonly advice: string;
  readonly kind: string;

  constructor(message: string, advice: string, kind = "sign-in") {
    super(message);
    this.advice = advice;
    this.kind = kind;
  }
}

interface Description {
  kind: string;
  code?: string | undefined;
  message: string;
  advice: string;
}

export function setUpErrorView(): void {
  byId("error-dismiss").addEventListener("click", clearError);
}

export function showError(what: string, error: unknown): void {
  const { kind, code, message, advice } = describe(error);
  const box = byId("error");
  box.dataset["value"] = kind;
  setText(byId("error-title"), `${what} did not work: ${code ? `${kind} (${code})` : kind}`);
  setText(byId("error-message"), message);
  setText(byId("error-advice"), advice);
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
  log(`${what} did not work (${kind}).`, "bad");
}

export function clearError(): void {
  const box = byId("error");
  box.hidden = true;
  box.dataset["value"] = "";
}

function describe(error: unknown): Description {
  if (isOtplessError(error)) {
    const { kind, message, code } = error;
    return { kind, code, message, advice: ADVICE[kind] };
  }
  if (error instanceof DemoProblem) {
    return { kind: error.kind, message: error.message, advice: error.advice };
  }
  return { kind: "demo", message: "A defect in the demo itself.", advice: "The developer tools' console says more." };
}
