import { openDocument } from "./support/document.js";

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { emit } from "@tauri-apps/api/event";
import { derived, get, type Readable } from "svelte/store";
import { sessionState, type SessionState } from "tauri-plugin-otpless-api/svelte";

import { CHANGED, ChangingCore, GET, heldCore } from "./support/core.js";
import { settled } from "./support/page.js";
import { component, component4, type Mounted } from "./support/svelte.js";
import { change, offline, session } from "./support/values.js";

const LISTEN = "plugin:event|listen";
const UNLISTEN = "plugin:event|unlisten";

const STATUS = `
  <script>
    import { sessionState } from "tauri-plugin-otpless-api/svelte";
    $: ({ status, isSignedIn, session, error } = $sessionState);
  </script>
  <p>{[status, isSignedIn, session?.revision, error?.kind].join(" ")}</p>`;

const RETRY = `
  <script>
    import { sessionState } from "tauri-plugin-otpless-api/svelte";
  </script>
  {#if $sessionState.error}
    <button on:click={$sessionState.retry}>{$sessionState.error.message}</button>
  {:else}
    {$sessionState.status}
  {/if}`;

const stops: (() => void)[] = [];

afterEach(async () => {
  stops.splice(0).forEach((stop) => stop());
  await settled();
});

function mounted(component: Mounted): Mounted {
  stops.push(() => component.destroy());
  return component;
}

const versions = [
  ["Svelte 5", component],
  ["Svelte 4", component4],
] as const;
for (const [version, compiled] of versions) {
  const mountStatus = await compiled(`status in ${version}`, STATUS);
  const mountRetry = await compiled(`retry in ${version}`, RETRY);

  test(`${version}: a component shows every change, and the page listens while it is mounted`, async () => {
    const { requests, answer } = heldCore();
    const held = openDocument(answer);
    const first = mountStatus(held.root);
    assert.equal(held.root.textContent?.trim(), "restoring false");
    await settled();
    assert.equal(requests.length, 1);
    first.destroy();
    await settled();

    const core = new ChangingCore("active");
    const page = openDocument(core.answer);
    const second = mountStatus(page.root);
    await settled();
    assert.equal(page.root.textContent?.trim(), "active true 1");
    await core.change("stale");
    assert.equal(page.root.textContent?.trim(), "stale true 2");
    await core.change("signedOut", { endReason: "revoked" });
    assert.equal(page.root.textContent?.trim(), "signedOut false 3");
    assert.deepEqual([page.count(LISTEN), page.count(GET), page.count(UNLISTEN)], [1, 3, 0]);
    second.destroy();
    await settled();
    assert.equal(page.count(UNLISTEN), 1);
    await core.change("active");
    assert.equal(page.count(GET), 3);
  });

  test(`${version}: however many components mount, the page listens once`, async () => {
    const core = new ChangingCore("active");
    const page = openDocument(core.answer);
    for (let index = 0; index < 50; index += 1) {
      mounted(mountStatus(page.root));
    }
    await settled();
    assert.equal(page.root.textContent?.replaceAll(/\s+/g, " ").trim(), "active true 1 ".repeat(50).trim());
    assert.deepEqual([page.count(LISTEN), page.count(GET)], [1, 1]);
  });

  test(`${version}: a rejected get_session is shown, and a click asks again`, async () => {
    const core = new ChangingCore("active");
    const page = openDocument(core.answer);
    core.failure = offline;
    mounted(mountRetry(page.root));
    await settled();
    assert.equal(page.root.textContent?.trim(), offline.message);
    core.failure = undefined;
    page.root.querySelector("button")?.click();
    await settled();
    assert.equal(page.root.textContent?.trim(), "active");
  });

  test(`${version}: d10 a forged event changes nothing on the page`, async () => {
    const core = new ChangingCore("active");
    const page = openDocument(core.answer);
    mounted(mountStatus(page.root));
    await settled();
    await emit(CHANGED, { revision: 99, status: "signedOut", reason: "logout" });
    await settled();
    assert.equal(page.count(GET), 2);
    assert.equal(page.root.textContent?.trim(), "active true 1");
  });
}

test("a subscriber is called at once and after every change, until it unsubscribes", async () => {
  const core = new ChangingCore("active");
  openDocument(core.answer);
  const seen: string[] = [];
  const unsubscribe = sessionState.subscribe(({ status }) => seen.push(status));
  assert.deepEqual(seen, ["restoring"]);
  await settled();
  await core.change("stale");
  unsubscribe();
  await core.change("signedOut");
  assert.deepEqual(seen, ["restoring", "active", "stale"]);
});

test("the store starts with the first subscriber and stops with the last", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  assert.deepEqual(page.calls, []);
  const [first, second] = [sessionState.subscribe(() => {}), sessionState.subscribe(() => {})];
  await settled();
  assert.deepEqual([page.count(LISTEN), page.count(GET)], [1, 1]);
  first();
  await settled();
  assert.equal(page.count(UNLISTEN), 0);
  second();
  await settled();
  assert.equal(page.count(UNLISTEN), 1);
});

test("Svelte's own functions take it for a readable store", async () => {
  const core = new ChangingCore("active");
  openDocument(core.answer);
  const readable: Readable<SessionState> = sessionState;
  const isSignedIn = derived(readable, (state) => state.isSignedIn);
  const seen: boolean[] = [];
  stops.push(isSignedIn.subscribe((value) => seen.push(value)));
  await settled();
  assert.equal(get(readable).status, "active");
  await core.change("stale");
  await core.change("signedOut");
  assert.deepEqual(seen, [false, true, false]);
});

test("what is derived twice is never seen with one half of a change", async () => {
  const core = new ChangingCore("signedOut");
  openDocument(core.answer);
  const status = derived(sessionState, (state) => state.status);
  const isSignedIn = derived(sessionState, (state) => state.isSignedIn);
  const seen: string[] = [];
  stops.push(derived([status, isSignedIn], (both) => both.join(" ")).subscribe((both) => seen.push(both)));
  await settled();
  await core.change("active");
  assert.deepEqual(seen, ["restoring false", "signedOut false", "active true"]);
});

test("an older answer does not overwrite a newer one", async () => {
  const answers = [session(5), session(4), session(6)];
  openDocument(() => answers.shift());
  const seen: unknown[] = [];
  stops.push(sessionState.subscribe(({ session }) => seen.push(session?.revision)));
  await settled();
  for (const revision of [6, 7]) {
    await emit(CHANGED, change(revision));
    await settled();
  }
  assert.deepEqual(answers, []);
  assert.deepEqual(seen, [undefined, 5, 6]);
});
