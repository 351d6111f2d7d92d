import { fetch, isOtplessError } from "tauri-plugin-otpless-api";

import { byId, show } from "./dom.js";

/** Shows the answer as it comes: a backend may take its time over the rest. */
export async function callBackend(): Promise<void> {
  const url = byId("backend-url", HTMLInputElement).value;
  const body = byId("backend-body", HTMLSelectElement).value;
  const cancel = byId("cancel-call", HTMLButtonElement);
  const result = byId("backend-result");
  const abort = new AbortController();
  cancel.onclick = () => abort.abort();
  cancel.disabled = false;
  show(result, "", "");
  result.hidden = false;
  try {
    const response = await asked(url, body, abort.signal);
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
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    show(result, "Cancelled.", `cancelled: ${(error as Error).name}`);
  } finally {
    cancel.disabled = true;
  }
}

/** What is sent, and what says it is. */
function bodyOf(kind: string): BodyInit {
  const file = new File(["hello from a file"], "hello.txt", { type: "text/plain" });
  switch (kind) {
    case "form": {
      const form = new FormData();
      form.set("note", "hello from a form");
      form.set("file", file);
      return form;
    }
    case "file":
    case "request":
      return file;
    case "stream":
      return inPieces(["hello ", "from ", "a stream"]);
    default:
      return "hello from the page";
  }
}

/** With time between them: what is sent is sent before the next is there. */
function inPieces(texts: string[]): ReadableStream<Uint8Array> {
  const left = texts.map((text) => new TextEncoder().encode(text));
  return new ReadableStream({
    pull: async (controller) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const next = left.shift();
      if (next) controller.enqueue(next);
      else controller.close();
    },
  });
}

async function asked(url: string, kind: string, signal: AbortSignal): Promise<Response> {
  // `duplex` is what the standard wants with a stream, and not yet in TypeScript's types.
  const init = { method: "POST", body: bodyOf(kind), duplex: "half", signal } as RequestInit;
  try {
    return await (kind === "request" ? fetch(new Request(url, init)) : fetch(url, init));
  } catch (error) {
    // The standard's TypeError says that nothing came of it; why, says its cause.
    throw error instanceof TypeError && isOtplessError(error.cause) ? error.cause : error;
  }
}
