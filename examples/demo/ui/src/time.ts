import { now as currentTime } from "./clock.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "6 d 23 h", "23 h 59 min", "4 min 05 s", "12 s", and "now" from the moment on. */
export function remaining(until: number, now = currentTime()): string {
  const left = Math.ceil((until - now) / SECOND) * SECOND;
  if (left <= 0) {
    return "now";
  }
  if (left >= DAY) {
    return `${Math.floor(left / DAY)} d ${Math.floor((left % DAY) / HOUR)} h`;
  }
  if (left >= HOUR) {
    return `${Math.floor(left / HOUR)} h ${padded((left % HOUR) / MINUTE)} min`;
  }
  if (left >= MINUTE) {
    return `${Math.floor(left / MINUTE)} min ${padded((left % MINUTE) / SECOND)} s`;
  }
  return `${left / SECOND} s`;
}

/** A length of time in one or two words: "8 h", "1 h 30 min", "7 d", "14 min", "20 s". */
export function span(ms: number): string {
  const units = [
    [DAY, "d"],
    [HOUR, "h"],
    [MINUTE, "min"],
    [SECOND, "s"],
  ] as const;
  const whole = Math.round(ms / SECOND) * SECOND;
  const largest = units.findIndex(([unit]) => whole >= unit);
  if (largest === -1) {
    return "0 s";
  }
  const [unit, name] = units[largest]!;
  const smaller = units[largest + 1];
  const rest = smaller ? Math.floor((whole % unit) / smaller[0]) : 0;
  return `${Math.floor(whole / unit)} ${name}${smaller && rest > 0 ? ` ${rest} ${smaller[1]}` : ""}`;
}

/** The time of day, with the date unless it is today. */
export function moment(at: number): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString();
  return date.toDateString() === new Date(currentTime()).toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

/** Calls `tick` at every full second, for as long as the page lives. */
export function everySecond(tick: () => void): void {
  const schedule = (): void => {
    setTimeout(
      () => {
        tick();
        schedule();
      },
      SECOND - (Date.now() % SECOND),
    );
  };
  schedule();
}

function padded(number: number): string {
  return String(Math.floor(number)).padStart(2, "0");
}
