//! The controls: what the console page does over HTTP, tests do through this handle.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    answer::{Answer, Refusal},
    call::{Call, LoggedRequest},
    clock::now_ms,
    faults::{Fault, Faults, Planned},
    gate::{Barrier, Gate, Place},
    keys::{Key, Keys},
    operation::Operation,
    sessions::{Issued, Session, SessionState, Sessions, SignIn, World},
    settings::Settings,
    sign_in::{Codes, SentCode},
    v1, v4,
};

/// How many requests the log keeps; older ones are forgotten.
const LOG_LENGTH: usize = 10_000;

/// A handle on a running local OTPless. Clones are the same server.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    start_settings: Settings,
    url: OnceLock<String>,
    /// The number of the newest entry of the log, so that waiting needs no polling.
    logged: watch::Sender<u64>,
    /// Counts how often the faults were cleared, which lets hanging calls go.
    cleared: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) keys: Keys,
    pub(crate) sessions: Sessions,
    pub(crate) codes: Codes,
    pub(crate) faults: Faults,
    pub(crate) log: VecDeque<LoggedRequest>,
    pub(crate) clock_offset_ms: i64,
    /// Where the clock stands, if it does not follow the system's.
    pub(crate) stands_at: Option<i64>,
    logged: u64,
    barriers: Vec<Arc<Barrier>>,
}

impl State {
    fn now_ms(&self) -> i64 {
        self.stands_at.unwrap_or_else(|| now_ms(self.clock_offset_ms))
    }

    /// The parts that calls work on, with the world they see.
    pub(crate) fn parts(&mut self) -> (World<'_>, &mut Sessions, &mut Codes) {
        let now_ms = self.now_ms();
        let Self { settings, keys, sessions, codes, .. } = self;
        (World { now_ms, settings, keys }, sessions, codes)
    }
}

impl Control {
    pub(crate) fn new(settings: Settings, first_key: Key) -> Self {
        let state = State {
            settings: settings.clone(),
            keys: Keys::new(first_key),
            sessions: Sessions::default(),
            codes: Codes::default(),
            faults: Faults::default(),
            log: VecDeque::new(),
            clock_offset_ms: 0,
            stands_at: None,
            logged: 0,
            barriers: Vec::new(),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            start_settings: settings,
            url: OnceLock::new(),
            logged: watch::channel(0).0,
            cleared: watch::channel(0).0,
        }))
    }

    pub(crate) fn set_url(&self, url: &str) {
        // Only the first one counts: coming back after being offline is on the same address.
        self.0.url.get_or_init(|| url.to_owned());
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a caller's `set_settings` closure leaves settings behind, not a broken server.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address it serves on, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url.get().cloned().unwrap_or_default()
    }

    /// The server's time in milliseconds since the epoch.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.lock().now_ms()
    }

    /// A sign-in without the page.
    pub fn sign_in(&self, who: SignIn) -> Issued {
        let mut state = self.lock();
        let (world, sessions, _) = state.parts();
        sessions.sign_in(world, who).issued()
    }

    /// Revokes a session, as somebody does at OTPless's dashboard. Says whether there was an active one.
    pub fn revoke(&self, session_id: impl AsRef<str>) -> bool {
        self.revoke_where(|session| session.id == session_id.as_ref()) > 0
    }

    /// Revokes the active sessions of a user; says how many.
    pub fn revoke_user(&self, user_id: impl AsRef<str>) -> usize {
        self.revoke_where(|session| session.user_id == user_id.as_ref())
    }

    /// Revokes all active sessions; says how many.
    pub fn revoke_all(&self) -> usize {
        self.revoke_where(|_| true)
    }

    fn revoke_where(&self, which: impl Fn(&Session) -> bool) -> usize {
        let mut state = self.lock();
        let (world, sessions, _) = state.parts();
        sessions.revoke(world, which)
    }

    /// The state of a session; `None` if it was deleted or never was.
    #[must_use]
    pub fn session_state(&self, session_id: impl AsRef<str>) -> Option<SessionState> {
        let mut state = self.lock();
        let (world, sessions, _) = state.parts();
        sessions.find(world, session_id.as_ref()).map(|session| session.state)
    }

    /// The tokens a session has now, for instance after a refresh; `None` if it is not present.
    #[must_use]
    pub fn tokens(&self, session_id: impl AsRef<str>) -> Option<Issued> {
        let mut state = self.lock();
        let (world, sessions, _) = state.parts();
        sessions.find(world, session_id.as_ref()).map(|session| session.issued())
    }

    /// The claims a session token made now would have: what a test changes before it signs them with
    /// [`mint`](Self::mint).
    #[must_use]
    pub fn claims(&self, session_id: impl AsRef<str>) -> Option<Value> {
        let mut state = self.lock();
        let (world, sessions, _) = state.parts();
        let lifetime = world.settings.session_token_seconds;
        sessions.find(world, session_id.as_ref()).map(|session| session.claims(world, lifetime))
    }

    /// How often a spent refresh token was used again and refused.
    #[must_use]
    pub fn replays(&self) -> usize {
        self.lock().sessions.replays
    }

    /// The one-time codes that are good at this moment, the newest first.
    #[must_use]
    pub fn codes(&self) -> Vec<SentCode> {
        let mut state = self.lock();
        let (world, _, codes) = state.parts();
        codes.good(world.now_ms)
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// Changes settings. They count from now on; tokens that exist keep their expiry. A changed port has no effect.
    /// `change` runs with the server's lock held: it must not use this handle.
    pub fn set_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// Lets the next `times` calls of `operation` fail; [`usize::MAX`] means until [`clear_faults`](Self::clear_faults).
    /// Faults of the same operation are met in the order in which they were planned.
    pub fn fault(&self, operation: Operation, fault: Fault, times: usize) {
        self.delayed_fault(operation, fault, times, 0);
    }

    pub(crate) fn delayed_fault(&self, operation: Operation, fault: Fault, times: usize, delay_ms: u64) {
        self.lock().faults.plan(Planned { operation, fault, delay_ms, remaining: times });
    }

    /// Forgets the planned faults and lets hanging calls go.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
        self.0.cleared.send_modify(|times| *times += 1);
    }

    /// From now on a new key signs. The old ones stay in the key set if `keep_old`, otherwise tokens they signed cannot
    /// be verified by anyone but the server itself. Takes a moment: a key is made.
    pub fn rotate_keys(&self, keep_old: bool) {
        let key = Key::generate();
        self.lock().keys.rotate(key, keep_old);
    }

    /// The `kid`s of the served key set, oldest first.
    #[must_use]
    pub fn kids(&self) -> Vec<String> {
        self.lock().keys.kids()
    }

    /// Moves the server's clock this many milliseconds away from the system's: forward if positive.
    pub fn set_clock_offset(&self, offset_ms: i64) {
        self.lock().clock_offset_ms = offset_ms;
    }

    /// Signs any payload with the present key. A `null` header means the documented one.
    #[must_use]
    pub fn mint(&self, payload: Value, header: Value) -> String {
        self.lock().keys.mint(&payload, &header)
    }

    /// Signs two segments as they stand with the present key, for tokens that no encoder makes: JSON with a key twice,
    /// base64url with padding.
    #[must_use]
    pub fn mint_raw(&self, header: &str, payload: &str) -> String {
        self.lock().keys.mint_raw(header, payload)
    }

    /// The present key's public half in DER (X.509 `SubjectPublicKeyInfo`).
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.lock().keys.public_key()
    }

    /// Signs any payload with a key that is in no key set. A `null` header means the documented one with the kid
    /// `unknown-1`; give one with a served `kid` to forge.
    #[must_use]
    pub fn mint_with_unknown_key(&self, payload: Value, header: Value) -> String {
        Keys::mint_with_unknown_key(&payload, &header)
    }

    /// The requests so far, oldest first; at most the last 10,000. A request is logged when the server has decided on
    /// it: after the work, before a delay, a gate after the work, or the answer.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.lock().log.iter().cloned().collect()
    }

    /// [`requests`](Self::requests), which are then forgotten; [`count`](Self::count) starts from 0 again.
    #[must_use]
    pub fn take_requests(&self) -> Vec<LoggedRequest> {
        self.lock().log.drain(..).collect()
    }

    /// How many logged requests there are of an operation.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.lock().log.iter().filter(|request| operation.matches(request.operation)).count()
    }

    /// Returns as soon as at least `n` requests of `operation` are logged; without a bound of its own.
    pub async fn wait_for(&self, operation: Operation, n: usize) {
        // The sender lives as long as `self`.
        let _ = self.0.logged.subscribe().wait_for(|_| self.count(operation) >= n).await;
    }

    /// Holds the calls of `operation` after their work is done and before they are answered.
    pub fn pause(&self, operation: Operation) -> Gate {
        self.gate(operation, Place::AfterWork)
    }

    /// Holds the calls of `operation` before their work is done.
    pub fn pause_before(&self, operation: Operation) -> Gate {
        self.gate(operation, Place::BeforeWork)
    }

    fn gate(&self, operation: Operation, place: Place) -> Gate {
        let gate = Gate::new(self.clone(), operation, place);
        self.lock().barriers.push(gate.barrier());
        gate
    }

    pub(crate) fn remove(&self, barrier: &Arc<Barrier>) {
        self.lock().barriers.retain(|other| !Arc::ptr_eq(other, barrier));
    }

    /// Back to the start: the settings and the key of the start; no sessions, codes, faults, gates or log; the system's
    /// time.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.settings = self.0.start_settings.clone();
        state.keys.reset();
        state.sessions = Sessions::default();
        state.codes = Codes::default();
        state.log.clear();
        state.clock_offset_ms = 0;
        state.stands_at = None;
        state.barriers.drain(..).for_each(|barrier| barrier.open());
        drop(state);
        self.clear_faults();
    }

    pub(crate) async fn pass_gates(&self, operation: Operation, place: Place) {
        let here: Vec<_> = (self.lock().barriers.iter())
            .filter(|barrier| barrier.stands_for(operation, place))
            .cloned()
            .collect();
        for barrier in here {
            barrier.pass().await;
        }
    }

    /// Changes when the faults are cleared after this.
    pub(crate) fn cleared(&self) -> watch::Receiver<u64> {
        self.0.cleared.subscribe()
    }

    pub(crate) fn take_fault(&self, operation: Operation) -> Option<Planned> {
        self.lock().faults.take(operation)
    }

    /// Does what the call asks for.
    pub(crate) fn work(&self, operation: Operation, call: &Call) -> Answer {
        use Operation as Op;

        let mut state = self.lock();
        let (world, sessions, codes) = state.parts();
        match operation {
            Op::Authenticate | Op::Refresh | Op::Delete => {
                v4::answer(operation, sessions, world, call).into()
            }
            Op::ValidateSession | Op::GetNewSessionToken | Op::GetSessionDetails | Op::RevokeSession => {
                v1::answer(operation, sessions, world, call).into()
            }
            Op::Initiate | Op::Verify => {
                crate::sign_in::answer(operation, codes, sessions, world, call).into()
            }
            Op::Jwks => Answer::ok(&world.keys.jwks()),
            Op::OpenidConfiguration => Answer::ok(&serde_json::json!({
                "issuer": world.settings.issuer,
                "jwks_uri": format!("{}/.well-known/jwks", self.url()),
            })),
            Op::Script => {
                Answer::new(200, "text/javascript; charset=utf-8", include_bytes!("headless.js").to_vec())
            }
            Op::Unknown | Op::Any => Refusal::NoSuchCall.into(),
        }
    }

    pub(crate) fn log(&self, operation: Operation, call: &Call, status: Option<u16>, outcome: String) {
        let mut state = self.lock();
        let at = state.now_ms();
        if state.log.len() >= LOG_LENGTH {
            state.log.pop_front();
        }
        state.logged += 1;
        let n = state.logged;
        state.log.push_back(LoggedRequest {
            n,
            at,
            operation,
            method: call.method.to_string(),
            path: call.path.clone(),
            query: call.query.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
            body_bytes: call.body_bytes,
            status,
            outcome,
        });
        // `wait_for` takes the lock of the state while it has that of the channel; never the other way round.
        drop(state);
        self.0.logged.send_replace(n);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("url", &self.url()).finish_non_exhaustive()
    }
}
