import { invoke } from "@tauri-apps/api/core";
import { fetch, getSession, getSessionToken, isOtplessError, type ErrorKind, type Session } from "tauri-plugin-otpless-api";
import { OTPlessVerifySession } from "tauri-plugin-otpless-api/compat";
import { sessionState } from "tauri-plugin-otpless-api/svelte";

/** Why a promise was rejected, as this package says it. */
async function refusal(of: Promise<unknown>): Promise<ErrorKind | undefined> {
  try {
    await of;
  } catch (error) {
    const told: unknown = error instanceof TypeError ? error.cause : error;
    return isOtplessError(told) ? told.kind : undefined;
  }
  return undefined;
}

const session: Session = await getSession();
const status = await new Promise<string>((resolve) => {
  sessionState.subscribe((state) => {
    if (state.status !== "restoring") resolve(state.status);
  });
});
await invoke("report", {
  told: {
    session,
    store: status,
    compat: await OTPlessVerifySession(),
    token: await refusal(getSessionToken()),
    fetch: await refusal(fetch("https://api.example.com/orders")),
    elsewhere: await refusal(fetch("https://elsewhere.example/")),
  },
});
