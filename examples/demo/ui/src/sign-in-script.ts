import { DemoProblem } from "./error-view.js";
import type { DemoConfig } from "./host.js";

/** What the sign-in script answers and reports, as far as the demo looks at it. */
export interface SignInAnswer {
  success?: boolean;
  statusCode?: number;
  response?: { errorCode?: string; errorMessage?: string };
}

export interface SignInEvent extends SignInAnswer {
  responseType: "INITIATE" | "VERIFY" | "ONETAP" | "FAILED" | (string & {});
}

interface PhoneRequest {
  channel: "PHONE";
  phone: string;
  countryCode: string;
}

export interface SignInSdk {
  initiate(request: PhoneRequest): Promise<SignInAnswer>;
  verify(request: PhoneRequest & { otp: string }): Promise<SignInAnswer>;
}

declare global {
  interface Window {
    OTPless?: new (callback: (event: SignInEvent) => void) => SignInSdk;
  }
}

/**
 * Loads OTPless's sign-in script as its documentation asks for it. An app that knows its service beforehand writes the
 * same tag into its page.
 */
export async function loadSignInSdk(config: DemoConfig, onEvent: (event: SignInEvent) => void): Promise<SignInSdk> {
  if (!window.OTPless) {
    await load(config);
  }
  if (!window.OTPless) {
    throw new DemoProblem(`${address(config)} is not OTPless's sign-in script.`, "Check OTPLESS_DEMO_SERVICE.");
  }
  return new window.OTPless(onEvent);
}

function load(config: DemoConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.id = "otpless-sdk";
    script.src = address(config);
    script.dataset["appid"] = config.appId;
    script.addEventListener("load", () => resolve());
    script.addEventListener("error", () => {
      // A tag that failed stays failed: the next attempt needs a new one.
      script.remove();
      const advice = config.local
        ? "Start the local OTPless (cargo run -p otpless-local), or the whole demo with `cargo xtask demo`, and try again."
        : "Check the connection and try again.";
      reject(new DemoProblem(`The sign-in script ${script.src} could not be loaded.`, advice));
    });
    document.head.append(script);
  });
}

function address({ service }: DemoConfig): string {
  return `${service}/v4/headless.js`;
}
