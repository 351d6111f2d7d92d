import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import { JSDOM, type DOMWindow } from "jsdom";
// jsdom has no public way to make an event that counts as the user's own.
// @ts-expect-error -- its inner modules have no types
import utils from "jsdom/lib/jsdom/living/generated/utils.js";

/** One call that reached the app's core, as Tauri would see it. */
export interface Call {
  command: string;
  args: unknown;
}

/** Answers a command; what it throws is what the `invoke` is rejected with. */
export type Core = (command: string, args: unknown) => unknown;

/** A page with a Tauri app around it. */
export interface Page {
  window: DOMWindow;
  /** Every call so far, those of Tauri's own event plugin included. */
  calls: Call[];
  /** How often a command was called. */
  count(command: string): number;
}

interface PageOptions {
  /** Whether events are Tauri's own mock; otherwise `core` sees them. */
  shouldMockEvents?: boolean;
  /** A window that is there already; see `document.ts`. */
  window?: DOMWindow;
}

/** Opens a page whose calls are answered by `core`. */
export function openPage(core: Core, { shouldMockEvents = true, window = newWindow() }: PageOptions = {}): Page {
  globalThis.window = window as unknown as Window & typeof globalThis;
  mockIPC(core, { shouldMockEvents });

  const calls: Call[] = [];
  const tauri = internals();
  const { invoke } = tauri;
  tauri.invoke = (command, args, options) => {
    calls.push({ command, args });
    return invoke(command, args, options);
  };
  return { window, calls, count: (command) => calls.filter((call) => call.command === command).length };
}

/** A window with a button in it. */
export function newWindow(): DOMWindow {
  const page = "<!doctype html><body><button>press me</button>";
  return new JSDOM(page, { url: "tauri://localhost", pretendToBeVisual: true }).window;
}

/** Leaves no window behind: what runs next is a server for all it knows. */
export function closePage(): void {
  if (typeof window !== "undefined") {
    clearMocks();
    window.close();
    Reflect.deleteProperty(globalThis, "window");
  }
}

interface Internals {
  invoke(command: string, args: unknown, options: unknown): Promise<unknown>;
  runCallback(id: number, data: unknown): void;
}

function internals(): Internals {
  return (window as unknown as { __TAURI_INTERNALS__: Internals }).__TAURI_INTERNALS__;
}

/** Calls a listener as Tauri does, also one that Tauri was asked to remove. */
export function runCallback(id: number, data: unknown): void {
  internals().runCallback(id, data);
}

/** Dispatches an event as the engine does for real input: `isTrusted` is true. */
export function dispatchTrusted(target: EventTarget, event: Event): void {
  const inner = utils.implForWrapper(event) as { isTrusted: boolean };
  inner.isTrusted = true;
  (utils.implForWrapper(target) as { _dispatch(event: unknown): boolean })._dispatch(inner);
}

/** Returns once everything that was ready to run has run. Nothing in these tests waits for a timer or a socket. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A promise that is settled from outside. */
export interface Gate<T> {
  promise: Promise<T>;
  open(value: T): void;
  fail(reason: unknown): void;
}

/** Holds an answer back until the test lets it go. */
export function gate<T>(): Gate<T> {
  let open!: (value: T) => void;
  let fail!: (reason: unknown) => void;
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}
