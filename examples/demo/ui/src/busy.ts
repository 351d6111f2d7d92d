/**
 * Runs `work` unless the button's last work is still going on. The button stays focusable meanwhile: a disabled one
 * would throw a keyboard user back to the top of the page.
 */
export async function busy(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
  if (button.ariaBusy === "true") {
    return;
  }
  button.ariaBusy = "true";
  try {
    await work();
  } finally {
    button.ariaBusy = "false";
  }
}
