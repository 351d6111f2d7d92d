import { byId, create } from "../dom.js";
import { attack, attackLogout, type Loot, type Outcome } from "./attack.js";

/** For a test that brings this very script into another page of the app, and one that has seen the rest. */
Object.assign(window, { attack, attackLogout });

const button = document.getElementById("attack");
button?.addEventListener("click", () => void run(button as HTMLButtonElement));

async function run(button: HTMLButtonElement): Promise<void> {
  button.disabled = true;
  byId("state").textContent = "Trying everything …";
  const loot = await attack();
  show(loot);
  Object.assign(window, { loot });
  byId("state").textContent = "Done. This is all there was to be had:";
  byId("state").dataset["value"] = "done";
}

function show(loot: Loot): void {
  const rows = Object.entries(loot.commands).map(([command, outcomes]) => {
    const row = create("tr");
    row.append(create("th", command), create("td", summary(outcomes)));
    return row;
  });
  byId("commands").replaceChildren(...rows);
  const told = new Set(loot.heard.filter(isEvent).map((event) => JSON.stringify(event.payload)));
  byId("told").replaceChildren(...[...told].map((payload) => create("li", payload)));
  byId("flood").textContent = `${loot.flood.answered} of ${loot.flood.calls} calls at once were answered.`;
}

function isEvent(heard: unknown): heard is { event: string; payload: unknown } {
  return typeof heard === "object" && heard !== null && "event" in heard && "payload" in heard;
}

/** How often it was let in and with what, how often it was refused and why. */
function summary(outcomes: Outcome[]): string {
  const let_in = outcomes.filter((outcome) => outcome.ok);
  const refused = outcomes.filter((outcome) => !outcome.ok);
  const words: string[] = [];
  if (let_in.length > 0) {
    words.push(`answered ${let_in.length} times with ${Object.keys(Object(let_in[0]?.answer)).join(", ") || "nothing"}`);
  }
  if (refused.length > 0) {
    words.push(`refused ${refused.length} times: ${reason(refused[0]?.answer)}`);
  }
  return words.join("; ");
}

function reason(answer: unknown): string {
  const told = typeof answer === "string" ? answer : String((answer as { message?: unknown } | null)?.message ?? answer);
  return told.length > 140 ? `${told.slice(0, 140)} …` : told;
}
