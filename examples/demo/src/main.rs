//! The demo app: the life of an OTPless session in a window, from sign-in to logout.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `OTPLESS_DEMO_SERVICE` | where OTPless is: the local one's address, or `https://otpless.com` | `http://127.0.0.1:8787` |
//! | `OTPLESS_DEMO_APP_ID` | the app id of the OTPless dashboard | the local one's |
//! | `OTPLESS_DEMO_RELAY` | the address of `examples/relay`: the app talks to it and not to OTPless | none |
//! | `OTPLESS_DEMO_INACTIVITY` | inactivity timeout in seconds | from tauri.conf.json |
//! | `OTPLESS_DEMO_MAX_LIFETIME` | maximum lifetime in seconds | from tauri.conf.json |
//! | `OTPLESS_DEMO_KEYCHAIN` | `locked`: the keychain is when the app starts; debug builds beside the local OTPless only | as it is |
//! | `RUST_LOG` | what is logged to stderr, as `target=level,…` | `warn,tauri_plugin_otpless=info` |

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod commands;
mod logging;
#[cfg(debug_assertions)]
mod rehearsal;
mod settings;

use std::process::ExitCode;

use settings::Settings;

fn main() -> ExitCode {
    let settings = match Settings::from_variables(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(problem) => {
            eprintln!("otpless-demo: {problem}");
            return ExitCode::from(2);
        }
    };
    logging::start();

    let otpless = otpless(&settings);
    let app = tauri::Builder::default();
    #[cfg(debug_assertions)]
    let (app, otpless) = rehearsal::add(app, otpless, &settings);
    let outcome = app
        // Before the plugin, which keeps the time of the last activity and the key set in it.
        .plugin(tauri_plugin_store::Builder::default().build())
        .plugin(otpless.build())
        .manage(settings)
        .invoke_handler(tauri::generate_handler![
            commands::demo_config,
            commands::open_second_window,
            commands::open_hostile_window,
            commands::open_frameworks_window,
            #[cfg(debug_assertions)]
            rehearsal::rehearsed,
            #[cfg(debug_assertions)]
            rehearsal::rehearse_sleep,
            #[cfg(debug_assertions)]
            rehearsal::rehearse_keychain,
        ])
        .run(tauri::generate_context!());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("otpless-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn otpless(settings: &Settings) -> tauri_plugin_otpless::Builder {
    let mut builder = tauri_plugin_otpless::Builder::new().app_id(&settings.app_id);
    if settings.is_local() {
        builder = builder.jwks_url(format!("{}/.well-known/jwks", settings.service));
    }
    if let Some(relay) = &settings.relay {
        builder = builder.mode(tauri_plugin_otpless::Mode::Relay).relay_url(relay);
    } else if settings.is_local() {
        builder = builder.api_url(&settings.service);
    }
    if let Some(timeout) = settings.inactivity_timeout {
        builder = builder.inactivity_timeout(timeout);
    }
    if let Some(lifetime) = settings.max_lifetime {
        builder = builder.max_lifetime(lifetime);
    }
    builder
}
