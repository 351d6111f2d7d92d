import { openDocument } from "./support/document.js";

import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { emit } from "@tauri-apps/api/event";
import { act, startTransition, StrictMode, useState, type ReactNode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";

import type { Session } from "../src/index.js";
import { SessionProvider, useSession, type SessionState } from "../src/react.js";
import { load } from "./support/bundle.js";
import { CHANGED, ChangingCore, GET, heldCore } from "./support/core.js";
import { dispatchTrusted, settled } from "./support/page.js";
import { change, offline, session } from "./support/values.js";

const LISTEN = "plugin:event|listen";
const UNLISTEN = "plugin:event|unlisten";
const RECORD = "plugin:otpless|record_activity";

/** React warns of updates that a test did not ask it to wait for. */
function inAct(isInAct: boolean): void {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = isInAct;
}
inAct(true);

const roots: Root[] = [];

afterEach(async () => {
  inAct(true);
  for (const root of roots.splice(0)) {
    await act(async () => root.unmount());
  }
  await settled();
  mock.restoreAll();
});

async function render(container: HTMLElement, app: ReactNode): Promise<Root> {
  const root = createRoot(container);
  roots.push(root);
  await rerender(root, app);
  return root;
}

/** Waits for what React does in its own time. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns += 1) {
    assert.ok(turns < 10_000, `it never came to ${isSo.toString()}`);
    await settled();
  }
}

async function rerender(root: Root, app: ReactNode): Promise<void> {
  await act(async () => {
    root.render(app);
    await settled();
  });
}

function Status(): ReactNode {
  const { status, isSignedIn, session, error } = useSession();
  return <p>{[status, isSignedIn, session?.revision, error?.kind].join(" ")}</p>;
}

for (const strict of [false, true]) {
  const Mode = strict ? StrictMode : "div";

  test(`a component shows every change${strict ? " in StrictMode" : ""}, and the page listens while it is mounted`, async () => {
    const core = new ChangingCore("active");
    const page = openDocument(core.answer);
    const root = await render(
      page.root,
      <Mode>
        <Status />
      </Mode>,
    );
    assert.equal(page.root.textContent, "active true 1 ");
    await act(() => core.change("stale"));
    assert.equal(page.root.textContent, "stale true 2 ");
    await act(() => core.change("signedOut", { endReason: "revoked" }));
    assert.equal(page.root.textContent, "signedOut false 3 ");
    assert.deepEqual([page.count(LISTEN), page.count(GET), page.count(UNLISTEN)], [1, 3, 0]);
    await rerender(root, <Mode />);
    assert.equal(page.count(UNLISTEN), 1);
    await act(() => core.change("active"));
    assert.equal(page.count(GET), 3);
  });
}

test("it is restoring until the core has answered", async () => {
  const { requests, answer } = heldCore();
  const page = openDocument(answer);
  await render(page.root, <Status />);
  assert.equal(page.root.textContent, "restoring false  ");
  await act(async () => {
    requests[0]?.open(session(1));
    await settled();
  });
  assert.equal(page.root.textContent, "active true 1 ");
});

test("however many components mount, the page listens once and they render once per change", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  let renders = 0;
  const Counted = (): ReactNode => {
    renders += 1;
    return useSession().status;
  };
  await render(
    page.root,
    Array.from({ length: 50 }, (_, index) => <Counted key={index} />),
  );
  assert.equal(page.root.textContent, "active".repeat(50));
  assert.deepEqual([page.count(LISTEN), page.count(GET)], [1, 1]);
  renders = 0;
  await act(() => core.change("stale"));
  assert.equal(page.root.textContent, "stale".repeat(50));
  assert.equal(renders, 50);
});

test("a page that takes the place of another shows the session at once, not restoring", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const seen: string[] = [];
  const Seen = (): ReactNode => {
    const { status } = useSession();
    seen.push(status);
    return status;
  };
  const root = await render(page.root, <Seen key="one page" />);
  seen.length = 0;
  await rerender(root, <Seen key="another page" />);
  assert.deepEqual(new Set(seen), new Set(["active"]));
  assert.deepEqual([page.count(LISTEN), page.count(UNLISTEN)], [1, 0]);
});

test("the same state is the same object from render to render", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const seen = new Set<SessionState>();
  const Seen = (): ReactNode => {
    seen.add(useSession());
    return null;
  };
  const root = await render(page.root, <Seen />);
  seen.clear();
  await rerender(root, <Seen />);
  await rerender(root, <Seen />);
  assert.equal(seen.size, 1);
});

test("a rejected get_session is shown, and a click asks again", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  core.failure = offline;
  const Retry = (): ReactNode => {
    const { status, error, retry } = useSession();
    return error ? <button onClick={retry}>{error.message}</button> : status;
  };
  await render(page.root, <Retry />);
  assert.equal(page.root.textContent, offline.message);
  core.failure = undefined;
  await act(async () => {
    page.root.querySelector("button")?.click();
    await settled();
  });
  assert.equal(page.root.textContent, "active");
});

test("a change in the middle of a concurrent render tears nothing", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  let rendered = 0;
  const Slow = (): ReactNode => {
    const { status } = useSession();
    rendered += 1;
    // Longer than React renders before it lets others run.
    for (const start = performance.now(); performance.now() - start < 8;) {
      Math.sqrt(start);
    }
    return <i>{status}</i>;
  };
  let show!: () => void;
  const App = (): ReactNode => {
    const [isShown, setShown] = useState(false);
    show = () => startTransition(() => setShown(true));
    return (
      <>
        <Status />
        {isShown && Array.from({ length: 12 }, (_, index) => <Slow key={index} />)}
      </>
    );
  };
  await render(page.root, <App />);

  const torn: string[] = [];
  const observer = new window.MutationObserver(() => {
    const shown = new Set([...page.root.querySelectorAll("i")].map(({ textContent }) => textContent));
    if (shown.size > 1) torn.push(page.root.innerHTML);
  });
  observer.observe(page.root, { childList: true, subtree: true, characterData: true });
  inAct(false);
  show();
  await until(() => rendered > 0);
  const atChange = rendered;
  assert.ok(atChange < 12, "the render was not interrupted");
  assert.equal(page.root.querySelectorAll("i").length, 0);
  await core.change("stale");
  await until(() => page.root.textContent === `stale true 2 ${"stale".repeat(12)}`);
  observer.disconnect();
  assert.deepEqual(torn, []);
});

test("an older answer does not overwrite a newer one", async () => {
  const answers = [session(5), session(4), session(6)];
  const page = openDocument(() => answers.shift());
  await render(page.root, <Status />);
  const shown: (string | null)[] = [];
  for (const revision of [6, 7]) {
    await act(async () => {
      await emit(CHANGED, change(revision));
      await settled();
    });
    shown.push(page.root.textContent);
  }
  assert.deepEqual(shown, ["active true 5 ", "active true 6 "]);
});

test("d10 a forged event changes nothing on the page", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  await render(page.root, <Status />);
  await act(async () => {
    await emit(CHANGED, { revision: 99, status: "signedOut", reason: "logout" });
    await settled();
  });
  assert.equal(page.count(GET), 2);
  assert.equal(page.root.textContent, "active true 1 ");
});

test("what was rendered on a server is taken over without a mismatch and then shows the session", async () => {
  const core = new ChangingCore("active");
  const app = (
    <SessionProvider trackActivity>
      <Status />
    </SessionProvider>
  );
  const page = openDocument(core.answer);
  page.root.innerHTML = renderToString(app);
  assert.equal(page.root.textContent, "restoring false  ");
  const problems: unknown[] = [];
  mock.method(console, "error", (...what: unknown[]) => problems.push(what));
  await act(async () => {
    roots.push(hydrateRoot(page.root, app, { onRecoverableError: (error) => problems.push(error) }));
    await settled();
  });
  assert.deepEqual(problems, []);
  assert.equal(page.root.textContent, "active true 1 ");
});

test("the provider keeps the watch while components come and go", async () => {
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const root = await render(
    page.root,
    <SessionProvider>
      <Status />
    </SessionProvider>,
  );
  await rerender(root, <SessionProvider>nobody asks</SessionProvider>);
  assert.equal(page.root.textContent, "nobody asks");
  await act(() => core.change("stale"));
  const seen: string[] = [];
  const Seen = (): ReactNode => {
    seen.push(useSession().status);
    return null;
  };
  await rerender(
    root,
    <SessionProvider>
      <Seen />
    </SessionProvider>,
  );
  assert.deepEqual(seen, ["stale"]);
  assert.deepEqual([page.count(LISTEN), page.count(UNLISTEN)], [1, 0]);
  await rerender(root, null);
  assert.equal(page.count(UNLISTEN), 1);
});

test("the provider tracks activity only if it is told to, and only while it is mounted", async () => {
  // A report in any earlier test would silence this one.
  let now = Date.UTC(2027, 0, 1);
  mock.method(Date, "now", () => now);
  const core = new ChangingCore("active");
  const page = openDocument((command, args): unknown => (command === RECORD ? session(1) : core.answer(command, args)));
  const press = async (): Promise<number> => {
    now += 60_000;
    const before = page.count(RECORD);
    dispatchTrusted(document.body, new window.KeyboardEvent("keydown", { bubbles: true, key: "a" }));
    await settled();
    return page.count(RECORD) - before;
  };
  const root = await render(page.root, <SessionProvider />);
  assert.equal(await press(), 0);
  await rerender(root, <SessionProvider trackActivity />);
  assert.equal(await press(), 1);
  await rerender(root, <SessionProvider trackActivity={{}} />);
  assert.equal(await press(), 1);
  await rerender(root, <SessionProvider trackActivity={false} />);
  assert.equal(await press(), 0);
  await rerender(
    root,
    <StrictMode>
      <SessionProvider trackActivity />
    </StrictMode>,
  );
  assert.equal(await press(), 1);
  await rerender(root, null);
  assert.equal(await press(), 0);
});

test("the provider tells a failing report to the newest onError", async () => {
  mock.method(Date, "now", () => Date.UTC(2028, 0, 1));
  const core = new ChangingCore("active");
  const page = openDocument((command, args): unknown => {
    if (command === RECORD) throw offline;
    return core.answer(command, args) as Session;
  });
  const told: string[] = [];
  const app = (name: string): ReactNode => (
    <SessionProvider trackActivity={{ onError: ({ kind }) => told.push(`${name}: ${kind}`) }} />
  );
  const root = await render(page.root, app("first"));
  await rerender(root, app("second"));
  dispatchTrusted(document.body, new window.KeyboardEvent("keydown", { bubbles: true, key: "a" }));
  await settled();
  assert.deepEqual(told, ["second: network"]);
});

test("React 18: a component in StrictMode shows every change, and the page listens while it is mounted", async () => {
  // Its act() opens a MessageChannel and never closes it, which would keep Node from ending.
  inAct(false);
  const react18 = await load<{ version: string; mount(root: Element): Root }>(
    "react18",
    `import { createElement, StrictMode, version } from "react";
     import { createRoot } from "react-dom/client";
     import { SessionProvider, useSession } from "tauri-plugin-otpless-api/react";

     const Status = () => useSession().status;
     const app = createElement(StrictMode, null, createElement(SessionProvider, null, createElement(Status)));
     export function mount(root) {
       const mounted = createRoot(root);
       mounted.render(app);
       return mounted;
     }
     export { version };`,
    { alias: { react: "react18", "react-dom": "react-dom18" } },
  );
  assert.match(react18.version, /^18\./);
  const core = new ChangingCore("active");
  const page = openDocument(core.answer);
  const root = react18.mount(page.root);
  await until(() => page.root.textContent === "active");
  await core.change("stale");
  await until(() => page.root.textContent === "stale");
  assert.deepEqual([page.count(LISTEN), page.count(GET), page.count(UNLISTEN)], [1, 2, 0]);
  root.unmount();
  await until(() => page.count(UNLISTEN) === 1);
});
