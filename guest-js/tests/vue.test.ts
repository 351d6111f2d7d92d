import { openDocument } from "./support/document.js";

import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { emit } from "@tauri-apps/api/event";
import { createApp, defineComponent, effectScope, h, isReadonly, nextTick, ref, type App, type Component } from "vue";

import { useSession, type SessionRefs } from "../src/vue.js";
import { CHANGED, ChangingCore, GET, heldCore } from "./support/core.js";
import { settled } from "./support/page.js";
import { change, offline, session } from "./support/values.js";

const LISTEN = "plugin:event|listen";
const UNLISTEN = "plugin:event|unlisten";

const apps: App[] = [];

afterEach(async () => {
  apps.splice(0).forEach((app) => app.unmount());
  await settled();
  mock.restoreAll();
});

async function mount(root: HTMLElement, component: Component): Promise<App> {
  const app = createApp(component);
  apps.push(app);
  app.mount(root);
  await settled();
  return app;
}

function text({ status, isSignedIn, session, error }: SessionRefs): string {
  return [status.value, isSignedIn.value, session.value?.revision, error.value?.kind].join(" ");
}

const Status = defineComponent(() => {
  const refs = useSession();
  return () => h("p", text(refs));
});

test("a component shows every change, and the page listens while it is mounted", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const app = await mount(page.root, Status);
  assert.equal(page.root.textContent, "active true 1 ");
  await core.change("stale");
  assert.equal(page.root.textContent, "stale true 2 ");
  await core.change("signedOut", { endReason: "revoked" });
  assert.equal(page.root.textContent, "signedOut false 3 ");
  assert.deepEqual([page.count(LISTEN), page.count(GET), page.count(UNLISTEN)], [1, 3, 0]);
  apps.length = 0;
  app.unmount();
  await settled();
  assert.equal(page.count(UNLISTEN), 1);
  await core.change("active");
  assert.equal(page.count(GET), 3);
});

test("it is restoring until the core has answered", async () => {
  const { requests, answer } = heldCore();
  const page = openDocument(answer);
  await mount(page.root, Status);
  assert.equal(page.root.textContent, "restoring false  ");
  requests[0]?.open(session(1));
  await settled();
  assert.equal(page.root.textContent, "active true 1 ");
});

test("however many components mount, the page listens once", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  await mount(page.root, () => Array.from({ length: 50 }, () => h(Status)));
  assert.equal(page.root.textContent, "active true 1 ".repeat(50));
  await core.change("stale");
  assert.equal(page.root.textContent, "stale true 2 ".repeat(50));
  assert.deepEqual([page.count(LISTEN), page.count(GET)], [1, 2]);
});

test("a page that takes the place of another shows the session at once, not restoring", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const seen: string[] = [];
  const pageNamed = (name: string): Component =>
    defineComponent({
      name,
      setup() {
        const refs = useSession();
        return () => {
          seen.push(refs.status.value);
          return name;
        };
      },
    });
  const [one, another] = [pageNamed("one"), pageNamed("another")];
  const shown = ref("one");
  await mount(page.root, () => h(shown.value === "one" ? one : another));
  seen.length = 0;
  shown.value = "another";
  await settled();
  assert.equal(page.root.textContent, "another");
  assert.deepEqual(seen, ["active"]);
  assert.deepEqual([page.count(LISTEN), page.count(UNLISTEN)], [1, 0]);
});

test("it ends with the effect scope in which it was called", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const scope = effectScope();
  const refs = scope.run(() => useSession())!;
  await settled();
  assert.equal(text(refs), "active true 1 ");
  scope.stop();
  await settled();
  assert.equal(page.count(UNLISTEN), 1);
  await core.change("signedOut");
  assert.equal(text(refs), "active true 1 ");
});

test("the refs cannot be written", async () => {
  const core = new ChangingCore("active");
  openDocument(core.answer);
  const warnings: unknown[] = [];
  mock.method(console, "warn", (...what: unknown[]) => warnings.push(what[0]));
  const scope = effectScope();
  const { status, isSignedIn, session, error } = scope.run(() => useSession())!;
  await settled();
  const before = session.value;
  for (const refOfOurs of [status, isSignedIn, session, error]) {
    assert.equal(isReadonly(refOfOurs), true);
    (refOfOurs as { value: unknown }).value = "forged";
  }
  assert.equal(warnings.length, 4);
  assert.deepEqual([status.value, isSignedIn.value, session.value, error.value], ["active", true, before, undefined]);
  scope.stop();
});

test("a rejected get_session is shown, and a click asks again", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  core.failure = offline;
  await mount(
    page.root,
    defineComponent(() => {
      const { status, error, retry } = useSession();
      return () => (error.value ? h("button", { onClick: retry }, error.value.message) : status.value);
    }),
  );
  assert.equal(page.root.textContent, offline.message);
  core.failure = undefined;
  page.root.querySelector("button")?.click();
  await settled();
  assert.equal(page.root.textContent, "active");
});

test("an older answer does not overwrite a newer one", async () => {
  const answers = [session(5), session(4), session(6)];
  const page = openDocument(() => answers.shift());
  await mount(page.root, Status);
  const shown: (string | null)[] = [];
  for (const revision of [6, 7]) {
    await emit(CHANGED, change(revision));
    await settled();
    await nextTick();
    shown.push(page.root.textContent);
  }
  assert.deepEqual(shown, ["active true 5 ", "active true 6 "]);
});

test("d10 a forged event changes nothing on the page", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  await mount(page.root, Status);
  await emit(CHANGED, { revision: 99, status: "signedOut", reason: "logout" });
  await settled();
  assert.equal(page.count(GET), 2);
  assert.equal(page.root.textContent, "active true 1 ");
});
