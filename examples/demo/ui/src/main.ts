import { onSessionChange, trackActivity, type Session } from "tauri-plugin-otpless-api";

import { setUpActions, showActions } from "./actions.js";
import { byId, setText } from "./dom.js";
import { setUpErrorView, showError } from "./error-view.js";
import { log } from "./event-log.js";
import { demoConfig, type DemoConfig } from "./host.js";
import { describeChange } from "./session-changes.js";
import { setUpRehearsal } from "./rehearsal.js";
import { setUpSessionView, showSession, showWhy } from "./session-view.js";
import { setUpSignIn, showSignIn } from "./sign-in.js";
import { sample, setUpTimeline } from "./timeline/view.js";

async function start(): Promise<void> {
  setUpErrorView();
  setUpSessionView();
  const config = await demoConfig();
  introduce(config);
  // First of all: it decides what time it is.
  await setUpRehearsal(config);
  setUpActions(config);
  setUpSignIn(config);

  trackActivity({ onError: (error) => log(`Activity could not be reported (${error.kind}).`, "bad") });
  // The second window has no permission for the diagnostics.
  const watching = config.window === "main";
  if (watching) {
    setUpTimeline(showWhy);
  }
  let before: Session | undefined;
  await onSessionChange(
    (session) => {
      showSession(session);
      showActions(session);
      showSignIn(session);
      for (const change of describeChange(before, session)) {
        log(change, session.status === "active" ? "good" : "plain");
      }
      before = session;
      if (watching) {
        void sample();
      }
    },
    { onError: (error) => showError("Asking for the session", error) },
  );
}

function introduce({ service, local, relay, window }: DemoConfig): void {
  const through = relay === null ? "" : `, through the relay at ${relay}`;
  setText(byId("service"), `${local ? "Local OTPless" : "OTPless"} at ${service}${through}`);
  setText(byId("window-name"), window === "main" ? "Main window" : "Second window");
  if (window === "second") {
    document.title += ", second window";
  }
}

start().catch((error: unknown) => showError("Starting the page", error));
