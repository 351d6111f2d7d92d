import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";

import ts from "typescript";

import { bundle, root } from "./support/bundle.js";

const TAURI = ["@tauri-apps/api/core", "@tauri-apps/api/event"];

/** What an app gets with each entry besides this package's own files. */
const entries: Record<string, string[]> = {
  index: TAURI,
  react: [...TAURI, "react"],
  vue: [...TAURI, "vue"],
  svelte: [...TAURI, "svelte/store"],
  compat: ["@tauri-apps/api/core"],
};

/** Every package that a built file imports, itself or through other files. */
async function packages(file: string, seen = new Set<string>()): Promise<Set<string>> {
  const found = new Set<string>();
  if (seen.has(file)) {
    return found;
  }
  seen.add(file);
  const { importedFiles } = ts.preProcessFile(await readFile(file, "utf8"), true, true);
  for (const { fileName } of importedFiles) {
    const inner = fileName.startsWith(".")
      ? await packages(join(dirname(file), file.endsWith(".d.ts") ? fileName.replace(/js$/, "d.ts") : fileName), seen)
      : [fileName];
    for (const name of inner) found.add(name);
  }
  return found;
}

for (const [entry, expected] of Object.entries(entries)) {
  test(`${entry} imports ${expected.join(", ")} and nothing else`, async () => {
    assert.deepEqual([...(await packages(join(root, "dist", `${entry}.js`)))].sort(), expected);
  });

  test(`the types of ${entry} need no other framework`, async () => {
    for (const name of await packages(join(root, "dist", `${entry}.d.ts`))) {
      assert.ok(expected.includes(name), name);
    }
  });
}

test("only the React entry is marked for the client of a server-rendered app", async () => {
  for (const entry of Object.keys(entries)) {
    const isMarked = (await readFile(join(root, "dist", `${entry}.js`), "utf8")).startsWith('"use client";');
    assert.equal(isMarked, entry === "react", entry);
  }
});

test("a bundle with getSession alone has no framework, no other command and no watch in it", async () => {
  const text = await bundle('import { getSession } from "tauri-plugin-otpless-api"; getSession().then(alert);');
  assert.match(text, /"get_session"/);
  for (const absent of ["react", "vue", "svelte", "useSession", "session-changed", "start_session", "pointermove"]) {
    assert.equal(text.includes(absent), false, `${absent} is in a bundle of ${text.length} characters`);
  }
});

const uses: [entry: string, name: string, others: string[]][] = [
  ["react", "useSession", ["pointermove", "record_activity", "start_session"]],
  ["vue", "useSession", ["pointermove", "record_activity", "start_session", "react"]],
  ["svelte", "sessionState", ["pointermove", "record_activity", "start_session", "react"]],
  ["compat", "captureSignIn", ["pointermove", "record_activity", "get_session", "session-changed", "react"]],
];
for (const [entry, name, others] of uses) {
  test(`a bundle with ${name} of ${entry} alone has nothing else of this package in it`, async () => {
    const text = await bundle(`import { ${name} } from "tauri-plugin-otpless-api/${entry}"; alert(${name});`, {
      external: ["react", "vue", "svelte"],
    });
    assert.match(text, /session-changed|start_session/);
    for (const absent of others) {
      assert.equal(text.includes(absent), false, `${absent} is in a bundle of ${text.length} characters`);
    }
  });
}
