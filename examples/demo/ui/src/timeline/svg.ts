const NAMESPACE = "http://www.w3.org/2000/svg";

type Attributes = Record<string, string | number>;

/** A new element of a drawing, with a text or with children. */
export function svg(tag: string, attributes: Attributes = {}, ...children: (Element | string)[]): SVGElement {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, typeof value === "number" ? String(Math.round(value * 10) / 10) : value);
  }
  element.append(...children);
  return element;
}

export function line(x1: number, y1: number, x2: number, y2: number, kind: string): SVGElement {
  return svg("line", { x1, y1, x2, y2, class: kind });
}

export function text(x: number, y: number, what: string, kind: string): SVGElement {
  return svg("text", { x, y, class: kind }, what);
}

/** A bar that is never so short that it cannot be seen. */
export function bar(x1: number, x2: number, y: number, height: number, kind: string): SVGElement {
  return svg("rect", { x: x1, y, width: Math.max(x2 - x1, 2), height, rx: Math.min(3, height / 2), class: kind });
}

/** Marks are told apart by shape first and by colour second. */
export type Shape = "done" | "failed" | "next" | "active" | "flag" | "end";

export function mark(shape: Shape, x: number, y: number): SVGElement {
  const kind = `mark ${shape}`;
  switch (shape) {
    case "done":
      return svg("path", { d: `M${x - 5} ${y + 4.5}L${x} ${y - 5}L${x + 5} ${y + 4.5}Z`, class: kind });
    case "failed":
      return svg("path", { d: `M${x - 4.5} ${y - 4.5}L${x + 4.5} ${y + 4.5}M${x + 4.5} ${y - 4.5}L${x - 4.5} ${y + 4.5}`, class: kind });
    case "next":
      return svg("path", { d: `M${x} ${y - 5.5}L${x + 5.5} ${y}L${x} ${y + 5.5}L${x - 5.5} ${y}Z`, class: kind });
    case "active":
      return svg("path", { d: `M${x} ${y - 6}V${y + 6}`, class: kind });
    case "flag":
      return svg("path", { d: `M${x} ${y + 7}V${y - 7}L${x - 9} ${y - 3}L${x} ${y + 1}`, class: kind });
    case "end":
      return svg("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: kind });
  }
}

/** What stands for "in part": a hatching in the colour of `kind`. */
export function hatching(id: string, kind: string): SVGElement {
  return svg(
    "pattern",
    { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 6, height: 6, class: `${kind}-soft` }),
    svg("rect", { width: 2.4, height: 6, class: kind }),
  );
}
