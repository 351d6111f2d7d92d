import type { Diagnostics, Exchange } from "tauri-plugin-otpless-api";

import { byId, create, setText } from "./dom.js";
import { moment } from "./time.js";
import { STORAGE } from "./words.js";

export function showDiagnostics(report: Diagnostics): void {
  const { counters } = report;
  const rows: [string, string][] = [
    ["Keychain", report.backend],
    ["Storage", STORAGE[report.storage]],
    ["Keychain's last problem", report.storageError ?? "none"],
    ["Looks again", at(report.nextWakeAt)],
    ["Last looked at once", at(report.lastLookAt)],
    ["Renewal due", at(report.nextRefreshAt)],
    ["Last renewal", exchange(report.lastRefresh)],
    ["Last check with OTPless", exchange(report.lastVerify)],
    ["Last fetch of its keys", exchange(report.lastKeyFetch)],
    ["Clock difference", report.clockSkewMs === 0 ? "none" : `${(report.clockSkewMs / 1000).toFixed(1)} s`],
    ["Revocations waiting", String(report.pendingRevocations)],
    ["Revocations delivered", String(counters.revocationsDelivered)],
    ["Renewals", `${counters.refreshes}, and ${counters.refreshFailures} that failed`],
    ["Checks with OTPless", String(counters.heartbeats)],
    ["Requests in all", String(counters.requests)],
  ];
  byId("diagnostics-list").replaceChildren(
    ...rows.flatMap(([name, value]) => [create("dt", name), create("dd", value)]),
  );
  setText(byId("diagnostics-json"), JSON.stringify(report, null, 2));
  byId("diagnostics-output").hidden = false;
}

function at(time: number | undefined): string {
  return time === undefined ? "—" : moment(time);
}

function exchange(last: Exchange | undefined): string {
  if (!last) {
    return "none yet";
  }
  return last.ok ? `${moment(last.at)}, fine` : `${moment(last.at)}, ${last.error?.message ?? "failed"}`;
}
