import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import ts from "typescript";

import { root } from "./support/bundle.js";
import { options, problems } from "./support/types.js";

test("the package carries the project's licences, word for word", async () => {
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    assert.equal(await readFile(join(root, name), "utf8"), await readFile(join(root, "..", name), "utf8"));
  }
});

/** What the examples take from the page around them. */
const SURROUNDINGS = "declare const OTPless: new (callback: (event: any) => void) => object;";

/** What each entry of the package exports, types left out, and how many documented names it has at least. */
const entries: Record<string, { file: string; values: string[]; documented: number }> = {
  ".": {
    file: "index",
    values: [
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
    ],
    documented: 29,
  },
  "./react": { file: "react", values: ["SessionProvider", "useSession"], documented: 5 },
  "./vue": { file: "vue", values: ["useSession"], documented: 2 },
  "./svelte": { file: "svelte", values: ["sessionState"], documented: 3 },
  "./compat": {
    file: "compat",
    values: [
      "OTPlessLogout",
      "OTPlessVerifySession",
      "captureSignIn",
      "getActiveSession",
      "initializeSessionManager",
      "logout",
    ],
    documented: 11,
  },
};

interface Export {
  name: string;
  examples: Example[];
}

interface Example {
  language: string;
  code: string;
}

const program = ts.createProgram(
  Object.values(entries).map(({ file }) => join(root, "dist", `${file}.d.ts`)),
  { ...options, skipLibCheck: true },
);

function documentedExports(file: string): Export[] {
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(join(root, "dist", `${file}.d.ts`));
  const module = source && checker.getSymbolAtLocation(source);
  assert.ok(module, `dist/${file}.d.ts is missing: run \`npm run build\``);
  return checker.getExportsOfModule(module).map((symbol) => ({
    name: symbol.name,
    examples: (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
      .getJsDocTags(checker)
      .filter(({ name }) => name === "example")
      .map(({ text }) => example(ts.displayPartsToString(text))),
  }));
}

/** The example at the top of an entry. */
function ownExample(file: string): Example[] {
  const source = readFileSync(join(root, "src", `${file}.ts`), "utf8");
  const [, text = ""] = /@example\n([^]*?)\n \*\n \* @packageDocumentation/.exec(source) ?? [];
  return [example(text.replaceAll(/^ \* ?/gm, ""))];
}

function example(text: string): Example {
  const [, language = "", code = ""] = /^```(tsx?)\n([^]*)\n```$/.exec(text) ?? [];
  return { language, code };
}

test("the package has these entries and no others", async () => {
  const { exports } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { exports: object };
  assert.deepEqual(Object.keys(exports), [...Object.keys(entries), "./package.json"]);
});

for (const [entry, { file, values, documented }] of Object.entries(entries)) {
  const name = `tauri-plugin-otpless-api${entry.slice(1)}`;

  test(`${name} exports these names and no others`, async () => {
    const exported = (await import(name)) as object;
    assert.deepEqual(Object.keys(exported).sort(), values);
  });

  test(`${name} and every export of it have an example`, () => {
    const all = documentedExports(file);
    assert.ok(all.length >= documented, `only ${all.length} exports were found`);
    for (const { name, examples } of [...all, { name: entry, examples: ownExample(file) }]) {
      assert.equal(examples.length, 1, `${name} has ${examples.length} examples`);
      assert.ok(examples[0]?.code, `the example of ${name} is not a block of ts or tsx`);
    }
  });
}

test("every example compiles", () => {
  const files = new Map([[join(root, "examples", "surroundings.d.ts"), SURROUNDINGS]]);
  for (const { file } of Object.values(entries)) {
    for (const { name, examples } of [...documentedExports(file), { name: "", examples: ownExample(file) }]) {
      for (const { language, code } of examples) {
        files.set(join(root, "examples", file, `${files.size}-${name}.${language}`), `${code}\nexport {};\n`);
      }
    }
  }
  assert.ok(files.size > 55, `only ${files.size} examples were found`);
  assert.deepEqual(problems(files, { ...options, skipLibCheck: true }), []);
});

/** An app that uses all of the package. */
const CONSUMER = `
  import { getSession, type Session } from "tauri-plugin-otpless-api";
  import { captureSignIn, getActiveSession, OTPlessVerifySession } from "tauri-plugin-otpless-api/compat";
  import { useSession as useReactSession, SessionProvider, type SessionState } from "tauri-plugin-otpless-api/react";
  import { sessionState } from "tauri-plugin-otpless-api/svelte";
  import { useSession as useVueSession } from "tauri-plugin-otpless-api/vue";

  export const asked: Promise<Session> = getSession();
  export function Page() {
    const { isSignedIn, session, status } = useReactSession();
    const word: "restoring" | "signedOut" | undefined = isSignedIn ? undefined : status;
    return <SessionProvider trackActivity>{isSignedIn ? session.userId : word}</SessionProvider>;
  }
  export const userId: string | undefined = useVueSession().session.value?.userId;
  export const stop: () => void = sessionState.subscribe((state: SessionState) => state.retry());

  export async function token(): Promise<string | undefined> {
    const [web, native] = [await OTPlessVerifySession(), await getActiveSession()];
    return web.success ? web.sessionToken : native.state === "active" ? native.sessionToken : undefined;
  }
  export const captured: Promise<Session | undefined> = captureSignIn({ responseType: "ONETAP", response: {} });

  // @ts-expect-error -- the refresh token is never there
  export const refreshToken = async (): Promise<string> => (await OTPlessVerifySession()).refreshToken;
  // @ts-expect-error -- what the ONETAP event has in it is not the event
  void captureSignIn({ sessionInfo: {} });
  // @ts-expect-error -- a session that may be none has no fields
  export const unsure = (state: SessionState) => state.session.userId;
  // @ts-expect-error -- refs are read-only
  useVueSession().status.value = "active";
`;

const resolutions: Record<string, ts.CompilerOptions> = {
  bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  node16: { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
};
for (const [resolution, how] of Object.entries(resolutions)) {
  test(`an app with moduleResolution ${resolution} compiles against every entry, as strictly as can be`, () => {
    const files = new Map([[join(root, "examples", "app.tsx"), CONSUMER]]);
    const strict = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, verbatimModuleSyntax: true };
    assert.deepEqual(problems(files, { ...options, ...strict, ...how }), []);
  });
}
