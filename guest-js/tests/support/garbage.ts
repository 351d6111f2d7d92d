import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { settled } from "./page.js";

/** Collects what nobody holds, and lets whoever is to hear of it hear of it. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await settled();
  collect();
  await settled();
}
