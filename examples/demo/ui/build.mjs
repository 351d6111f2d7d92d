// Bundles the page into ../dist, which the app embeds. Files that did not change are left alone: cargo would build the
// app anew for them.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { compile } from "svelte/compiler";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "../dist");

const svelte = {
  name: "svelte",
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { js, warnings } = compile(await readFile(path, "utf8"), { filename: path, generate: "client" });
      return { contents: js.code, warnings: warnings.map(({ message }) => ({ text: message })) };
    });
  },
};

// The npm package is linked, and beside its sources are frameworks of its own, for its tests. A page has each but once.
const once = {
  name: "once",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^(react|react-dom|svelte|vue)(\/|$)/ }, ({ path, kind, pluginData }) =>
      pluginData === once ? undefined : resolve(path, { kind, resolveDir: here, pluginData: once }),
    );
  },
};

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: [
    { in: "src/main.ts", out: "main" },
    { in: "src/main.css", out: "main" },
    { in: "src/hostile/main.ts", out: "hostile" },
    { in: "src/frameworks/main.ts", out: "frameworks" },
  ],
  plugins: [svelte, once],
  conditions: ["production", "browser", "module"],
  define: {
    "process.env.NODE_ENV": '"production"',
    __VUE_OPTIONS_API__: "false",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
  },
  outdir: dist,
  bundle: true,
  format: "esm",
  target: ["safari15", "chrome105"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  write: false,
});
const page = new Map(outputFiles.map(({ path, contents }) => [basename(path), Buffer.from(contents)]));
const logo = await readFile(join(here, "src/logo.svg"), "utf8");
for (const folder of ["", "hostile", "frameworks"]) {
  const html = await readFile(join(here, "src", folder, "index.html"), "utf8");
  page.set(`${folder || "index"}.html`, Buffer.from(html.replace("<!-- logo -->", () => logo.trim())));
}

await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) {
  if (!page.has(name)) {
    await rm(join(dist, name), { recursive: true });
  }
}
for (const [name, contents] of page) {
  const path = join(dist, name);
  const present = await readFile(path).catch(() => undefined);
  if (!present?.equals(contents)) {
    await writeFile(path, contents);
  }
}
