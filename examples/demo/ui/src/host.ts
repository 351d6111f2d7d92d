import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";

/** What the app tells its pages. */
export interface DemoConfig {
  /** Where OTPless is: the local one, or the real service. */
  service: string;
  appId: string;
  /** Whether it is the local one. */
  local: boolean;
  /** Where the relay is, if the app talks to one; without it nobody can say what OTPless knows of a session. */
  relay: string | null;
  /** Which of the app's windows this page is in; only the main one may sign in. */
  window: "main" | "second";
  /** Whether a sleep and a locked keychain can be rehearsed: in a debug build beside the local OTPless. */
  rehearsal: boolean;
}

/** What has been rehearsed so far. */
export interface Rehearsed {
  keychainLocked: boolean;
  /** How far the app's clock is ahead of the machine's. */
  sleptMs: number;
}

export function demoConfig(): Promise<DemoConfig> {
  return invoke("demo_config");
}

export function openSecondWindow(): Promise<void> {
  return invoke("open_second_window");
}

export function openHostileWindow(): Promise<void> {
  return invoke("open_hostile_window");
}

export function openFrameworksWindow(): Promise<void> {
  return invoke("open_frameworks_window");
}

export function rehearsed(): Promise<Rehearsed> {
  return invoke("rehearsed");
}

export function rehearseSleep(seconds: number): Promise<Rehearsed> {
  return invoke("rehearse_sleep", { seconds });
}

export function rehearseKeychain(locked: boolean): Promise<Rehearsed> {
  return invoke("rehearse_keychain", { locked });
}

/** Calls `changed` whenever something has been rehearsed, in whichever window. */
export async function onRehearsed(changed: (rehearsed: Rehearsed) => void): Promise<void> {
  await listen<Rehearsed>("rehearsal-changed", ({ payload }) => changed(payload));
}
