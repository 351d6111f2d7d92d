import type { Plugin } from "esbuild";
import { compile } from "svelte/compiler";

import { load } from "./bundle.js";

/** As a variable: the types of Svelte 4 declare the modules of Svelte 5 anew. */
const SVELTE_4: string = "svelte4/compiler";

/** A component that is mounted in a page. */
export interface Mounted {
  /** Takes it down. */
  destroy(): void;
}

/** Puts a component into an element. */
export type Mount = (target: Element) => Mounted;

/** What a component may import beside packages, by name. */
export type Modules = Record<string, string>;

/** A component of Svelte 5, compiled and ready to be mounted. */
export async function component(name: string, source: string, modules: Modules = {}): Promise<Mount> {
  const { mount } = await load<{ mount: Mount }>(
    name,
    `import { flushSync, mount as mountComponent, unmount } from "svelte";
     import Component from "component";
     export function mount(target) {
       const mounted = mountComponent(Component, { target });
       flushSync();
       return { destroy: () => void unmount(mounted) };
     }`,
    { plugins: [provided({ ...modules, component: compiled(name, source) })], external: OURS },
  );
  return mount;
}

/** The module of a component of Svelte 5. */
export function compiled(name: string, source: string): string {
  return compile(source, { generate: "client", dev: true, name: "Component", filename: `${name}.svelte` }).js.code;
}

/** A component of Svelte 4. */
export async function component4(name: string, source: string): Promise<Mount> {
  const { compile } = (await import(SVELTE_4)) as {
    compile(source: string, options: object): { js: { code: string } };
  };
  const { js } = compile(source, { generate: "dom", dev: true, name: "Component", filename: `${name}.svelte` });
  const { mount } = await load<{ mount: Mount }>(
    name,
    `import Component from "component";
     export function mount(target) {
       const mounted = new Component({ target });
       return { destroy: () => mounted.$destroy() };
     }`,
    { plugins: [provided({ component: js.code })], external: OURS, alias: { svelte: "svelte4" } },
  );
  return mount;
}

/** What a component of Svelte 5 is on a server. */
export async function html(name: string, source: string): Promise<string> {
  const { js } = compile(source, { generate: "server", dev: false, name: "Component", filename: `${name}.svelte` });
  const { html } = await load<{ html: () => string }>(
    name,
    `import { render } from "svelte/server";
     import Component from "component";
     export const html = () => render(Component, { props: {} }).body;`,
    { plugins: [provided({ component: js.code })], external: OURS, platform: "node", conditions: [] },
  );
  return html();
}

/** Left out of the bundles: one instance of the package for all of them. */
const OURS = ["tauri-plugin-otpless-api", "tauri-plugin-otpless-api/*"];

function provided(modules: Modules): Plugin {
  return {
    name: "provided",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /./ }, ({ path }) => (path in modules ? { path, namespace: "provided" } : undefined));
      onLoad({ filter: /./, namespace: "provided" }, ({ path }) => ({
        contents: modules[path] ?? "",
        resolveDir: process.cwd(),
        loader: "ts",
      }));
    },
  };
}
