import assert from "node:assert/strict";
import { test } from "node:test";

import type { ReactNode } from "react";
import { renderToString as renderReact } from "react-dom/server";
import { createSSRApp, defineComponent, h } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";

import { SessionProvider, useSession } from "../src/react.js";
import { useSession as useVueSession } from "../src/vue.js";
import { settled } from "./support/page.js";
import { html } from "./support/svelte.js";

test("React renders restoring on a server and asks nobody", async () => {
  assert.equal(typeof window, "undefined");
  const Status = (): ReactNode => {
    const { status, isSignedIn, session, error } = useSession();
    return [status, isSignedIn, session, error].join();
  };
  const app = (
    <SessionProvider trackActivity>
      <Status />
    </SessionProvider>
  );
  assert.equal(renderReact(app), "restoring,false,,");
  await settled();
  assert.equal(renderReact(app), "restoring,false,,");
});

test("Vue renders restoring on a server and asks nobody", async () => {
  assert.equal(typeof window, "undefined");
  const Status = defineComponent(() => {
    const { status, isSignedIn, session, error } = useVueSession();
    return () => h("p", [status.value, isSignedIn.value, session.value, error.value].join());
  });
  assert.equal(await renderVue(createSSRApp(Status)), "<p>restoring,false,,</p>");
  await settled();
  assert.equal(await renderVue(createSSRApp(Status)), "<p>restoring,false,,</p>");
});

test("Svelte renders restoring on a server and asks nobody", async () => {
  assert.equal(typeof window, "undefined");
  const rendered = await html(
    "on a server",
    `<script>
       import { sessionState } from "tauri-plugin-otpless-api/svelte";
     </script>
     <p>{$sessionState.status},{$sessionState.isSignedIn},{$sessionState.session},{$sessionState.error}</p>`,
  );
  assert.match(rendered, /<p>restoring,false,,<\/p>/);
});
