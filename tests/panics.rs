//! No secret in what a panic says (A2): whatever holds tokens can end up in the message of an `unwrap`, here or in an app.
//!
//! Whoever hears panics sets a hook, and a hook is the whole process's, so these tests play in one of their own: this very
//! program, started again with one test alone.

use std::{
    env,
    fmt::{Debug, Write as _},
    panic::{self, AssertUnwindSafe},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use otpless_local::Operation;
use otpless_test_kit::{
    leaks::Secrets,
    log::{catch_everything, caught},
};
use serde_json::json;
use tauri_plugin_otpless::{
    BoxFuture, ErrorKind, SessionStatus,
    engine::{
        Answer, Credentials, HttpClient, MemoryStore, RefreshToken, Refreshed, RelayApi, RelayHeaders,
        Request, Response, SessionApi, SessionId, SessionRecord, SessionStore, SessionToken, SignIn, Slot,
        StoreError, TokenVerifier,
    },
};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::support::Device;

const ALONE: &str = "OTPLESS_TEST_PANICS_ALONE";

/// Plays `test` alone in another process; `false`: this is it.
fn played_alone(test: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return false;
    }
    let alone = Command::new(env::current_exe().expect("this program's file"))
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "")
        .output()
        .expect("this program starts");
    let (said, errors) = (String::from_utf8_lossy(&alone.stdout), String::from_utf8_lossy(&alone.stderr));
    assert!(alone.status.success() && said.contains("1 passed"), "{said}{errors}");
    true
}

/// What panics have said.
#[derive(Default)]
struct Heard(Mutex<String>);

impl Heard {
    fn from_now_on() -> Arc<Self> {
        let heard = Arc::<Self>::default();
        let (hook, before) = (heard.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |said| {
            hook.add(said);
            before(said);
        }));
        heard
    }

    fn add(&self, said: &dyn std::fmt::Display) {
        writeln!(self.0.lock().unwrap_or_else(PoisonError::into_inner), "{said}").expect("memory");
    }

    fn all(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A server's client that does not expect what it gets.
#[derive(Debug)]
struct Astonished {
    api: Arc<dyn SessionApi>,
    calm: Arc<AtomicBool>,
}

impl Astonished {
    fn at<T: Debug>(&self, answer: Answer<T>) -> Answer<T> {
        if !self.calm.load(Ordering::SeqCst) {
            answer.outcome.expect_err("astonished by an answer");
            unreachable!("this one is good");
        }
        answer
    }
}

impl SessionApi for Astonished {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Answer<Option<SessionToken>>> {
        Box::pin(async move { self.at(self.api.authenticate(credentials).await) })
    }

    fn refresh<'a>(
        &'a self,
        refresh_token: &'a RefreshToken,
        state: Option<&'a str>,
    ) -> BoxFuture<'a, Answer<Refreshed>> {
        Box::pin(async move { self.at(self.api.refresh(refresh_token, state).await) })
    }

    fn revoke<'a>(&'a self, session_id: &'a SessionId) -> BoxFuture<'a, Answer<()>> {
        self.api.revoke(session_id)
    }
}

/// A keychain's client that cannot stand what it is to write.
#[derive(Debug)]
struct Fainting {
    store: MemoryStore,
    calm: Arc<AtomicBool>,
}

impl SessionStore for Fainting {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.store.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        if slot == Slot::Session && !self.calm.load(Ordering::SeqCst) {
            SessionRecord::from_bytes(value).expect_err("fainted at a record");
        }
        self.store.write(slot, value)
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.store.erase(slot)
    }

    fn backend(&self) -> &'static str {
        "fainting"
    }
}

#[test]
fn a2_a_panic_in_the_engine_while_it_holds_tokens_says_none() {
    if !played_alone("panics::a2_a_panic_in_the_engine_while_it_holds_tokens_says_none") {
        in_the_engine();
    }
}

#[tokio::main]
async fn in_the_engine() {
    catch_everything();
    let heard = Heard::from_now_on();
    let device = Device::new().await;
    let calm = Arc::new(AtomicBool::new(true));
    let (astonished, fainting) = (calm.clone(), calm.clone());
    let store = device.store.clone();
    let app = device.start_with_api(
        move || Box::new(Fainting { store: store.clone(), calm: fainting.clone() }),
        move |api| Arc::new(Astonished { api, calm: astonished }),
    );
    let issued = device.issue();
    let mut secrets = Secrets::default();
    secrets.add_session(&issued);
    app.start_session(issued.web()).await.expect("the sign-in is accepted");

    calm.store(false, Ordering::SeqCst);
    let mut errors = String::new();
    for error in [app.verify().await.unwrap_err(), app.refresh().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        write!(errors, "{error} {error:?}").unwrap();
    }
    assert_eq!(device.control.count(Operation::Refresh), 1, "it did bring tokens");
    secrets.add_session(&device.control.tokens(&issued.session_id).unwrap());
    let another = device.issue();
    secrets.add_session(&another);
    let session = app.start_session(another.web()).await.expect("kept in memory");
    assert_eq!(session.status, SessionStatus::Active);
    write!(errors, "{:?} {:?} {:?}", session, app.diagnostics(), *app).unwrap();

    let said = heard.all();
    for panicked in
        ["astonished by an answer: Some(", "astonished by an answer: Refreshed", "fainted at a record"]
    {
        assert!(said.contains(panicked), "{panicked} among {said}");
    }
    let finder = secrets.finder();
    finder.finds_nothing_in("what the panics said", &said);
    finder.finds_nothing_in("the log", caught());
    finder.finds_nothing_in("an error", &errors);
}

/// What somebody unwraps who had expected nothing.
fn nothing_instead_of(value: &dyn Debug) -> Result<(), &dyn Debug> {
    Err(value)
}

#[test]
fn a2_nothing_that_holds_a_secret_shows_it_in_a_panic() {
    if !played_alone("panics::a2_nothing_that_holds_a_secret_shows_it_in_a_panic") {
        in_an_app();
    }
}

#[tokio::main]
async fn in_an_app() {
    let heard = Heard::from_now_on();
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let key = "canary-of-a-gateway-key";
    let mut secrets = Secrets::default();
    secrets.add_session(&issued);
    secrets.add("gateway key", key);
    let finder = secrets.finder();

    let session_id = SessionId::from(issued.session_id.as_str());
    let session_token = SessionToken::from(issued.session_token.as_str());
    let refresh_token = RefreshToken::from(issued.refresh_token.as_str());
    let refreshed = Refreshed {
        session_id: Some(session_id.clone()),
        session_token: session_token.clone(),
        refresh_token: Some(refresh_token.clone()),
    };
    let credentials = Credentials { session_id: &session_id, session_token: &session_token, state: None };
    let verifier = device.verifier(device.key_set(), device.log.clone(), Arc::new(Handle::current()));
    verifier.fetch_keys().await.expect("the key set");
    let claims = verifier.verify(&issued.refresh_token).expect("a good token");
    let headers = RelayHeaders::default().with("x-api-key", key);
    let request = Request {
        method: reqwest::Method::DELETE,
        url: device.url(&format!("/v4/session/{}", issued.session_id)),
        headers: [(reqwest::header::AUTHORIZATION, issued.session_token.parse().expect("a header"))]
            .into_iter()
            .collect(),
        body: Some(Zeroizing::new(issued.refresh_token.clone().into_bytes())),
        limit: 0,
    };
    let body = Zeroizing::new(issued.web().to_string().into_bytes());
    let relay = RelayApi::new(HttpClient::new().expect("a client"), device.url(""), headers.clone());
    let stored = device.store.peek(Slot::Session).expect("a record");
    let mut half = issued.web();
    half["refreshToken"] = json!([issued.refresh_token]);
    let foreign =
        json!({"sessionId": "another", "sessionToken": issued.refresh_token, "refreshToken": "x.y.z"});

    let all: [(&str, &dyn Debug); 28] = [
        ("SessionId", &session_id),
        ("SessionToken", &session_token),
        ("RefreshToken", &refresh_token),
        ("Credentials", &credentials),
        ("Answer", &Answer { outcome: Ok(refreshed.clone()), server_date: None }),
        ("Refreshed", &refreshed),
        ("SignIn", &SignIn::from_json(issued.web()).expect("a sign-in")),
        ("SessionRecord", &device.stored().expect("a record")),
        ("Tokens", &device.stored().expect("a record").tokens),
        ("Claims", &claims),
        ("ValidToken", &app.session_token(Duration::ZERO).await.expect("a token")),
        ("Request", &request),
        ("Response", &Response { status: 200, body, date: None, retry_after: None }),
        ("RelayHeaders", &headers),
        ("RelayApi", &relay.expect("good headers")),
        ("ClientApi", &device.api()),
        ("Builder", &tauri_plugin_otpless::Builder::new().relay_header("x-api-key", key)),
        ("JwksVerifier", &verifier),
        ("MemoryStore", &device.store),
        ("MemoryActivityLog", &device.log),
        ("SessionManager", &*app),
        ("Session", &app.current()),
        ("Diagnostics", &app.diagnostics()),
        ("the sessions", &app.subscribe()),
        ("a sign-in that is not read", &SignIn::from_json(half).unwrap_err()),
        ("a sign-in that is not accepted", &app.start_session(foreign).await.unwrap_err()),
        ("a token that is not accepted", &verifier.verify(&issued.session_token[1..]).unwrap_err()),
        ("a record that is not read", &SessionRecord::from_bytes(&stored[1..]).unwrap_err()),
    ];
    for (name, value) in all {
        let unwrapped = panic::catch_unwind(AssertUnwindSafe(|| nothing_instead_of(value).unwrap()));
        assert!(unwrapped.is_err());
        finder.finds_nothing_in(name, format!("{value:?} {value:#?}"));
    }
    let said = heard.all();
    assert_eq!(said.matches("called `Result::unwrap()` on an `Err` value").count(), all.len());
    finder.finds_nothing_in("what the panics said", said);
}
