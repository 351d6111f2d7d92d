// One document for a whole test file. React, Vue and Svelte look for it when they are loaded and keep it, so this module
// is to be imported before any of them.
import { newWindow, openPage, type Core, type Page } from "./page.js";

const window = newWindow();

for (const name of [
  "document",
  "navigator",
  "history",
  "location",
  "Node",
  "Text",
  "Comment",
  "Element",
  "HTMLElement",
  "HTMLMediaElement",
  "SVGElement",
  "Event",
  "CustomEvent",
  "requestAnimationFrame",
  "cancelAnimationFrame",
] as const) {
  Object.defineProperty(globalThis, name, { configurable: true, writable: true, value: window[name] });
}
globalThis.window = window as unknown as Window & typeof globalThis;

/** Puts a Tauri app around the one document, with nothing in it but an element to mount into. */
export function openDocument(core: Core): Page & { root: HTMLElement } {
  const page = openPage(core, { window });
  const root = document.createElement("main");
  document.body.replaceChildren(root);
  return { ...page, root };
}
