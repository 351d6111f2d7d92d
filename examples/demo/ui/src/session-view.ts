import type { Diagnostics, Session } from "tauri-plugin-otpless-api";

import { now } from "./clock.js";
import { byId, setText, show } from "./dom.js";
import { everySecond, moment, remaining } from "./time.js";
import { why } from "./why.js";
import { END_REASON, STATUS, STATUS_EXPLAINED, STORAGE, STORAGE_EXPLAINED, STORAGE_WITHOUT_SESSION } from "./words.js";

const DEADLINES = [
  ["expires-at", "expiresAt", "not known"],
  ["refresh-expires-at", "refreshExpiresAt", "not known"],
  ["inactivity-deadline", "inactivityDeadline", "off"],
  ["lifetime-deadline", "lifetimeDeadline", "off"],
] as const satisfies readonly (readonly [testId: string, field: keyof Session, absent: string])[];

/** From here on a countdown stands out. */
const SOON_MS = 60_000;

let shown: Session | undefined;

export function setUpSessionView(): void {
  everySecond(countDown);
}

export function isSignedIn({ status }: Session): boolean {
  return status === "active" || status === "stale";
}

export function showSession(session: Session): void {
  const warned = shown?.expiringAt !== undefined;
  shown = session;
  const signedIn = isSignedIn(session);

  show(byId("status"), STATUS[session.status], session.status);
  show(byId("storage"), (signedIn ? STORAGE : STORAGE_WITHOUT_SESSION)[session.storage], session.storage);
  show(byId("revision"), String(session.revision), String(session.revision));
  const explained = [
    STATUS_EXPLAINED[session.status],
    signedIn || session.storage === "unavailable" ? STORAGE_EXPLAINED[session.storage] : "",
  ];
  setText(byId("status-explained"), explained.filter(Boolean).join(" "));

  const { endReason } = session;
  show(byId("end-reason"), endReason ? END_REASON[endReason] : "", endReason ?? "");
  byId("end-reason").hidden = signedIn || endReason === undefined;

  showUser(session);
  byId("deadlines").hidden = !signedIn;
  byId("warning").hidden = session.expiringAt === undefined;
  if (session.expiringAt !== undefined && !warned) {
    // Said once; a countdown that is read out every second would be no help.
    setText(byId("announcement"), `You will be signed out at ${moment(session.expiringAt)} unless you do something.`);
  } else if (session.expiringAt === undefined) {
    setText(byId("announcement"), "");
  }
  countDown();
}

/** Why the session is not as one would like it, as far as the diagnostics that belong to it can tell. */
export function showWhy(session: Session, report: Diagnostics): void {
  const reason = why(session, report);
  show(byId("why"), reason?.sentences.join(" ") ?? "", reason?.cause ?? "");
  byId("why").hidden = reason === undefined;
}

function showUser(session: Session): void {
  const user = byId("user");
  user.hidden = !isSignedIn(session);
  user.dataset["value"] = session.userId ?? "";
  const { name, phoneNumber, email } = session.claims ?? {};
  const phone = phoneNumber === undefined ? undefined : `+${phoneNumber.replace(/^\+/, "")}`;
  const called = name ?? phone ?? email ?? "Signed in";
  setText(byId("user-name"), called);
  setText(byId("avatar"), name?.trim().charAt(0).toUpperCase() || "✓");
  setText(byId("user-contact"), [phone, email].filter((contact) => contact && contact !== called).join(" · "));
  setText(byId("user-id"), session.userId ?? "");
}

function countDown(): void {
  if (!shown) {
    return;
  }
  for (const [testId, field, absent] of DEADLINES) {
    const element = document.querySelector<HTMLElement>(`[data-testid="${testId}"]`);
    if (element) {
      showDeadline(element, shown[field], absent);
    }
  }
  showDeadline(byId("warning-countdown"), shown.expiringAt, "");
}

function showDeadline(element: HTMLElement, at: number | undefined, absent: string): void {
  show(element, at === undefined ? absent : remaining(at), at === undefined ? "" : String(at));
  element.classList.toggle("soon", at !== undefined && at - now() <= SOON_MS);
  element.title = at === undefined ? "" : moment(at);
}
