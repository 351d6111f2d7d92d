import { invoke } from "@tauri-apps/api/core";
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { fetch, getSession, getSessionToken, isOtplessError, type ErrorKind, type Session } from "tauri-plugin-otpless-api";
import { OTPlessVerifySession } from "tauri-plugin-otpless-api/compat";
import { useSession as useSessionInReact } from "tauri-plugin-otpless-api/react";
import { sessionState } from "tauri-plugin-otpless-api/svelte";
import { useSession as useSessionInVue } from "tauri-plugin-otpless-api/vue";
import { effectScope, watch } from "vue";

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
/** The first status that says something, as somebody tells it. */
function known(tell: (told: (status: string) => void) => void): Promise<string> {
  return new Promise((resolve) => tell((status) => status !== "restoring" && resolve(status)));
}

const svelte = await known((told) => sessionState.subscribe(({ status }) => told(status)));
const vue = await known((told) =>
  effectScope().run(() => watch(useSessionInVue().status, told, { immediate: true })),
);
const react = await known((told) => {
  const Status = () => {
    told(useSessionInReact().status);
    return null;
  };
  createRoot(document.createElement("div")).render(createElement(Status));
});
await invoke("report", {
  told: {
    session,
    svelte,
    vue,
    react,
    compat: await OTPlessVerifySession(),
    token: await refusal(getSessionToken()),
    fetch: await refusal(fetch("https://api.example.com/orders")),
    elsewhere: await refusal(fetch("https://elsewhere.example/")),
  },
});
