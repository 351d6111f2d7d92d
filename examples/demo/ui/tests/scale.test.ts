import assert from "node:assert/strict";
import { test } from "node:test";

import { awake, beginning, position, scaleFor } from "../src/timeline/scale.js";
import { historyOf, HOUR, MINUTE, sample, SECOND, START } from "./values.js";

const SLEPT = 8 * HOUR;

/** A minute awake, eight hours asleep, half a minute awake. */
const nap = historyOf(
  sample(0),
  sample(MINUTE),
  sample(MINUTE + SECOND + SLEPT, {}, { awake: MINUTE + SECOND }),
  sample(MINUTE + 30 * SECOND + SLEPT, {}, { awake: MINUTE + 30 * SECOND }),
);
const WOKEN = START + MINUTE + SLEPT;
const NOW = WOKEN + 30 * SECOND;

test("everything stands in the order of time, between the edges", () => {
  const due = [NOW + 20 * SECOND, NOW + HOUR, NOW + 24 * HOUR, NOW + 7 * 24 * HOUR];
  const scale = scaleFor(nap, NOW, due);
  const drawn = [START, START + 30 * SECOND, START + MINUTE, WOKEN, NOW, ...due].map((at) => position(scale, at));
  assert.deepEqual(drawn, [...drawn].sort((a, b) => a - b));
  assert.equal(new Set(drawn).size, drawn.length, "and nothing on top of something else");
  assert.ok(drawn.every((x) => x >= 0 && x <= 1));
});

test("a sleep of hours is a narrow gap, and the minutes around it keep their width", () => {
  const scale = scaleFor(nap, NOW, []);
  const width = (from: number, to: number): number => position(scale, to) - position(scale, from);
  assert.equal(scale.gaps.length, 1);
  assert.ok(width(START + MINUTE, WOKEN) < 0.1);
  assert.ok(width(START, START + MINUTE) > 0.4);
  const [before, after] = [width(START, START + 30 * SECOND), width(WOKEN, NOW)];
  assert.ok(Math.abs(before - after) < 1e-9, `${before} and ${after}: a second is a second on both sides`);
});

test("what is due in weeks takes one step, like what is due in an hour", () => {
  const due = [NOW + HOUR, NOW + 24 * HOUR, NOW + 30 * 24 * HOUR];
  const scale = scaleFor(nap, NOW, due);
  assert.deepEqual(scale.later, due);
  const [hour, day, month] = due.map((at) => position(scale, at));
  assert.ok(Math.abs(day! - hour! - (month! - day!)) < 1e-9);
});

test("what is due together takes one step together", () => {
  const scale = scaleFor(nap, NOW, [NOW + HOUR, NOW + HOUR + 1]);
  assert.equal(scale.later.length, 1);
});

test("what is due soon is drawn at the pace of the past", () => {
  const history = historyOf(sample(0), sample(2 * MINUTE));
  const now = START + 2 * MINUTE;
  const scale = scaleFor(history, now, [now + 10 * SECOND]);
  assert.equal(scale.laterFrom, 1, "there is nothing for later");
  const [past, soon] = [position(scale, now) - position(scale, now - 10 * SECOND), position(scale, now + 10 * SECOND) - position(scale, now)];
  assert.ok(Math.abs(past - soon) < 1e-9);
});

test("a page that has just been opened shows half a minute, one that is open for hours the last twenty", () => {
  assert.equal(beginning(scaleFor(historyOf(sample(0)), START, [])), START - 30 * SECOND);
  const long = historyOf(sample(0), sample(3 * HOUR));
  assert.equal(beginning(scaleFor(long, START + 3 * HOUR, [])), START + 3 * HOUR - 20 * MINUTE);
  assert.equal(position(scaleFor(long, START + 3 * HOUR, []), START), 0, "what is older stands at the edge");
});

test("a sleep that scrolled out of the window takes no room", () => {
  const now = NOW + 3 * HOUR;
  const scale = scaleFor(nap, now, []);
  assert.deepEqual(scale.gaps, []);
  assert.equal(beginning(scale), now - 20 * MINUTE);
});

test("waking time leaves sleeps out, also those that stick out of the stretch", () => {
  assert.equal(awake(START, NOW, nap.sleeps), 90 * SECOND);
  assert.equal(awake(START + MINUTE + HOUR, NOW, nap.sleeps), 30 * SECOND);
});
