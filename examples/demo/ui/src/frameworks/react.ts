import { createElement as h, type ReactElement } from "react";
import { createRoot } from "react-dom/client";
import { logout } from "tauri-plugin-otpless-api";
import { SessionProvider, useSession } from "tauri-plugin-otpless-api/react";

function Card(): ReactElement {
  const { status, isSignedIn, session } = useSession();
  return h(
    "div",
    null,
    h("h2", null, "React"),
    h("p", { "data-testid": "react-status", "data-value": status }, status),
    isSignedIn && h("p", { "data-testid": "react-user" }, session.userId),
    isSignedIn && h("button", { type: "button", "data-testid": "react-sign-out", onClick: () => void logout() }, "Sign out"),
  );
}

export function mountReact(place: HTMLElement): void {
  createRoot(place).render(h(SessionProvider, null, h(Card)));
}
