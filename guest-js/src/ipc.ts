import { invoke } from "@tauri-apps/api/core";

import { internal, toOtplessError } from "./rejection.js";

const PLUGIN = "otpless";

/** Calls one of the plugin's commands; rejects with an `OtplessError` and nothing else. */
export async function call<T>(command: string, args: Record<string, unknown> = {}): Promise<T> {
  assertInsideTauri();
  try {
    return await invoke<T>(`plugin:${PLUGIN}|${command}`, args);
  } catch (raw) {
    throw toOtplessError(raw, {
      plugin: PLUGIN,
      name: command,
      permission: `${PLUGIN}:allow-${command.replaceAll("_", "-")}`,
    });
  }
}

/** Throws an `OtplessError` where there is nobody to call: in a plain browser, or while a page is made on a server. */
export function assertInsideTauri(): void {
  if (typeof window === "undefined" || !("__TAURI_INTERNALS__" in window)) {
    throw internal("there is no Tauri app around this page: open it in the app's window, not in a browser");
  }
}
