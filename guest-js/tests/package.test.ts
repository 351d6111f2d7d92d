import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import ts from "typescript";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** What the examples take from the page around them. */
const SURROUNDINGS = "declare const OTPless: new (callback: (event: any) => void) => object;";

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  lib: ["lib.es2022.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  types: [],
  strict: true,
  noEmit: true,
};

interface Export {
  name: string;
  examples: string[];
}

function documentedExports(): Export[] {
  const entry = join(root, "dist/index.d.ts");
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  assert.ok(module, "dist/index.d.ts is missing: run `npm run build`");
  return checker.getExportsOfModule(module).map((symbol) => ({
    name: symbol.name,
    examples: checker
      .getAliasedSymbol(symbol)
      .getJsDocTags(checker)
      .filter(({ name }) => name === "example")
      .map(({ text }) => ts.displayPartsToString(text).replace(/^```ts\n|\n```$/g, "")),
  }));
}

test("the package exports these names and no others", async () => {
  const { name } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { name: string };
  const exported = (await import(name)) as object;
  assert.deepEqual(Object.keys(exported).sort(), [
    "OtplessError",
    "diagnostics",
    "fetch",
    "getSession",
    "getSessionToken",
    "isOtplessError",
    "logout",
    "onSessionChange",
    "recordActivity",
    "refreshSession",
    "sessionDetails",
    "startSession",
    "trackActivity",
    "verifySession",
  ]);
});

test("every export has an example that compiles", () => {
  const documented = documentedExports();
  assert.ok(documented.length > 20, `only ${documented.length} exports were found`);
  const files = new Map<string, string>();
  for (const [index, { name, examples }] of documented.entries()) {
    assert.equal(examples.length, 1, `${name} has ${examples.length} examples`);
    files.set(join(root, "examples", `${index}-${name}.ts`), `${examples[0]}\n`);
  }
  files.set(join(root, "examples", "surroundings.d.ts"), SURROUNDINGS);

  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const text = files.get(path);
    return text === undefined
      ? getSourceFile(path, languageVersion, ...rest)
      : ts.createSourceFile(path, text, languageVersion);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const problems = ts.getPreEmitDiagnostics(program).map((problem) => {
    const text = ts.flattenDiagnosticMessageText(problem.messageText, "\n");
    return `${problem.file?.fileName ?? ""}: ${text}`;
  });
  assert.deepEqual(problems, []);
});
