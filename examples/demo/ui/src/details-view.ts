import type { Identity, SessionDetails } from "tauri-plugin-otpless-api";

import { byId, create, rescueFocus } from "./dom.js";
import { moment } from "./time.js";

export function showDetails({ userId, startedAt, lastActiveAt, identities, deviceInfo, network }: SessionDetails): void {
  const rows: [string, string][] = [
    ["User", userId],
    ["Began", moment(startedAt)],
    ["OTPless last heard of it", moment(lastActiveAt)],
    ...identities.map((identity): [string, string] => [identity.identityType ?? "Identity", described(identity)]),
    ["Device", known(deviceInfo.browser, deviceInfo.platform, deviceInfo.language)],
    ["Network", known(network.ip, network.timezone)],
  ];
  byId("details-list").replaceChildren(
    ...rows.flatMap(([name, value]) => [create("dt", name), create("dd", value)]),
  );
  const output = byId("details-output");
  output.dataset["value"] = userId;
  output.hidden = false;
}

/** What is known of one session says nothing of the next. */
export function hideDetails(): void {
  const output = byId("details-output");
  rescueFocus(output);
  output.hidden = true;
  output.dataset["value"] = "";
  byId("details-list").replaceChildren();
}

function described({ identityValue, channel, name }: Identity): string {
  return known(identityValue, name, channel && `by ${channel}`);
}

/** OTPless sends what it has, of whatever type: only texts are shown. */
function known(...values: unknown[]): string {
  return values.filter((value) => typeof value === "string").join(", ") || "not known";
}
