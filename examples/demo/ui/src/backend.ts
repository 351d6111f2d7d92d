import { fetch, isOtplessError } from "tauri-plugin-otpless-api";

import { byId, show } from "./dom.js";

/** Shows the answer as it comes: a backend may take its time over the rest. */
export async function callBackend(): Promise<void> {
  const url = byId("backend-url", HTMLInputElement).value;
  const result = byId("backend-result");
  show(result, "", "");
  result.hidden = false;
  const response = await asked(url);
  const tell = (text: string): void => {
    show(result, `${response.status} ${response.statusText}: ${text}`, `${response.status} ${text}`);
  };
  tell("");
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
    text += decoder.decode(part.value, { stream: true });
    tell(text);
  }
}

async function asked(url: string): Promise<Response> {
  try {
    return await fetch(url, { method: "POST", body: "hello from the page", headers: { "content-type": "text/plain" } });
  } catch (error) {
    // The standard's TypeError says that nothing came of it; why, says its cause.
    throw error instanceof TypeError && isOtplessError(error.cause) ? error.cause : error;
  }
}
