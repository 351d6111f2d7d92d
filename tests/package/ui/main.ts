import { invoke } from "@tauri-apps/api/core";
import { getSession, getSessionToken, isOtplessError, type ErrorKind, type Session } from "tauri-plugin-otpless-api";

const session: Session = await getSession();
let refused: { kind: ErrorKind } | undefined;
try {
  await getSessionToken();
} catch (error) {
  if (isOtplessError(error)) refused = { kind: error.kind };
}
await invoke("report", { told: { session, refused } });
