import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { trackActivity, type OtplessError } from "../src/index.js";
import { closePage, dispatchTrusted, openPage, settled, type Core, type Page } from "./support/page.js";
import { offline, session } from "./support/values.js";

const RECORD = "plugin:otpless|record_activity";

/** Goes on from test to test: the throttle belongs to the page's whole life. */
let now = Date.UTC(2026, 0, 1);
let stop = (): void => {};

beforeEach(() => {
  now += 3_600_000;
  mock.method(Date, "now", () => now);
});

afterEach(() => {
  stop();
  stop = () => {};
  closePage();
  mock.restoreAll();
});

function trackedPage(core: Core = () => session(1), onError?: (error: OtplessError) => void): Page {
  const page = openPage(core);
  stop = trackActivity(onError ? { onError } : {});
  return page;
}

function button({ window }: Page): Element {
  const button = window.document.querySelector("button");
  assert.ok(button);
  return button;
}

function press(page: Page): void {
  dispatchTrusted(button(page), new page.window.KeyboardEvent("keydown", { bubbles: true, key: "a" }));
}

function move(page: Page, screenX: number, screenY: number): void {
  dispatchTrusted(button(page), new page.window.MouseEvent("pointermove", { bubbles: true, screenX, screenY }));
}

function showAs(page: Page, visibilityState: string): void {
  Object.defineProperty(page.window.document, "visibilityState", { configurable: true, value: visibilityState });
}

function changeVisibility(page: Page, visibilityState: string): void {
  showAs(page, visibilityState);
  dispatchTrusted(page.window.document, new page.window.Event("visibilitychange", { bubbles: true }));
}

for (const type of ["pointerdown", "keydown", "touchstart", "touchmove", "wheel"]) {
  test(`${type} is reported, once and without arguments`, () => {
    const page = trackedPage();
    dispatchTrusted(button(page), new page.window.Event(type, { bubbles: true }));
    assert.deepEqual(page.calls, [{ command: RECORD, args: {} }]);
  });
}

test("a pointer that moves is reported", () => {
  const page = trackedPage();
  move(page, 10, 10);
  move(page, 11, 10);
  assert.equal(page.count(RECORD), 1);
});

test("moves that the engine sends for a pointer that rests are not reported", () => {
  const page = trackedPage();
  move(page, 10, 10);
  move(page, 10, 10);
  now += 60_000;
  move(page, 10, 10);
  assert.equal(page.count(RECORD), 0);
});

test("a page that comes into view is reported", () => {
  const page = trackedPage();
  changeVisibility(page, "visible");
  assert.equal(page.count(RECORD), 1);
});

test("a page that goes out of view is not reported", () => {
  const page = trackedPage();
  changeVisibility(page, "hidden");
  assert.equal(page.count(RECORD), 0);
});

test("nothing is reported before the user does something", async () => {
  const page = trackedPage();
  await settled();
  assert.deepEqual(page.calls, []);
});

test("events made by script are not reported", () => {
  const page = trackedPage();
  for (const type of ["pointerdown", "keydown", "touchstart", "touchmove", "wheel"]) {
    button(page).dispatchEvent(new page.window.Event(type, { bubbles: true }));
  }
  for (const screenX of [1, 2]) {
    button(page).dispatchEvent(new page.window.MouseEvent("pointermove", { bubbles: true, screenX }));
  }
  showAs(page, "visible");
  page.window.document.dispatchEvent(new page.window.Event("visibilitychange", { bubbles: true }));
  assert.equal(page.count(RECORD), 0);
});

test("input is reported even where the page stops its propagation", () => {
  const page = trackedPage();
  button(page).addEventListener("keydown", (event) => event.stopImmediatePropagation());
  press(page);
  assert.equal(page.count(RECORD), 1);
});

test("all listeners are passive and in the capture phase", () => {
  const page = openPage(() => session(1));
  const options: unknown[] = [];
  for (const target of [page.window, page.window.document]) {
    mock.method(target, "addEventListener", (_type: string, _listener: unknown, given: unknown) => {
      options.push(given);
    });
  }
  stop = trackActivity();
  assert.equal(options.length, 7);
  for (const given of options) {
    assert.deepEqual(given, { capture: true, passive: true });
  }
});

test("the first sign is reported at once, the next not before 15 s and at 15 s", () => {
  const page = trackedPage();
  press(page);
  assert.equal(page.count(RECORD), 1);
  now += 14_999;
  press(page);
  assert.equal(page.count(RECORD), 1);
  now += 1;
  press(page);
  assert.equal(page.count(RECORD), 2);
  now += 14_999;
  press(page);
  assert.equal(page.count(RECORD), 2);
});

test("all kinds of input share the one report in 15 s", () => {
  const page = trackedPage();
  press(page);
  changeVisibility(page, "visible");
  dispatchTrusted(button(page), new page.window.Event("wheel", { bubbles: true }));
  assert.equal(page.count(RECORD), 1);
});

test("tracking twice does not report twice", () => {
  const page = trackedPage();
  const stopSecond = trackActivity();
  press(page);
  assert.equal(page.count(RECORD), 1);
  stopSecond();
});

test("stopping and starting again does not shorten the 15 s", () => {
  const page = trackedPage();
  press(page);
  stop();
  stop = trackActivity();
  now += 14_999;
  press(page);
  assert.equal(page.count(RECORD), 1);
  now += 1;
  press(page);
  assert.equal(page.count(RECORD), 2);
});

test("a clock that was put back does not silence the reports", () => {
  const page = trackedPage();
  press(page);
  now -= 60_000;
  press(page);
  assert.equal(page.count(RECORD), 2);
  now += 60_000;
});

test("nothing is reported after stop", () => {
  const page = trackedPage();
  stop();
  press(page);
  dispatchTrusted(button(page), new page.window.Event("pointerdown", { bubbles: true }));
  changeVisibility(page, "visible");
  move(page, 1, 1);
  move(page, 2, 2);
  assert.equal(page.count(RECORD), 0);
});

test("a failing report is told to onError and the next is made after 15 s", async () => {
  const errors: string[] = [];
  const page = trackedPage(
    () => {
      throw offline;
    },
    (error) => errors.push(error.kind),
  );
  press(page);
  await settled();
  assert.deepEqual(errors, ["network"]);
  now += 15_000;
  press(page);
  await settled();
  assert.deepEqual(errors, ["network", "network"]);
  assert.equal(page.count(RECORD), 2);
});

test("a failing report without onError is not an unhandled rejection", async () => {
  const rejections: unknown[] = [];
  const note = (reason: unknown): void => void rejections.push(reason);
  process.on("unhandledRejection", note);
  const page = trackedPage(() => {
    throw offline;
  });
  press(page);
  await settled();
  process.off("unhandledRejection", note);
  assert.equal(page.count(RECORD), 1);
  assert.deepEqual(rejections, []);
});

test("that nobody is signed in is not told to onError", async () => {
  const errors: unknown[] = [];
  const page = trackedPage(
    () => {
      throw { kind: "notSignedIn", message: "nobody is signed in", retryable: false };
    },
    (error) => errors.push(error),
  );
  press(page);
  await settled();
  assert.equal(page.count(RECORD), 1);
  assert.deepEqual(errors, []);
});

test("without a window tracking does nothing and can be stopped", () => {
  assert.equal(typeof window, "undefined");
  trackActivity()();
});
