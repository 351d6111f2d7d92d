import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build, type BuildOptions } from "esbuild";

/** The folder of package.json. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** The text of a module for a page, with everything it imports. */
export async function bundle(source: string, options: BuildOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    stdin: { contents: source, resolveDir: root, loader: "tsx" },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    conditions: ["browser"],
    logLevel: "silent",
    ...options,
  });
  return outputFiles?.[0]?.text ?? "";
}

/** A bundle as a module, loaded. Node finds what it leaves out. */
export async function load<T>(name: string, source: string, options: BuildOptions = {}): Promise<T> {
  const file = join(root, "build/bundles", `${name}.mjs`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, await bundle(source, options));
  return (await import(pathToFileURL(file).href)) as T;
}
