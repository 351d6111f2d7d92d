import { startSession, type Session } from "tauri-plugin-otpless-api";

import { busy } from "./busy.js";
import { byId, rescueFocus, setText } from "./dom.js";
import { clearError, DemoProblem, showError } from "./error-view.js";
import { log } from "./event-log.js";
import type { DemoConfig } from "./host.js";
import { loadSignInSdk, type SignInAnswer, type SignInEvent, type SignInSdk } from "./sign-in-script.js";

/** The forms in the main window, a hint in the second one, which may not start a session. */
let cardId = "sign-in";

/** Makes the two forms sign in through OTPless's script. */
export function setUpSignIn(config: DemoConfig): void {
  cardId = config.window === "main" ? "sign-in" : "sign-in-elsewhere";
  let sdk: Promise<SignInSdk> | undefined;
  const loaded = (): Promise<SignInSdk> => {
    sdk ??= loadSignInSdk(config, onEvent).catch((error: unknown) => {
      sdk = undefined;
      throw error;
    });
    return sdk;
  };

  setText(
    byId("sign-in-hint"),
    config.local
      ? `No message is sent: open ${config.service} in a browser, the code appears there. Any phone number will do.`
      : "OTPless sends the code to this phone.",
  );
  onSubmit("phone-form", "send-code", async () => {
    const { phone, countryCode } = phoneNumber();
    field("code").value = "";
    progress("Asking for a code…");
    check(await (await loaded()).initiate({ channel: "PHONE", phone, countryCode }));
    progress(`A code is on its way to ${countryCode} ${phone}.`);
    field("code").focus();
  });
  onSubmit("code-form", "verify-code", async () => {
    const { phone, countryCode } = phoneNumber();
    const otp = required("code", "Enter the code you received.").replaceAll(/\s/g, "");
    progress("Checking the code…");
    check(await (await loaded()).verify({ channel: "PHONE", phone, countryCode, otp }));
    progress("The code is right.");
  });
}

/** Shows the forms when nobody is signed in, and keeps nothing in them otherwise. */
export function showSignIn(session: Session): void {
  // Whoever cannot unlock the keychain can still sign in anew.
  const locked = session.status === "restoring" && session.storage === "unavailable";
  const wanted = session.status === "signedOut" || locked;
  const card = byId(cardId);
  if (wanted === !card.hidden) {
    return;
  }
  rescueFocus(card);
  card.hidden = !wanted;
  byId("code-form", HTMLFormElement).reset();
  progress("");
}

/**
 * The tokens go from the script's callback straight to the app's core. Nothing here keeps them, and the event itself is
 * let go of when this function returns.
 */
function onEvent(event: SignInEvent): void {
  log(`Sign-in script: ${event.responseType}.`);
  if (event.responseType === "ONETAP") {
    startSession(event).then(
      () => log("The core has taken the session over.", "good"),
      (error: unknown) => {
        progress("");
        showError("Starting the session", error);
      },
    );
  }
}

function onSubmit(form: string, button: string, submit: () => Promise<void>): void {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    void busy(byId(button, HTMLButtonElement), async () => {
      clearError();
      try {
        await submit();
      } catch (error) {
        progress("");
        showError("Signing in", error);
      }
    });
  });
}

function phoneNumber(): { phone: string; countryCode: string } {
  const countryCode = required("country-code", "Enter the country code, such as +91.").replaceAll(/[^\d+]/g, "");
  const phone = required("phone", "Enter your phone number.").replaceAll(/\D/g, "");
  return { phone, countryCode };
}

function required(id: string, otherwise: string): string {
  const input = field(id);
  const value = input.value.trim();
  input.setAttribute("aria-invalid", String(value === ""));
  if (value === "") {
    input.focus();
    throw new DemoProblem("Something is missing.", otherwise);
  }
  return value;
}

function check({ success, statusCode, response }: SignInAnswer): void {
  if (success !== true) {
    const code = response?.errorCode ?? statusCode ?? "no code";
    throw new DemoProblem(
      `OTPless said: ${response?.errorMessage ?? "that did not work"} (${code})`,
      "Check the number and the code, or ask for a new code.",
    );
  }
}

function progress(text: string): void {
  setText(byId("sign-in-progress"), text);
}

function field(id: string): HTMLInputElement {
  return byId(id, HTMLInputElement);
}
