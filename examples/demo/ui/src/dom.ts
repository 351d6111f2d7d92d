type Constructor<T> = abstract new (...args: never[]) => T;

/** The element with this id; the page is written so that it is there. */
export function byId<T extends Element = HTMLElement>(
  id: string,
  type: Constructor<T> = HTMLElement as unknown as Constructor<T>,
): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) {
    throw new Error(`the page has no ${type.name} #${id}`);
  }
  return found;
}

/** Shows `text` to people and `value` to whoever reads the page by machine. */
export function show(element: HTMLElement, text: string, value: string): void {
  setText(element, text);
  element.dataset["value"] = value;
}

/** Leaves an unchanged text alone, so that a selection in it survives and screen readers stay quiet. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Moves the keyboard focus to the session before the element that has it, or is around it, goes away. */
export function rescueFocus(from: Element): void {
  if (from.contains(document.activeElement)) {
    byId("session-title").focus();
  }
}

/** A new element with a text. */
export function create<K extends keyof HTMLElementTagNameMap>(tag: K, text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
