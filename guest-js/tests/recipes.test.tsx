import { openDocument } from "./support/document.js";

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, test } from "node:test";

import { act } from "react";
import { createRoot } from "react-dom/client";
import { createMemoryRouter, RouterProvider } from "react-router";
import { svelte2tsx } from "svelte2tsx";
import ts from "typescript";
import { createApp, defineComponent, h, type Component } from "vue";
import { createMemoryHistory, createRouter, RouterView } from "vue-router";
import { compileScript, parse } from "vue/compiler-sfc";

import type { SessionStatus } from "../src/index.js";
import { RequireSession } from "./recipes/RequireSession.js";
import { load, root } from "./support/bundle.js";
import { ChangingCore, heldCore } from "./support/core.js";
import { settled, type Core } from "./support/page.js";
import { compiled, component } from "./support/svelte.js";
import { options, problems } from "./support/types.js";
import { offline } from "./support/values.js";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

/** An app at the address of a page for people who are signed in. */
interface OpenApp {
  /** What stands on the page. */
  text(): string;
  /** Lets the app take in what happens. */
  after(what: () => unknown): Promise<void>;
  close(): unknown;
}

interface Recipe {
  file: string;
  open(element: HTMLElement): Promise<OpenApp>;
}

const text = (element: HTMLElement): string => (element.textContent ?? "").replaceAll(/\s+/g, " ").trim();

async function openInReact(element: HTMLElement): Promise<OpenApp> {
  const router = createMemoryRouter([
    { element: <RequireSession />, children: [{ path: "/", element: "for members" }] },
    { path: "/sign-in", element: "please sign in" },
  ]);
  const mounted = createRoot(element);
  const after = (what: () => unknown): Promise<void> =>
    act(async () => {
      await what();
      await settled();
    });
  await after(() => mounted.render(<RouterProvider router={router} future={{ v7_startTransition: true }} />));
  return { text: () => text(element), after, close: () => act(async () => mounted.unmount()) };
}

async function vueRecipe(): Promise<string> {
  const { descriptor } = parse(await readFile(join(root, "tests/recipes/RequireSession.vue"), "utf8"));
  return compileScript(descriptor, { id: "recipe", inlineTemplate: true }).content;
}

const showing = (text: string): Component => defineComponent(() => () => text);

async function openInVue(element: HTMLElement): Promise<OpenApp> {
  const recipe = await load<{ default: Component }>("recipe in Vue", await vueRecipe(), { packages: "external" });
  const router = createRouter({
    history: createMemoryHistory(),
    routes: [
      { path: "/", component: recipe.default, children: [{ path: "", component: showing("for members") }] },
      { path: "/sign-in", component: showing("please sign in") },
    ],
  });
  const app = createApp(() => h(RouterView)).use(router);
  await router.push("/");
  app.mount(element);
  const after = async (what: () => unknown): Promise<void> => {
    await what();
    await settled();
  };
  await after(() => {});
  return { text: () => text(element), after, close: () => app.unmount() };
}

async function openInSvelte(element: HTMLElement): Promise<OpenApp> {
  const layout = await readFile(join(root, "tests/recipes/+layout.svelte"), "utf8");
  const mount = await component(
    "recipe in Svelte",
    `<script>
       import { address } from "$app/navigation";
       import Layout from "layout";
     </script>
     {#if $address === "/"}<Layout>for members</Layout>{:else if $address === "/sign-in"}please sign in{/if}`,
    {
      layout: compiled("layout", layout),
      // What SvelteKit puts there, as far as this app needs it.
      "$app/navigation": `
        import { writable } from "svelte/store";
        export const address = writable("/");
        export async function goto(url) { address.set(url); }
        globalThis.openFirstPage = () => address.set("/");`,
    },
  );
  (globalThis as unknown as { openFirstPage(): void }).openFirstPage();
  const mounted = mount(element);
  const after = async (what: () => unknown): Promise<void> => {
    await what();
    await settled();
  };
  await after(() => {});
  return { text: () => text(element), after, close: () => mounted.destroy() };
}

const recipes: Record<string, Recipe> = {
  "react-router": { file: "RequireSession.tsx", open: openInReact },
  "vue-router": { file: "RequireSession.vue", open: openInVue },
  SvelteKit: { file: "+layout.svelte", open: openInSvelte },
};

let close: (() => unknown) | undefined;

afterEach(async () => {
  await close?.();
  close = undefined;
  await settled();
});

for (const [router, { file, open }] of Object.entries(recipes)) {
  const opened = async (core: Core): Promise<OpenApp & { element: HTMLElement }> => {
    const page = openDocument(core);
    const app = await open(page.root);
    close = app.close;
    return { ...app, element: page.root };
  };

  test(`the recipe for ${router} waits for the restore and sends nobody away before`, async () => {
    const { requests, answer } = heldCore();
    const app = await opened(answer);
    assert.equal(app.text(), "One moment…");
    await app.after(() => requests[0]?.open({ status: "active", revision: 1, storage: "keychain" }));
    assert.equal(app.text(), "for members");
  });

  const views: [SessionStatus, shown: string][] = [
    ["restoring", "One moment…"],
    ["active", "for members"],
    ["stale", "for members"],
    ["signedOut", "please sign in"],
  ];
  for (const [status, shown] of views) {
    test(`the recipe for ${router} shows "${shown}" to whoever is ${status}`, async () => {
      const app = await opened(new ChangingCore(status).answer);
      assert.equal(app.text(), shown);
    });
  }

  test(`the recipe for ${router} goes to the sign-in page when the session ends, and not when it becomes stale`, async () => {
    const core = new ChangingCore("active");
    const app = await opened(core.answer);
    await app.after(() => core.change("stale"));
    assert.equal(app.text(), "for members");
    await app.after(() => core.change("signedOut", { endReason: "inactive" }));
    assert.equal(app.text(), "please sign in");
  });

  test(`the recipe for ${router} offers to sign in anew while the keychain is locked`, async () => {
    const core = new ChangingCore("restoring");
    const app = await opened(core.answer);
    assert.equal(app.element.querySelector("button"), null);
    await app.after(() => core.change("restoring", { storage: "unavailable" }));
    assert.equal(app.text(), "One moment… Sign in anew");
    await app.after(() => app.element.querySelector("button")?.click());
    assert.equal(app.text(), "please sign in");
  });

  test(`the recipe for ${router} shows why the session cannot be fetched, and tries again`, async () => {
    const core = new ChangingCore("active");
    core.failure = offline;
    const app = await opened(core.answer);
    assert.equal(app.text(), `${offline.message} Try again`);
    core.failure = undefined;
    await app.after(() => app.element.querySelector("button")?.click());
    assert.equal(app.text(), "for members");
  });

  test(`the recipe for ${router} stands in the README`, async () => {
    const recipe = await readFile(join(root, "tests/recipes", file), "utf8");
    const language = file.split(".").at(-1);
    const readme = await readFile(join(root, "../README.md"), "utf8");
    assert.ok(readme.includes(`\n\`\`\`${language}\n${recipe}\`\`\`\n`), `README.md has another text than ${file}`);
  });
}

test("the recipe for vue-router compiles, its template too", async () => {
  // TypeScript follows what a template asks of a ref's value, but not of what a function makes of the ref.
  const recipe = (await vueRecipe()).replaceAll(/_unref\((status|isSignedIn|session|error)\)/g, "$1.value");
  assert.match(recipe, /isSignedIn\.value\)/);
  assert.deepEqual(
    problems(new Map([[join(root, "examples/RequireSession.ts"), recipe]]), { ...options, skipLibCheck: true }),
    [],
  );
});

test("the recipe for SvelteKit compiles, its markup too", async () => {
  const source = await readFile(join(root, "tests/recipes/+layout.svelte"), "utf8");
  const { code } = svelte2tsx(source, { filename: "+layout.svelte", isTsFile: true, mode: "ts", version: "5.0.0" });
  const files = new Map([
    [join(root, "examples/+layout.tsx"), code],
    [join(root, "examples/kit.d.ts"), '/// <reference types="@sveltejs/kit" />'],
  ]);
  for (const declarations of ["svelte-shims-v4.d.ts", "svelte-jsx-v4.d.ts"]) {
    const path = join(root, "node_modules/svelte2tsx", declarations);
    files.set(path, await readFile(path, "utf8"));
  }
  const how = { ...options, jsx: ts.JsxEmit.Preserve, module: ts.ModuleKind.ESNext, skipLibCheck: true };
  assert.deepEqual(problems(files, { ...how, moduleResolution: ts.ModuleResolutionKind.Bundler }), []);
});
