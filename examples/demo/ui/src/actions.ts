import {
  diagnostics,
  getSessionToken,
  logout,
  recordActivity,
  refreshSession,
  sessionDetails,
  verifySession,
  type Session,
} from "tauri-plugin-otpless-api";

import { callBackend } from "./backend.js";
import { busy } from "./busy.js";
import { hideDetails, showDetails } from "./details-view.js";
import { showDiagnostics } from "./diagnostics-view.js";
import { byId, rescueFocus, show } from "./dom.js";
import { clearError, showError } from "./error-view.js";
import { log } from "./event-log.js";
import { openFrameworksWindow, openHostileWindow, openSecondWindow, type DemoConfig } from "./host.js";
import { isSignedIn } from "./session-view.js";
import { moment } from "./time.js";

/** Of use only while somebody is signed in. */
const NEED_A_SESSION = ["record-activity", "verify", "refresh", "session-token", "session-details", "sign-out"];

export function setUpActions(config: DemoConfig): void {
  onClick("record-activity", "Reporting activity", async () => {
    await recordActivity();
    log("Activity reported.", "good");
  });
  onClick("warning-stay", "Reporting activity", async () => {
    await recordActivity();
    log("Activity reported.", "good");
  });
  onClick("verify", "Verifying", async () => {
    await verifySession();
    log("OTPless says the session is good.", "good");
  });
  onClick("refresh", "Refreshing", async () => {
    await refreshSession();
    log("Refreshed on demand.", "good");
  });
  onClick("session-token", "Getting the session token", showSessionToken);
  onClick("session-details", "Session details", async () => {
    showDetails(await sessionDetails());
    log("OTPless was asked what it knows of the session.");
  });
  byId("session-details").hidden = config.relay === null;
  onClick("diagnostics", "Diagnostics", async () => {
    showDiagnostics(await diagnostics());
    log("Diagnostics fetched.");
  });
  onClick("sign-out", "Signing out", async () => {
    await logout();
  });
  onClick("call-backend", "Calling the backend", callBackend);
  byId("backend").hidden = config.window === "second";
  byId("backend-url", HTMLInputElement).value = `${config.service}/orders`;
  onClick("open-second", "Opening a second window", openSecondWindow);
  onClick("open-hostile", "Opening a hostile page", openHostileWindow);
  onClick("open-frameworks", "Opening a window with three frameworks", openFrameworksWindow);
  for (const opener of ["open-second", "open-hostile", "open-frameworks"]) {
    byId(opener).hidden = config.window === "second";
  }
}

/** Enables what makes sense now. */
export function showActions(session: Session): void {
  const signedIn = isSignedIn(session);
  for (const id of NEED_A_SESSION) {
    const button = byId(id, HTMLButtonElement);
    if (!signedIn) {
      rescueFocus(button);
    }
    button.disabled = !signedIn;
  }
  if (!signedIn) {
    const result = byId("session-token-result");
    show(result, "", "");
    result.hidden = true;
    hideDetails();
  }
}

async function showSessionToken(): Promise<void> {
  const result = byId("session-token-result");
  result.hidden = true;
  const { token, expiresAt } = await getSessionToken();
  show(
    result,
    `A token of ${token.length} characters, good until ${moment(expiresAt)}. The page does not keep it.`,
    String(token.length),
  );
  result.dataset["expiresAt"] = String(expiresAt);
  result.hidden = false;
}

function onClick(id: string, what: string, action: () => Promise<void>): void {
  const button = byId(id, HTMLButtonElement);
  button.addEventListener("click", () => {
    void busy(button, async () => {
      clearError();
      try {
        await action();
      } catch (error) {
        showError(what, error);
      }
    });
  });
}
