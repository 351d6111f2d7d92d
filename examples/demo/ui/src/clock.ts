/** How far the app's clock is ahead of the machine's: only a rehearsed sleep moves it. */
let ahead = 0;

/** The time by the app's clock, in milliseconds since the Unix epoch; what every time in a session is measured by. */
export function now(): number {
  return Date.now() + ahead;
}

export function setAhead(ms: number): void {
  ahead = ms;
}
