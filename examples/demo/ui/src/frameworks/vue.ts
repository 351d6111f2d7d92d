import { logout } from "tauri-plugin-otpless-api";
import { useSession } from "tauri-plugin-otpless-api/vue";
import { createApp, defineComponent, h } from "vue";

const Card = defineComponent({
  setup() {
    const { status, isSignedIn, session } = useSession();
    return () =>
      h("div", [
        h("h2", "Vue"),
        h("p", { "data-testid": "vue-status", "data-value": status.value }, status.value),
        isSignedIn.value && h("p", { "data-testid": "vue-user" }, session.value?.userId),
        isSignedIn.value && h("button", { type: "button", "data-testid": "vue-sign-out", onClick: () => void logout() }, "Sign out"),
      ]);
  },
});

export function mountVue(place: HTMLElement): void {
  createApp(Card).mount(place);
}
