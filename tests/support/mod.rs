//! What the tests share: the real engine against the real local OTPless, with a clock and a store that tests can move.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use otpless_local::{Control, Issued, Operation, OtplessLocal, Settings, SignIn};
use otpless_relay::Relay;
use tauri_plugin_otpless::{
    Attach, Session, SessionStatus, Timestamp,
    engine::{
        ActivityLog, ClientApi, Clock, Expected, HttpClient, JwksVerifier, KeySource, MakeStore,
        MemoryActivityLog, MemoryStore, Parts, Policy, RelayApi, RelayHeaders, Runtime, SessionApi,
        SessionManager, SessionRecord, SessionStore, Slot, SystemClock,
    },
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use url::Url;

mod backend;
mod gate;
mod installed;
mod json;
mod judge;
pub(crate) mod page;
mod process;
mod refusing;
mod relay;

pub(crate) use relay::GATEWAY_KEY;

use process::Process;

pub(crate) use backend::Backend;
pub(crate) use gate::{Gate, Gated};
pub(crate) use installed::Installed;
pub(crate) use json::any_json;
pub(crate) use judge::Judge;
pub(crate) use refusing::{Refused, Refusing, WRITES};

/// Bound on every wait: far more than anything here takes, so that only a real hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The machine's clock, moved.
#[derive(Debug, Default)]
pub(crate) struct ManualClock {
    real: SystemClock,
    moved: Mutex<Moved>,
}

/// How far, in milliseconds; both clocks at once when time passes, or it would look as if one had been set.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    wall: i64,
    monotonic: u64,
    unset: u64,
    /// Whether the machine lacks the clock that nobody can set.
    nothing_unset: bool,
    restarts: u32,
}

impl ManualClock {
    fn moved(&self) -> MutexGuard<'_, Moved> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.real.now().shifted(self.moved().wall)
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic() + Duration::from_millis(self.moved().monotonic)
    }

    fn unset(&self) -> Option<Duration> {
        let moved = *self.moved();
        Some(self.real.unset()? + Duration::from_millis(moved.unset)).filter(|_| !moved.nothing_unset)
    }

    fn boot(&self) -> Option<String> {
        Some(format!("run-{}", self.moved().restarts))
    }
}

/// A device: what survives a restart of the app.
pub(crate) struct Device {
    pub(crate) otpless: OtplessLocal,
    pub(crate) control: Control,
    pub(crate) store: MemoryStore,
    pub(crate) log: Arc<MemoryActivityLog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) policy: Policy,
    /// How calls to the app's own backend carry the session.
    pub(crate) attach: Attach,
    /// How much time has been made to pass, which is true for the server whatever the machine's clock says.
    passed_ms: AtomicI64,
    directory: TempDir,
    relay: Option<Relay>,
    /// Where the relay is or was; `None`: the app talks to OTPless itself.
    relay_url: Option<String>,
}

impl Device {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let otpless = OtplessLocal::start(settings).await.expect("the local OTPless starts");
        Self {
            control: otpless.state(),
            otpless,
            store: MemoryStore::new(),
            log: Arc::default(),
            clock: Arc::default(),
            policy: Policy::default(),
            attach: Attach::default(),
            passed_ms: AtomicI64::new(0),
            directory: TempDir::new().expect("a temporary directory"),
            relay: None,
            relay_url: None,
        }
    }

    /// The app starts.
    pub(crate) fn start(&self) -> App {
        let store = self.store.clone();
        self.start_with(move || Box::new(store.clone()))
    }

    /// The app starts, shows its session and is killed.
    pub(crate) async fn glance(&self) -> Session {
        let app = self.start();
        let session = app.session().await;
        app.kill().await;
        session
    }

    pub(crate) fn start_with(&self, make: impl Fn() -> Box<dyn SessionStore> + Send + Sync + 'static) -> App {
        self.start_with_parts(Box::new(make), |api| api, self.log.clone())
    }

    /// The app starts with a store and a server's client of the test's, the latter around the real one.
    pub(crate) fn start_with_api(
        &self,
        make: impl Fn() -> Box<dyn SessionStore> + Send + Sync + 'static,
        wrap: impl FnOnce(Arc<dyn SessionApi>) -> Arc<dyn SessionApi>,
    ) -> App {
        self.start_with_parts(Box::new(make), wrap, self.log.clone())
    }

    /// The app starts with another activity log than the device's.
    pub(crate) fn start_with_log(&self, log: Arc<dyn ActivityLog>) -> App {
        let store = self.store.clone();
        self.start_with_parts(Box::new(move || Box::new(store.clone())), |api| api, log)
    }

    fn start_with_parts(
        &self,
        make_store: MakeStore,
        wrap: impl FnOnce(Arc<dyn SessionApi>) -> Arc<dyn SessionApi>,
        log: Arc<dyn ActivityLog>,
    ) -> App {
        let http = HttpClient::new().expect("an HTTP client");
        let process = Arc::new(Process::new());
        let verifier = self.verifier(self.key_set(), log.clone(), process.clone());
        let api: Arc<dyn SessionApi> = match &self.relay_url {
            None => Arc::new(ClientApi::new(http, self.url(""), &self.otpless.settings().app_id)),
            Some(relay) => {
                let headers = RelayHeaders::default().with("x-api-key", GATEWAY_KEY);
                let base = relay.parse().expect("a URL");
                Arc::new(RelayApi::new(http, base, headers).expect("good headers"))
            }
        };
        let manager = SessionManager::new(Parts {
            policy: self.policy,
            clock: self.clock.clone(),
            api: wrap(api),
            verifier: Arc::new(verifier),
            make_store,
            activity_log: log,
            lock_directory: Some(self.lock_directory()),
            random: Arc::new(|| 0),
            runtime: process.clone(),
            attach: self.attach.clone(),
        });
        process.spawn(Box::pin(manager.clone().run()));
        App { manager, process }
    }

    /// A verifier alone, with the device's clock.
    pub(crate) fn verifier(
        &self,
        source: KeySource,
        log: Arc<dyn ActivityLog>,
        runtime: Arc<dyn Runtime>,
    ) -> JwksVerifier {
        JwksVerifier::new(
            Expected { issuer: "https://otpless.com".into(), app_id: self.otpless.settings().app_id },
            source,
            HttpClient::new().expect("an HTTP client"),
            self.clock.clone(),
            log,
            runtime,
        )
    }

    /// Where the server's keys are.
    pub(crate) fn key_set(&self) -> KeySource {
        KeySource::KeySet(self.url("/.well-known/jwks"))
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.otpless.url()).parse().expect("a URL")
    }

    /// The calls by themselves, without an engine.
    pub(crate) fn api(&self) -> ClientApi {
        let http = HttpClient::new().expect("an HTTP client");
        ClientApi::new(http, self.url(""), &self.otpless.settings().app_id)
    }

    pub(crate) fn lock_directory(&self) -> PathBuf {
        self.directory.path().join("locks")
    }

    /// A sign-in on the server, as the SDK would hand it to the page.
    pub(crate) fn issue(&self) -> Issued {
        self.control.sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() })
    }

    /// The app starts and somebody signs in.
    pub(crate) async fn signed_in(&self) -> (App, Issued) {
        let app = self.start();
        let issued = self.issue();
        let session = app.start_session(issued.web()).await.expect("the sign-in is accepted");
        assert_eq!(session.status, SessionStatus::Active);
        (app, issued)
    }

    /// What stands in the store.
    pub(crate) fn stored(&self) -> Option<SessionRecord> {
        let bytes = self.store.peek(Slot::Session)?;
        Some(SessionRecord::from_bytes(&bytes).expect("a readable record"))
    }

    /// Time passes while the machine is awake: here, on both clocks, and on the server.
    pub(crate) fn time_passes(&self, by: Duration) {
        self.pass(by, by);
    }

    /// Somebody sets the machine's clock to `seconds` off the server's.
    pub(crate) fn clock_is_set(&self, seconds: i64) {
        let right = self.passed_ms.load(Ordering::SeqCst);
        self.clock.moved().wall = right + seconds * 1000;
    }

    /// The machine has only clocks that can be set or that stand still in a sleep.
    pub(crate) fn has_no_unset_clock(&self) {
        self.clock.moved().nothing_unset = true;
    }

    /// The machine is started anew; the app's processes have been killed. The clock that nobody sets begins anywhere: here
    /// `ahead` of where it was.
    pub(crate) fn machine_restarts(&self, ahead: Duration) {
        let mut moved = self.clock.moved();
        moved.restarts += 1;
        moved.unset += ahead.as_millis() as u64;
    }

    /// Both between two looks of the engine, which can only see what comes of them together.
    pub(crate) fn machine_sleeps_and_clock_is_set(&self, by: Duration, seconds: i64) {
        let ms = by.as_millis() as i64;
        let right = self.passed_ms.fetch_add(ms, Ordering::SeqCst) + ms;
        self.control.set_clock_offset(right);
        let mut moved = self.clock.moved();
        moved.wall = right + seconds * 1000;
        moved.unset += ms as u64;
    }

    /// Time passes while the machine sleeps: its monotonic clock stands still.
    pub(crate) fn machine_sleeps(&self, by: Duration) {
        self.pass(by, Duration::ZERO);
    }

    fn pass(&self, by: Duration, awake: Duration) {
        let ms = by.as_millis() as i64;
        self.control.set_clock_offset(self.passed_ms.fetch_add(ms, Ordering::SeqCst) + ms);
        let mut moved = self.clock.moved();
        moved.wall += ms;
        moved.monotonic += awake.as_millis() as u64;
        moved.unset += ms as u64;
    }
}

/// A running app. Dropping it ends it soon, [`kill`](Self::kill) at once.
pub(crate) struct App {
    manager: SessionManager,
    process: Arc<Process>,
}

impl std::ops::Deref for App {
    type Target = SessionManager;

    fn deref(&self) -> &SessionManager {
        &self.manager
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.process.killed());
    }
}

impl App {
    /// The process is killed: nothing of it runs when this returns, but for a call to the keychain that had begun.
    pub(crate) async fn kill(self) {
        self.process.killed().shutdown().await;
    }

    /// A refresh whose answer is on its way until the gate is opened: the server has done its part.
    pub(crate) async fn refresh_held_up(
        &self,
        control: &Control,
    ) -> (otpless_local::Gate, JoinHandle<tauri_plugin_otpless::Result<Session>>) {
        let gate = control.pause(Operation::Refresh);
        let manager = self.manager.clone();
        let refresh = tokio::spawn(async move { manager.refresh().await });
        gate.held(1).await;
        (gate, refresh)
    }

    pub(crate) async fn until(&self, what: &str, wanted: impl FnMut(&Session) -> bool) -> Session {
        until(self, what, wanted).await
    }

    pub(crate) async fn until_status(&self, status: SessionStatus) -> Session {
        self.until(&format!("{status:?}"), |session| session.status == status).await
    }
}

/// Waits until the session is as `wanted`, looking whenever it changes.
pub(crate) async fn until(
    manager: &SessionManager,
    what: &str,
    mut wanted: impl FnMut(&Session) -> bool,
) -> Session {
    let mut sessions = manager.subscribe();
    match tokio::time::timeout(PATIENCE, sessions.wait_for(|session| wanted(session))).await {
        Ok(Ok(session)) => session.clone(),
        _ => panic!("waited in vain for {what}; the session is {:?}", manager.current()),
    }
}

/// Waits for something that nothing announces.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for {what}");
}

/// These tests are about the real keychain, but not about anybody's own: they run on the throw-away desktop of xtask, and
/// elsewhere they fail instead of passing over nothing.
pub(crate) fn require_keychain() {
    assert!(
        cfg!(not(target_os = "linux")) || std::env::var_os("OTPLESS_THROWAWAY_HOME").is_some(),
        "this test writes to a keychain: run `cargo xtask test`, which makes one and throws it away"
    );
}
