/**
 * The switches of the rehearsal: they act on the local OTPless, over its controls, and on this app's clock and keychain.
 * Everything else on the page only watches what comes of it.
 */
import { busy } from "./busy.js";
import { setAhead } from "./clock.js";
import { byId, setText } from "./dom.js";
import { clearError, DemoProblem, showError } from "./error-view.js";
import { log } from "./event-log.js";
import { onRehearsed, rehearsed, rehearseKeychain, rehearseSleep, type DemoConfig, type Rehearsed } from "./host.js";
import { span } from "./time.js";

const SLEEP_S = 8 * 60 * 60;

/** The local OTPless's calls: all of its API, and what its sign-in script needs. */
const CALLS = ["any", "initiate", "verify", "script"];
const DOWN = "connection-reset";

/** More calls than anyone makes; JSON has no greater number that every reader takes. */
const FOR_EVER = Number.MAX_SAFE_INTEGER;

/** What the local OTPless says about itself, as far as it matters here. */
interface ServerState {
  faults: { operation: string; fault: unknown }[];
  clockOffsetMs: number;
}

/** Shows the panel where there is something to rehearse with, and sets the page's clock by the app's. */
export async function setUpRehearsal(config: DemoConfig): Promise<void> {
  if (!config.rehearsal) {
    return;
  }
  await onRehearsed(show);
  show(await rehearsed());
  if (config.window !== "main") {
    return;
  }
  byId("rehearsal").hidden = false;
  const server = new Server(config.service);
  onPress("server-down", "Changing the local OTPless", async (button) => {
    const down = button.ariaChecked !== "true";
    await (down ? server.goDown() : server.comeBack());
    check(button, down);
    log(down ? "The server is down." : "The server is back.", down ? "bad" : "good");
  });
  onPress("keychain-locked", "Changing the keychain", async (button) => {
    const { keychainLocked } = await rehearseKeychain(button.ariaChecked !== "true");
    log(keychainLocked ? "The keychain is locked." : "The keychain is unlocked.", keychainLocked ? "bad" : "good");
  });
  onPress("sleep", "Sleeping", async () => {
    const before = await rehearsed();
    // The world goes on while the machine sleeps, so the server's clock comes first; and what the app tells its page
    // when it wakes up must find the page awake.
    await server.moveClock(SLEEP_S * 1000);
    setAhead(before.sleptMs + SLEEP_S * 1000);
    try {
      await rehearseSleep(SLEEP_S);
    } catch (error) {
      setAhead(before.sleptMs);
      throw error;
    }
    log("The machine has slept for 8 h.");
  });
  // A server that was switched off stays so when the app is started again. Its answer must not keep the page from
  // starting, and comes too late once somebody has pressed the switch.
  const button = byId("server-down", HTMLButtonElement);
  void server.isDown().then((down) => {
    if (button.dataset["value"] === "") {
      check(button, down);
    }
  });
}

function show({ keychainLocked, sleptMs }: Rehearsed): void {
  setAhead(sleptMs);
  check(byId("keychain-locked", HTMLButtonElement), keychainLocked);
  const slept = byId("slept");
  setText(slept, sleptMs === 0 ? "" : `Asleep for ${span(sleptMs)} so far; the clocks of the app and of the local OTPless are that far ahead.`);
  slept.dataset["value"] = String(sleptMs);
}

function check(button: HTMLButtonElement, on: boolean): void {
  button.ariaChecked = String(on);
  button.dataset["value"] = on ? "on" : "off";
}

function onPress(id: string, what: string, press: (button: HTMLButtonElement) => Promise<void>): void {
  const button = byId(id, HTMLButtonElement);
  button.addEventListener("click", () => {
    void busy(button, async () => {
      clearError();
      try {
        await press(button);
      } catch (error) {
        showError(what, error);
      }
    });
  });
}

/** The controls of the local OTPless. */
class Server {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  state(): Promise<ServerState> {
    return this.#ask<ServerState>("state");
  }

  /** Whether it was switched off; one that cannot be reached was not, as far as anybody can tell. */
  async isDown(): Promise<boolean> {
    const { faults } = await this.state().catch(() => ({ faults: [] as ServerState["faults"] }));
    return faults.some(({ operation, fault }) => operation === "any" && fault === DOWN);
  }

  async goDown(): Promise<void> {
    for (const operation of CALLS) {
      await this.#ask("fault", { operation, fault: DOWN, times: FOR_EVER });
    }
  }

  async comeBack(): Promise<void> {
    await this.#ask("clear-faults", {});
  }

  async moveClock(byMs: number): Promise<void> {
    const { clockOffsetMs } = await this.state();
    await this.#ask("clock", { offsetMs: clockOffsetMs + byMs });
  }

  async #ask<T>(control: string, body?: object): Promise<T> {
    const request = body && { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${this.#url}/control/${control}`, request).catch(() => undefined);
    if (!answer?.ok) {
      throw new DemoProblem("The local OTPless does not take orders.", "Is it still running?", "rehearsal");
    }
    return (await answer.json()) as T;
  }
}
