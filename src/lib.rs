//! OTPless session management for Tauri.
//!
//! After a sign-in with [OTPless](https://otpless.com) an app holds three values: a session id, a short-lived session
//! token and a long-lived refresh token. This plugin keeps them in the operating system's keychain, renews the session
//! before it expires, ends it when it should be over, and lets the page know who is signed in without ever giving it a
//! token.
//!
//! ```no_run
//! tauri::Builder::default()
//!     .plugin(tauri_plugin_store::Builder::default().build())
//!     .plugin(tauri_plugin_otpless::init());
//! ```
//!
//! Pages call the commands through the npm package `tauri-plugin-otpless-api`; Rust code has the same through
//! [`OtplessExt::otpless`]. How a session lives is told in [`session`]; the README has the tables of settings,
//! permissions and errors.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod activity_log;
mod api;
mod arguments;
mod caller;
mod clock;
mod commands;
pub mod config;
mod digest;
mod error;
mod events;
mod fetch;
mod fetch_commands;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod jwt;
mod lock_file;
mod plugin_store;
#[cfg(debug_assertions)]
mod rehearsal;
mod runtime;
mod secret;
pub mod session;
mod single_flight;
mod store;
mod sync;
mod wiped_json;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tauri::{
    AppHandle, Manager, RunEvent, Runtime, WindowEvent,
    plugin::{PluginApi, TauriPlugin},
    webview::PageLoadEvent,
};

use activity_log::ActivityLog;
use api::{ClientApi, RelayApi, SessionApi, http::HttpClient};
use clock::{Clock, SystemClock};
use jwt::JwksVerifier;
use store::KeychainStore;

pub use api::{Identity, SessionDetails};
pub use clock::Timestamp;
pub use config::{Config, Mode};
pub use error::{Error, ErrorKind, Result};
pub use events::{SESSION_CHANGED, SessionChanged};
#[cfg(feature = "middleware")]
pub use fetch::SessionMiddleware;
pub use fetch::{Attach, CookieValue};
#[cfg(debug_assertions)]
pub use rehearsal::Rehearsal;
pub use secret::SessionToken;
pub use session::{SessionManager, ValidToken, snapshot::*};

/// The version of reqwest whose requests [`SessionManager::authorize`] takes.
pub use reqwest;
/// The version of reqwest-middleware that [`SessionMiddleware`] is for.
#[cfg(feature = "middleware")]
pub use reqwest_middleware;

/// The engine without Tauri: its parts, the traits between them and the real ones behind the traits.
///
/// Apps need none of this. It is what the plugin puts together at start, and what tests put together differently.
pub mod engine {
    pub use crate::{
        BoxFuture,
        activity_log::{ActivityLog, MemoryActivityLog},
        api::{
            Answer, ApiError, ClientApi, Credentials, Refreshed, RelayApi, RelayHeaders, SessionApi, Verdict,
            http::HttpClient,
            sign_in::{MAX_SIGN_IN_BYTES, SignIn},
            transport::{Request, Response, Transport, Unreachable},
        },
        clock::{Clock, SystemClock, Timestamp},
        fetch::{
            AnswerBody, Ask, Desk, Entry, Head, IDLE, Kind, MAX_OPEN, MAX_UNDER_WAY, Owner, PAGES_SHARE,
            SPARED, Scope,
        },
        jwt::{Claims, Expected, Fetched, JwksVerifier, KeySource, TokenVerifier, Unverified},
        runtime::{Job, Runtime, Serial},
        secret::{RefreshToken, SessionId, SessionToken, Tokens},
        session::{MakeStore, Parts, SessionManager, activity::Policy},
        store::{
            KeychainStore, MemoryStore, SessionStore, Slot, StoreError,
            record::{RECORD_VERSION, SessionRecord, SignInId, Unreadable},
        },
    };
}

/// How long closing the app waits at most for an exchange that is under way.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// A boxed future: what the object-safe traits answer with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The plugin with the settings of `plugins.otpless` in tauri.conf.json.
pub fn init<R: Runtime>() -> TauriPlugin<R, Option<Config>> {
    Builder::new().build()
}

/// The plugin with settings made in code. They win over those of tauri.conf.json.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: Config,
    #[cfg(debug_assertions)]
    rehearsal: Option<Rehearsal>,
}

impl Builder {
    /// A builder that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The app id of the OTPless dashboard; `plugins.otpless.appId`.
    #[must_use]
    pub fn app_id(mut self, app_id: impl Into<String>) -> Self {
        self.config.app_id = Some(app_id.into());
        self
    }

    /// Who the app talks to; `plugins.otpless.mode`, by default OTPless itself.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config.mode = Some(mode);
        self
    }

    /// Base URL of the relay; `plugins.otpless.relayUrl`, required in [`Mode::Relay`].
    #[must_use]
    pub fn relay_url(mut self, url: impl Into<String>) -> Self {
        self.config.relay_url = Some(url.into());
        self
    }

    /// One more header for every call to the relay. Any set here take the place of `plugins.otpless.relayHeaders`.
    ///
    /// A header in an app is public. OTPless's client id and secret are refused.
    #[must_use]
    pub fn relay_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.relay_headers =
            Some(self.config.relay_headers.take().unwrap_or_default().with(name, value));
        self
    }

    /// Base URL of the client API; `plugins.otpless.apiUrl`, by default [`config::DEFAULT_API_URL`].
    #[must_use]
    pub fn api_url(mut self, url: impl Into<String>) -> Self {
        self.config.api_url = Some(url.into());
        self
    }

    /// URL of the key set; `plugins.otpless.jwksUrl`, by default [`config::DEFAULT_JWKS_URL`].
    #[must_use]
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.config.jwks_url = Some(url.into());
        self
    }

    /// URL of the issuer's `openid-configuration`, which says where the key set is; `plugins.otpless.discoveryUrl`, off by
    /// default. Not together with [`jwks_url`](Self::jwks_url).
    #[must_use]
    pub fn discovery_url(mut self, url: impl Into<String>) -> Self {
        self.config.discovery_url = Some(url.into());
        self
    }

    /// The `iss` every token must carry; `plugins.otpless.issuer`, by default [`config::DEFAULT_ISSUER`].
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.config.issuer = Some(issuer.into());
        self
    }

    /// Ends a session in which nobody did anything for this long; `plugins.otpless.inactivityTimeout`, off by default.
    /// Whole seconds.
    #[must_use]
    pub fn inactivity_timeout(mut self, timeout: Duration) -> Self {
        self.config.inactivity_timeout = Some(timeout.as_secs());
        self
    }

    /// How long before that the app is warned; `plugins.otpless.inactivityWarning`, by default 60 s. Whole seconds.
    #[must_use]
    pub fn inactivity_warning(mut self, warning: Duration) -> Self {
        self.config.inactivity_warning = Some(warning.as_secs());
        self
    }

    /// Ends a session this long after sign-in, whatever happens; `plugins.otpless.maxLifetime`, off by default. Whole
    /// seconds.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.max_lifetime = Some(lifetime.as_secs());
        self
    }

    /// How calls to the app's own backend carry the session; `plugins.otpless.fetch`, by default
    /// [`FetchConfig::bearer`](config::FetchConfig::bearer).
    #[must_use]
    pub fn fetch(mut self, fetch: config::FetchConfig) -> Self {
        self.config.fetch = Some(fetch);
        self
    }

    /// Puts the plugin's clock and keychain into the hands of `rehearsal`, to watch how the app takes a lock or a sleep
    /// of hours. Against real sessions it is what its name says: whoever holds the handle decides what time it is.
    ///
    /// In builds with debug assertions only.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn dangerous_rehearsal(mut self, rehearsal: Rehearsal) -> Self {
        self.rehearsal = Some(rehearsal);
        self
    }

    /// The plugin. Settings that make no sense stop the app at start with a message that names the key.
    pub fn build<R: Runtime>(self) -> TauriPlugin<R, Option<Config>> {
        tauri::plugin::Builder::<R, Option<Config>>::new("otpless")
            .invoke_handler(tauri::generate_handler![
                commands::get_session,
                commands::logout,
                commands::record_activity,
                commands::verify_session,
                commands::refresh_session,
                commands::start_session,
                commands::get_session_token,
                commands::get_session_details,
                commands::diagnostics,
                fetch_commands::fetch,
                fetch_commands::fetch_write,
                fetch_commands::fetch_send,
                fetch_commands::fetch_read,
                fetch_commands::fetch_cancel,
            ])
            .setup(move |app, api| {
                let (manager, http) = start(app, &api, self)?;
                app.manage(fetch::Desk::new(manager.clone(), http));
                app.manage(manager);
                Ok(())
            })
            .on_page_load(|webview, page| {
                // Nobody is left to read what the page before has asked for.
                if page.event() == PageLoadEvent::Started {
                    webview.state::<fetch::Desk>().page_left(webview.label());
                }
            })
            .on_event(|app, event| {
                // Coming to a window is something a person does (rule 8).
                match event {
                    RunEvent::WindowEvent { event: WindowEvent::Focused(true), .. } => {
                        app.otpless().record_activity();
                        app.otpless().look();
                    }
                    RunEvent::WindowEvent { label, event: WindowEvent::Destroyed, .. } => {
                        app.state::<fetch::Desk>().window_closed(label);
                    }
                    RunEvent::Resumed => app.otpless().look(),
                    RunEvent::Exit => {
                        // The server may have spent the old refresh token already: the new one must be stored first.
                        tauri::async_runtime::block_on(app.otpless().settle(EXIT_WAIT));
                    }
                    _ => {}
                }
            })
            .build()
    }
}

/// Puts the parts together and starts the background task; does no I/O that could delay the app's `setup`.
fn start<R: Runtime>(
    app: &AppHandle<R>,
    api: &PluginApi<R, Option<Config>>,
    builder: Builder,
) -> Result<(SessionManager, HttpClient)> {
    let config = api.config().clone().unwrap_or_default().overridden_by(builder.config);
    let settings = config::Settings::try_from(config)?;
    let activity_log: Arc<dyn ActivityLog> = Arc::new(plugin_store::PluginStore::open(app)?);
    let http = HttpClient::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let runtime = tauri::async_runtime::handle().inner().clone();
    let identifier = app.config().identifier.clone();
    let make_store: session::MakeStore = Box::new(move || Box::new(KeychainStore::new(identifier.clone())));
    #[cfg(debug_assertions)]
    let (clock, make_store) = match &builder.rehearsal {
        Some(rehearsal) => (rehearsal.clock(clock), rehearsal.store(make_store)),
        None => (clock, make_store),
    };
    let verifier = JwksVerifier::new(
        jwt::Expected { issuer: settings.issuer, app_id: settings.app_id.clone() },
        settings.keys,
        http.clone(),
        clock.clone(),
        activity_log.clone(),
        Arc::new(runtime.clone()),
    );
    let session_api: Arc<dyn SessionApi> = match settings.server {
        config::Server::Direct(url) => Arc::new(ClientApi::new(http.clone(), url, &settings.app_id)),
        config::Server::Relay(url, headers) => Arc::new(RelayApi::new(http.clone(), url, headers)?),
    };
    let manager = SessionManager::new(session::Parts {
        policy: settings.policy,
        clock,
        api: session_api,
        verifier: Arc::new(verifier),
        make_store,
        activity_log,
        lock_directory: app.path().app_local_data_dir().ok(),
        random: Arc::new(random),
        runtime: Arc::new(runtime.clone()),
        attach: settings.attach,
    });
    runtime.spawn(events::forward(app.clone(), manager.subscribe()));
    runtime.spawn(manager.clone().run());
    #[cfg(debug_assertions)]
    if let Some(rehearsal) = builder.rehearsal {
        runtime.spawn(rehearsal.announce_to(manager.clone()));
    }
    Ok((manager, http))
}

/// Requirement E5, checked by the compiler in every release build: with a `dangerous_rehearsal` of its own the builder
/// would not take the trait's, and this call would lack an argument.
#[cfg(not(debug_assertions))]
const _: fn(Builder) = {
    trait WithoutRehearsal: Sized {
        fn dangerous_rehearsal(self) {}
    }
    impl WithoutRehearsal for Builder {}
    |builder| builder.dangerous_rehearsal()
};

/// For jitter. Without randomness there is none, and nothing breaks.
fn random() -> u32 {
    use ring::rand::{SecureRandom, SystemRandom};

    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

/// The session, from Rust.
pub trait OtplessExt<R: Runtime> {
    /// The app's session manager.
    ///
    /// # Panics
    ///
    /// If the plugin has not been registered.
    fn otpless(&self) -> &SessionManager;
}

impl<R: Runtime, T: Manager<R>> OtplessExt<R> for T {
    fn otpless(&self) -> &SessionManager {
        self.state::<SessionManager>().inner()
    }
}
