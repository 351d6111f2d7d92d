//! The switches of the page's rehearsal panel, as far as the app has a part in them: the machine sleeps, the keychain
//! is locked. The local OTPless has controls of its own, which the page uses by itself.
//!
//! In debug builds beside the local OTPless only: elsewhere no window may call these commands, and a release build does
//! not have them.

use std::time::Duration;

use serde::Serialize;
use tauri::{AppHandle, Emitter, Manager, Runtime, State, command};
use tauri_plugin_otpless::Rehearsal;

use crate::settings::Settings;

/// Told to every window when something was rehearsed, with the [`Rehearsed`] there is now.
const CHANGED: &str = "rehearsal-changed";

/// Grants the commands; not among the capabilities of tauri.conf.json, which a release build has as well.
const CAPABILITY: &str = include_str!("../capabilities/rehearsal.json");

/// Makes the app and its plugin ready for a rehearsal, if the settings allow one.
pub(crate) fn add<R: Runtime>(
    app: tauri::Builder<R>,
    otpless: tauri_plugin_otpless::Builder,
    settings: &Settings,
) -> (tauri::Builder<R>, tauri_plugin_otpless::Builder) {
    if !settings.may_rehearse() {
        return (app, otpless);
    }
    let rehearsal = Rehearsal::new();
    rehearsal.set_keychain_locked(settings.keychain_locked);
    let app = app.manage(rehearsal.clone()).setup(|app| Ok(app.add_capability(CAPABILITY)?));
    (app, otpless.dangerous_rehearsal(rehearsal))
}

/// What has been rehearsed so far.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rehearsed {
    keychain_locked: bool,
    /// How far the app's clock is ahead of the machine's, in milliseconds.
    slept_ms: u64,
}

impl Rehearsed {
    fn of(rehearsal: &Rehearsal) -> Self {
        Self {
            keychain_locked: rehearsal.is_keychain_locked(),
            slept_ms: u64::try_from(rehearsal.slept().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn tell<R: Runtime>(self, app: &AppHandle<R>) -> Result<Self, String> {
        app.emit(CHANGED, &self).map_err(|error| format!("the windows could not be told: {error}"))?;
        Ok(self)
    }
}

#[command]
pub(crate) fn rehearsed(rehearsal: State<'_, Rehearsal>) -> Rehearsed {
    Rehearsed::of(&rehearsal)
}

/// The machine sleeps for `seconds` and wakes up.
#[command]
pub(crate) fn rehearse_sleep(
    app: AppHandle,
    rehearsal: State<'_, Rehearsal>,
    seconds: u32,
) -> Result<Rehearsed, String> {
    rehearsal.sleep(Duration::from_secs(seconds.into()));
    Rehearsed::of(&rehearsal).tell(&app)
}

#[command]
pub(crate) fn rehearse_keychain(
    app: AppHandle,
    rehearsal: State<'_, Rehearsal>,
    locked: bool,
) -> Result<Rehearsed, String> {
    rehearsal.set_keychain_locked(locked);
    Rehearsed::of(&rehearsal).tell(&app)
}
