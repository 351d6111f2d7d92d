import { isErrorPayload, OtplessError } from "./errors.js";

/**
 * What a rejected `invoke` carried, as an {@link OtplessError}.
 *
 * Only the plugin's own payloads keep their message. Everything else is described in our own words, because an
 * answer nobody foresaw may quote the arguments of the call, and those can hold tokens.
 */
export function toOtplessError(raw: unknown, command: InvokedCommand): OtplessError {
  if (raw instanceof OtplessError) {
    return raw;
  }
  if (isErrorPayload(raw)) {
    const { kind, message, retryable, code } = raw;
    return new OtplessError(code === undefined ? { kind, message, retryable } : { kind, message, retryable, code });
  }
  return typeof raw === "string" ? fromTauri(raw, command) : internal(unforeseen(command));
}

/** What was called, as far as an error message needs to know. */
export interface InvokedCommand {
  /** The plugin's name as in `plugin:NAME|command`. */
  plugin: string;
  /** The command, in snake_case. */
  name: string;
  /** The permission that allows it. */
  permission: string;
}

/** A defect, described in our own words. */
export function internal(message: string): OtplessError {
  return new OtplessError({ kind: "internal", message, retryable: false });
}

/** An argument that need not be sent to be refused. */
export function invalidArgument(message: string): OtplessError {
  return new OtplessError({ kind: "invalidArgument", message, retryable: false });
}

/** Tauri itself rejects with plain strings, worded differently in debug and in release builds. */
function fromTauri(raw: string, command: InvokedCommand): OtplessError {
  const { plugin, name, permission } = command;
  if (new RegExp(`^plugin ${plugin} not found`, "i").test(raw) || raw.includes("Plugin not found")) {
    return internal(
      `${plugin} is not registered with this app: add .plugin(tauri_plugin_${plugin}::init()) to the Tauri builder`,
    );
  }
  if (/command \S+ not found/i.test(raw) || raw.includes("Command not found")) {
    return internal(
      `the app's version of the ${plugin} plugin has no command ${name}: ` +
        "bring the plugin and tauri-plugin-otpless-api to the same version",
    );
  }
  if (/\bnot allowed\b/.test(raw) || /\bexplicitly denied\b/.test(raw)) {
    return new OtplessError({
      kind: "notPermitted",
      message:
        `this window may not call ${name}: add "${permission}" to the permissions of a capability that ` +
        "covers the window (src-tauri/capabilities), and see that no capability denies it",
      retryable: false,
    });
  }
  const argument = /^invalid args `(\w{1,40})` for command/.exec(raw)?.[1];
  if (argument !== undefined) {
    return invalidArgument(`${name} does not accept the value of ${argument}`);
  }
  return internal(unforeseen(command));
}

function unforeseen({ plugin, name }: InvokedCommand): string {
  return (
    `${name} of the ${plugin} plugin failed in a way this package does not know; ` +
    "what came back is left out because it could hold secrets. The app's own log may say more"
  );
}
