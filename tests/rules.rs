//! The rules of the engine that no single requirement covers. The others have their number at the tests that show them.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use otpless_local::{Fault, Issued, Operation};
use serde_json::Value;
use tauri_plugin_otpless::{
    SessionStatus,
    engine::{ActivityLog, MemoryActivityLog, MemoryStore, SessionManager, SessionStore, Slot, StoreError},
};

use tracing::Level;
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::{App, Device, PATIENCE};

/// Rule 1: reads never wait for a network call, nor for a lock that is held across one.
#[tokio::test(flavor = "multi_thread")]
async fn rule_1_reads_answer_while_the_server_does_not() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.time_passes(Duration::from_secs(24 * 3600 - 10));
    let gate = device.control.pause(Operation::Refresh);
    let refreshing = tokio::spawn({
        let manager = SessionManager::clone(&app);
        async move { manager.refresh().await }
    });
    device.control.wait_for(Operation::Refresh, 1).await;
    assert_eq!(app.current().status, SessionStatus::Active);
    assert_eq!(app.session().await.status, SessionStatus::Active);
    assert!(app.diagnostics().last_refresh.is_none());
    app.record_activity();
    assert!(!refreshing.is_finished(), "all this was answered while the exchange was under way");
    gate.release();
    refreshing.await.expect("no panic").expect("the exchange succeeds");
}

/// An activity log that asks for the session whenever it is written to, as a listener of tauri-plugin-store's events may.
#[derive(Debug, Default)]
struct CuriousLog {
    inner: MemoryActivityLog,
    manager: OnceLock<SessionManager>,
}

impl ActivityLog for CuriousLog {
    fn get(&self, key: &str) -> Option<Value> {
        if let Some(manager) = self.manager.get() {
            manager.current();
        }
        self.inner.get(key)
    }

    fn put(&self, key: &str, value: Value) {
        if let Some(manager) = self.manager.get() {
            manager.current();
            manager.diagnostics();
        }
        self.inner.put(key, value);
    }
}

/// Rule 12: no lock is held while anybody is told: who is told may ask.
#[tokio::test(flavor = "multi_thread")]
async fn rule_12_whoever_is_told_something_may_ask_in_turn() {
    let device = Device::new().await;
    let log = Arc::new(CuriousLog::default());
    let app = device.start_with_log(log.clone());
    log.manager.set(SessionManager::clone(&app)).expect("set once");
    let life = async {
        app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
        device.time_passes(Duration::from_secs(60));
        app.record_activity();
        app.refresh().await.expect("the exchange succeeds");
        app.start_session(device.issue().web()).await.expect("the second sign-in is accepted");
        app.logout().await
    };
    let session = tokio::time::timeout(PATIENCE, life).await.expect("nothing waits for itself");
    assert_eq!(session.status, SessionStatus::SignedOut);
}

/// Whoever writes log lines asks who is signed in, to put it there: the same.
#[test]
fn rule_12_whoever_is_told_by_a_log_line_may_ask_in_turn() {
    struct Curious(Arc<OnceLock<SessionManager>>, Arc<AtomicUsize>);
    impl io::Write for Curious {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if let Some(manager) = self.0.get() {
                manager.current();
                manager.diagnostics();
                self.1.fetch_add(1, Ordering::SeqCst);
            }
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (done, waited) = mpsc::channel();
    // A thread of its own: what waits for itself would hold up a timeout as well.
    thread::spawn(move || {
        let (manager, asked) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
        let writer = {
            let (manager, asked) = (manager.clone(), asked.clone());
            move || Curious(manager.clone(), asked.clone())
        };
        let _heard = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(writer).set_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let device = Device::new().await;
            let app = device.start();
            manager.set(SessionManager::clone(&app)).expect("set once");
            app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
            device.store.fail_all(Some(StoreError::Unavailable("it went away")));
            app.refresh().await.expect("the exchange succeeds");
            app.logout().await;
        });
        done.send(asked.load(Ordering::SeqCst)).expect("somebody waits");
    });
    let asked = waited.recv_timeout(PATIENCE).expect("nothing waits for itself");
    assert!(asked >= 4, "asked {asked} times: signed in, not stored, over, not erased");
}

/// A store that fails at one call, counted from nought, and no other.
#[derive(Clone, Debug)]
struct FailsOnce {
    inner: MemoryStore,
    at: Option<usize>,
    calls: Arc<AtomicUsize>,
}

impl FailsOnce {
    fn passes(&self) -> Result<(), StoreError> {
        match Some(self.calls.fetch_add(1, Ordering::SeqCst)) == self.at {
            true => Err(StoreError::Unavailable("this call fails on purpose")),
            false => Ok(()),
        }
    }
}

impl SessionStore for FailsOnce {
    fn read(&mut self, slot: Slot) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        self.passes()?;
        self.inner.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.passes()?;
        self.inner.write(slot, value)
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.passes()?;
        self.inner.erase(slot)
    }

    fn backend(&self) -> &'static str {
        "fails once"
    }

    fn may_block(&self) -> bool {
        false
    }
}

/// Whatever `app` shows as active it can prove with a token that the server has issued for that session.
async fn never_active_without_a_verified_token(app: &App, device: &Device, issued: &Issued, when: &str) {
    if app.session().await.status == SessionStatus::Active {
        let served = app.session_token(Duration::ZERO).await.expect("an active session has a token");
        let now = device.control.tokens(&issued.session_id).map(|tokens| tokens.session_token);
        let known = [Some(issued.session_token.clone()), now];
        assert!(known.contains(&Some(served.token.expose().to_owned())), "{when}");
    }
}

/// Every call to the keychain, and every call to the server, fails in turn; all of them at another time of a life that is
/// otherwise the same.
#[tokio::test(flavor = "multi_thread")]
async fn c12_every_call_fails_in_turn_and_nothing_fails_open() {
    for operation in [Operation::Jwks, Operation::Refresh, Operation::Authenticate, Operation::Delete] {
        a_life_in_which_a_call_fails(None, Some(operation)).await;
    }
    let mut nth = 0;
    while a_life_in_which_a_call_fails(Some(nth), None).await > nth {
        nth += 1;
    }
    assert!(nth > LIFE_CALLS, "{nth} calls to the keychain have failed");
}

/// What a life takes at the least: a start reads both entries, a sign-in and a refresh read, write and read again, the next start
/// reads, a logout reads, notes and erases, and the last start reads.
const LIFE_CALLS: usize = 2 + 3 + 3 + 2 + 3 + 2;

/// The `nth` call to the keychain fails, or the first for `operation` to the server. Answers how many there were to the keychain.
async fn a_life_in_which_a_call_fails(nth: Option<usize>, operation: Option<Operation>) -> usize {
    let when = format!("keychain call {nth:?} and server call {operation:?} fail");
    let device = Device::new().await;
    let store = FailsOnce { inner: device.store.clone(), at: nth, calls: Arc::default() };
    let start = || {
        let store = store.clone();
        device.start_with(move || Box::new(store.clone()))
    };
    if let Some(operation) = operation {
        device.control.fault(operation, Fault::ServerError500, 1);
    }
    let app = start();
    let issued = device.issue();
    if app.start_session(issued.web()).await.is_err() {
        assert_ne!(app.session().await.status, SessionStatus::Active, "{when}");
        device.time_passes(Duration::from_secs(3600));
        app.start_session(issued.web()).await.expect("it fails once");
    }
    never_active_without_a_verified_token(&app, &device, &issued, &when).await;
    device.time_passes(Duration::from_secs(24 * 3600));
    drop(app.refresh().await);
    never_active_without_a_verified_token(&app, &device, &issued, &when).await;
    drop(app.verify().await);
    never_active_without_a_verified_token(&app, &device, &issued, &when).await;
    app.kill().await;
    let app = start();
    never_active_without_a_verified_token(&app, &device, &issued, &when).await;
    let session = app.logout().await;
    assert_eq!(session.status, SessionStatus::SignedOut, "{when}");
    if let Some(operation) = operation {
        device.control.wait_for(operation, 1).await;
    }
    app.kill().await;
    let app = start();
    assert_ne!(app.session().await.status, SessionStatus::Active, "{when}");
    app.kill().await;
    store.calls.load(Ordering::SeqCst)
}
