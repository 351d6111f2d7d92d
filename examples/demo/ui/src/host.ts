import { invoke } from "@tauri-apps/api/core";

/** What the app tells its pages. */
export interface DemoConfig {
  /** Where OTPless is: the local one, or the real service. */
  service: string;
  appId: string;
  /** Whether it is the local one. */
  local: boolean;
  /** Which of the app's windows this page is in; only the main one may sign in. */
  window: "main" | "second";
}

export function demoConfig(): Promise<DemoConfig> {
  return invoke("demo_config");
}

export function openSecondWindow(): Promise<void> {
  return invoke("open_second_window");
}
