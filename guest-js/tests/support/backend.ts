import { openPage, type Gate, type Page } from "./page.js";

/** Where the backend is. */
export const URL_OF_ORDERS = "https://api.example.com/orders";

/** The next call's number, so that what a page of an earlier test forgot is not taken for this one's. */
let next = 1;

/** What the core is told and asked, without the plugin's name. */
export type Step = [command: string, args: unknown];

/** A core with a backend behind it: what it answers to each command. */
export interface Backend {
  page: Page;
  /** The number of its first call. */
  call: number;
  steps: Step[];
  /** The bodies that were written, put together. */
  written: string;
  /** How often the end of a body was written. */
  ends: number;
  head: Record<string, unknown>;
  /** Pieces of the answer's body; a gate is one that is still to come. */
  pieces: (string | Gate<string> | Error | object)[];
  /** Takes the place of what a command answers. */
  answers: Record<string, (args: unknown) => unknown>;
}

/** Opens a page around which there is a core with that backend. */
export function backend(changes: Partial<Backend> = {}): Backend {
  const made: Backend = {
    page: undefined as unknown as Page,
    call: next,
    steps: [],
    written: "",
    ends: 0,
    head: {},
    pieces: [],
    answers: {},
    ...changes,
  };
  made.page = openPage(async (name, args) => {
    const command = name.replace("plugin:otpless|", "");
    if (command === "fetch_cancel" && (args as { call: number }).call < made.call) return null;
    made.steps.push([command, args]);
    const answer = made.answers[command];
    if (answer) return answer(args);
    switch (command) {
      case "fetch":
        return next++;
      case "fetch_write": {
        const piece = args as Uint8Array;
        made.written += new TextDecoder().decode(piece);
        made.ends += piece.byteLength === 0 ? 1 : 0;
        return null;
      }
      case "fetch_send":
        return {
          type: "basic",
          status: 200,
          statusText: "OK",
          headers: [["content-type", "text/plain"]],
          url: URL_OF_ORDERS,
          redirected: false,
          body: "stream",
          ...made.head,
        };
      case "fetch_read": {
        const next = made.pieces.shift();
        const piece = typeof next === "object" && "promise" in next ? await next.promise : next;
        if (typeof piece === "object") throw piece;
        return new TextEncoder().encode(piece ?? "").buffer;
      }
      default:
        return null;
    }
  });
  return made;
}

/** The commands that the core was called with, in order. */
export function commands({ steps }: Backend): string[] {
  return steps.map(([command]) => command);
}
