//! A process of an app on somebody's device: the engine with the real keychain and real HTTP, told what to do on
//! standard input and telling on standard output what becomes of it. One JSON object a line, either way.
//!
//! The only argument is a [`Setup`]. Commands carry an `id`, and their end is told as `{"done": id, …}`; every change of
//! the session is told as `{"session": …}`, and a point it stands still at (see [`points`]) as `{"at": …}`. It ends
//! when its input does, so it does not outlive the test that started it.

mod api;
mod bare;
mod clock;
mod commands;
mod log;
mod points;
mod store;

use std::{path::PathBuf, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    Session,
    engine::{
        ActivityLog, ClientApi, Clock, Expected, HttpClient, JwksVerifier, KeychainStore, MakeStore,
        MemoryStore, Parts, Policy, RelayApi, RelayHeaders, SessionApi, SessionManager, Transport,
    },
};
use tokio::runtime::Handle;

use crate::{
    api::WatchedApi, bare::BareTransport, clock::MovedClock, log::FileLog, points::Points,
    store::WatchedStore,
};

/// What a device is, and what its processes share.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Setup {
    /// The server, without a slash at the end.
    url: String,
    /// The app at that server.
    app_id: String,
    /// The name of the keychain entries.
    service: String,
    /// Where the lock files and the activity log are.
    directory: PathBuf,
    /// The file that says how far the device's clock is ahead of the machine's (see [`clock`]).
    clock: PathBuf,
    /// Only looks at the keychain, without an engine that could change it.
    witness: bool,
    /// The app's own backend, if the app speaks to that instead of to the server.
    relay: Option<String>,
    /// Without the keychain and the HTTP client: see [`bare`].
    bare: bool,
}

/// Everything the commands work on.
#[derive(Debug)]
struct Device {
    setup: Setup,
    points: Arc<Points>,
    /// None in a witness.
    manager: Option<SessionManager>,
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let argument = std::env::args().nth(1).expect("the setup as JSON");
    let setup: Setup = serde_json::from_str(&argument).expect("a setup");
    let clock = Arc::new(MovedClock::new(&setup.clock));
    let points = Arc::new(Points::default());
    let manager = (!setup.witness).then(|| {
        if setup.bare {
            let store = MemoryStore::new();
            engine(&setup, clock, points.clone(), || BareTransport, Box::new(move || Box::new(store.clone())))
        } else {
            let http = HttpClient::new().expect("an HTTP client");
            let (service, store_points) = (setup.service.clone(), points.clone());
            let keychain = move || WatchedStore::new(KeychainStore::new(&service), store_points.clone());
            engine(&setup, clock, points.clone(), || http.clone(), Box::new(move || Box::new(keychain())))
        }
    });
    if let Some(manager) = &manager {
        tokio::spawn(tell_sessions(manager.clone()));
        tokio::spawn(manager.clone().run());
    }
    commands::obey(Arc::new(Device { setup, points, manager })).await;
}

/// The parts as the plugin puts them together, with points to stand still at between them.
fn engine<T: Transport>(
    setup: &Setup,
    clock: Arc<MovedClock>,
    points: Arc<Points>,
    transport: impl Fn() -> T,
    make_store: MakeStore,
) -> SessionManager {
    let url = |path: &str| format!("{}{path}", setup.url).parse().expect("a URL");
    let api: Box<dyn SessionApi> = match &setup.relay {
        Some(relay) => {
            let relay = relay.parse().expect("a URL");
            Box::new(RelayApi::new(transport(), relay, RelayHeaders::default()).expect("no bad header"))
        }
        None => Box::new(ClientApi::new(transport(), url(""), &setup.app_id)),
    };
    let clock: Arc<dyn Clock> = clock;
    let log: Arc<dyn ActivityLog> = Arc::new(FileLog::new(&setup.directory));
    let verifier = JwksVerifier::new(
        Expected { issuer: "https://otpless.com".into(), app_id: setup.app_id.clone() },
        url("/.well-known/jwks"),
        transport(),
        clock.clone(),
        log.clone(),
        Arc::new(Handle::current()),
    );
    SessionManager::new(Parts {
        policy: Policy::default(),
        clock,
        api: Arc::new(WatchedApi::new(api, points)),
        verifier: Arc::new(verifier),
        make_store,
        activity_log: log,
        lock_directory: Some(setup.directory.join("locks")),
        // No jitter: processes that never spread by themselves are the hardest on the lock.
        random: Arc::new(|| 0),
        runtime: Arc::new(Handle::current()),
        attach: Default::default(),
    })
}

async fn tell_sessions(manager: SessionManager) {
    let mut sessions = manager.subscribe();
    loop {
        let session = sessions.borrow_and_update().clone();
        say(&json!({ "session": described(&session) }));
        if sessions.changed().await.is_err() {
            return;
        }
    }
}

fn described(session: &Session) -> Value {
    serde_json::to_value(session).expect("a session is JSON")
}

/// One line to whoever started this process; without them there is nothing left to do.
fn say(line: &Value) {
    use std::io::Write;

    let mut output = std::io::stdout().lock();
    if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}
