import { now } from "./clock.js";
import { byId, create } from "./dom.js";

const LONGEST = 50;

export type Tone = "plain" | "good" | "bad";

/** Adds a line to what happened. The text must hold nothing secret: the page keeps it. */
export function log(text: string, tone: Tone = "plain"): void {
  const list = byId("events");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;

  const at = new Date(now());
  const time = create("time", at.toLocaleTimeString());
  time.dateTime = at.toISOString();
  const what = create("span", text);
  what.className = tone;
  const entry = create("li");
  entry.append(time, what);
  list.append(entry);
  while (list.childElementCount > LONGEST) {
    list.firstElementChild?.remove();
  }

  // Whoever has scrolled up is reading.
  if (atEnd) {
    list.scrollTop = list.scrollHeight;
  }
}
