//! What the demo's pages may ask of the app, beside the plugin's commands.

use serde::Serialize;
use tauri::{AppHandle, Manager, State, WebviewUrl, WebviewWindow, WebviewWindowBuilder, command};

use crate::settings::Settings;

/// The label that `capabilities/second.json` names.
const SECOND_WINDOW: &str = "second";

/// The label that `capabilities/hostile.json` names.
const HOSTILE_WINDOW: &str = "hostile";

/// The label that `capabilities/frameworks.json` names.
const FRAMEWORKS_WINDOW: &str = "frameworks";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DemoConfig {
    service: String,
    app_id: String,
    /// Whether it is the local OTPless.
    local: bool,
    /// Where the relay is, if the app talks to one.
    relay: Option<String>,
    /// The label of the window that asks.
    window: String,
    /// Whether a sleep and a locked keychain can be rehearsed.
    rehearsal: bool,
}

#[command]
pub(crate) fn demo_config(settings: State<'_, Settings>, window: WebviewWindow) -> DemoConfig {
    DemoConfig {
        service: settings.service.clone(),
        app_id: settings.app_id.clone(),
        local: settings.is_local(),
        relay: settings.relay.clone(),
        window: window.label().to_owned(),
        rehearsal: settings.may_rehearse(),
    }
}

// Async because on Windows a window that is made in a synchronous command deadlocks.

#[command]
pub(crate) async fn open_second_window(app: AppHandle) -> Result<(), String> {
    open(&app, SECOND_WINDOW, WebviewUrl::default(), "OTPless session demo, second window")
}

/// A page that tries whatever script could try that got into a page with the plugin's default permissions.
#[command]
pub(crate) async fn open_hostile_window(app: AppHandle) -> Result<(), String> {
    open(&app, HOSTILE_WINDOW, WebviewUrl::App("hostile.html".into()), "A hostile page")
}

/// The session in React, in Vue and in Svelte.
#[command]
pub(crate) async fn open_frameworks_window(app: AppHandle) -> Result<(), String> {
    open(&app, FRAMEWORKS_WINDOW, WebviewUrl::App("frameworks.html".into()), "One session, three frameworks")
}

fn open(app: &AppHandle, label: &str, page: WebviewUrl, title: &str) -> Result<(), String> {
    let outcome = match app.get_webview_window(label) {
        Some(window) => window.set_focus(),
        None => WebviewWindowBuilder::new(app, label, page)
            .title(title)
            .inner_size(720.0, 720.0)
            .min_inner_size(480.0, 420.0)
            .build()
            .map(drop),
    };
    outcome.map_err(|error| format!("the window {label:?} could not be opened: {error}"))
}
