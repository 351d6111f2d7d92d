// Bundles the page into ../dist, which the app embeds. Files that did not change are left alone: cargo would build the
// app anew for them.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "../dist");

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: [
    { in: "src/main.ts", out: "main" },
    { in: "src/main.css", out: "main" },
    { in: "src/hostile/main.ts", out: "hostile" },
  ],
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
page.set("index.html", await readFile(join(here, "src/index.html")));
page.set("hostile.html", await readFile(join(here, "src/hostile/index.html")));

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
