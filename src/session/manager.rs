//! The one writer of the session.
//!
//! State is behind a mutex that is held for the length of a computation, never across an `.await` and never while
//! anybody is told (rule 12). Whatever takes time is a method in a file of its own ([`refresh`](super::refresh),
//! [`sign_in`](super::sign_in), …) that reads the state, does its work without the lock, and comes back with the
//! generation it started from: if that has passed, its result is dropped (rule 2).

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    activity::Policy,
    budget::Purpose,
    live::Live,
    parts::Parts,
    presence::Presence,
    schedule::{self, Plan},
    snapshot::{Diagnostics, EndReason, Session, SessionStatus, Storage},
    state::{Phase, Revoke, State},
};
use crate::{
    activity_log::ActivityLog,
    api::{SessionApi, SessionDetails},
    clock::{Clock, Now},
    error::{Error, ErrorKind, Result},
    fetch::Attach,
    generation::{Generation, GenerationGuard},
    jwt::TokenVerifier,
    runtime::Runtime,
    single_flight::SingleFlight,
    store::{bulletin::Bulletin, record::SignInId, vault::Vault, worker::StoreWorker},
};

/// How long a question waits for the keychain at start-up before it is answered with "restoring".
pub const RESTORE_WAIT: Duration = Duration::from_secs(6);

/// A keychain that did not work is tried at a look, but not more often than this.
const HOPE_INTERVAL: Duration = Duration::from_secs(60);

/// Asked for by a page, an exchange that went well is not repeated sooner: a page cannot drive the server.
pub const MIN_EXCHANGE_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps one session alive, and ends it. Clones share it.
#[derive(Clone)]
pub struct SessionManager(pub(super) Arc<Inner>);

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").field("session", &self.current()).finish_non_exhaustive()
    }
}

pub(super) struct Inner {
    pub(super) policy: Policy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) api: Arc<dyn SessionApi>,
    pub(super) verifier: Arc<dyn TokenVerifier>,
    pub(super) vault: Vault,
    pub(super) log: Arc<dyn ActivityLog>,
    pub(super) refresh_lock: Option<PathBuf>,
    /// When the user last signed out in any process.
    pub(super) signed_out: Bulletin,
    /// When the user was last active in any process.
    pub(super) activity: Bulletin,
    /// Which sessions ended last in any process, and why.
    pub(super) over: Bulletin,
    /// What another process has found in the keychain that was to be there, and cannot be read.
    pub(super) damaged: Bulletin,
    pub(super) presence: Presence,
    /// What any process has learned of the server's time.
    pub(super) time: Bulletin,
    /// The run of the machine by whose clock that is.
    pub(super) boot: Option<String>,
    random: Arc<dyn Fn() -> u32 + Send + Sync>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) attach: Attach,
    generation: Generation,
    state: Mutex<State>,
    published: watch::Sender<Session>,
    /// How much is under way that must not be lost with the process.
    pub(super) essential: watch::Sender<usize>,
    pub(super) wake: Notify,
    pub(super) refreshing: SingleFlight<Result<()>>,
    pub(super) verifying: SingleFlight<Result<()>>,
    pub(super) asking_details: SingleFlight<Result<SessionDetails>>,
    pub(super) taking_news: SingleFlight<()>,
}

impl SessionManager {
    /// A manager that does nothing yet; [`run`](Self::run) brings it to life.
    pub fn new(parts: Parts) -> Self {
        let lock = |name: &str| parts.lock_directory.as_ref().map(|directory| directory.join(name));
        let worker = StoreWorker::start(parts.make_store, &*parts.runtime);
        let vault = Vault::new(worker, lock("otpless-store.lock"), Bulletin::at(lock("otpless-store.txt")));
        let manager = Self(Arc::new(Inner {
            policy: parts.policy,
            boot: parts.clock.boot(),
            clock: parts.clock,
            api: parts.api,
            verifier: parts.verifier,
            vault,
            log: parts.activity_log,
            refresh_lock: lock("otpless-refresh.lock"),
            signed_out: Bulletin::at(lock("otpless-signed-out.txt")),
            activity: Bulletin::at(lock("otpless-activity.txt")),
            over: Bulletin::at(lock("otpless-over.txt")),
            damaged: Bulletin::at(lock("otpless-damaged.txt")),
            presence: Presence::at(lock("otpless-session.lock")),
            time: Bulletin::at(lock("otpless-time.txt")),
            random: parts.random,
            runtime: parts.runtime,
            attach: parts.attach,
            generation: Generation::default(),
            state: Mutex::default(),
            published: watch::Sender::new(Session::default()),
            essential: watch::Sender::new(0),
            wake: Notify::new(),
            refreshing: SingleFlight::default(),
            verifying: SingleFlight::default(),
            asking_details: SingleFlight::default(),
            taking_news: SingleFlight::default(),
        }));
        // Before anything is dated.
        manager.0.hear_time();
        manager
    }

    /// The session as it is known now, from memory; deadlines are checked, and whether the user has signed out in another
    /// process.
    pub fn current(&self) -> Session {
        self.0.hear_logout();
        self.0.update(|_, _| ());
        self.0.read(|state, now| state.snapshot(&self.0.policy, now))
    }

    /// The session, after the keychain has answered at start-up or [`RESTORE_WAIT`] has passed.
    pub async fn session(&self) -> Session {
        self.0.wait_for_restore().await;
        self.0.hear_peers().await;
        self.current()
    }

    /// Every change of the session; the receiver always holds the newest.
    pub fn subscribe(&self) -> watch::Receiver<Session> {
        self.0.published.subscribe()
    }

    /// Notes that the user did something, and answers the session as it is then. A deadline that has passed is not
    /// moved: the session ends instead.
    pub fn record_activity(&self) -> Session {
        self.0.hear_logout();
        self.0.hear_time();
        let noted = self.0.update(|state, now| {
            let at = state.server_now(now);
            state.record_activity(now).then(|| state.live().map(|l| (l.record.sign_in.clone(), at)))
        });
        if let Some(Some((sign_in, at))) = noted {
            self.0.note_activity(&sign_in, at);
        }
        self.current()
    }

    /// Something happened after which deadlines and clocks are worth a look: the app came back to the front, the
    /// machine woke up.
    pub fn look(&self) {
        self.0.update_quietly(|state, now| {
            state.last_look = Some(now.wall);
            // Not at every look: dismissing the question to unlock brings the focus back, which is one.
            if state.hoped.is_none_or(|at| now.monotonic >= at + HOPE_INTERVAL) {
                state.hoped = Some(now.monotonic);
                state.retries.store_may_be_back(now);
            }
        });
        self.0.wake.notify_one();
    }

    /// Waits until nothing is under way that would be lost with the process: an exchange whose tokens are not stored
    /// yet, an erase. At most `bound`; answers whether all of it was done.
    pub async fn settle(&self, bound: Duration) -> bool {
        let mut essential = self.0.essential.subscribe();
        let idle = tokio::time::timeout(bound, essential.wait_for(|under_way| *under_way == 0));
        idle.await.is_ok_and(|idle| idle.is_ok())
    }

    /// What a developer wants to know.
    pub fn diagnostics(&self) -> Diagnostics {
        let plan = self.0.plan();
        self.0.read(|state, now| Diagnostics {
            backend: self.0.vault.backend().to_owned(),
            storage: state.storage,
            storage_error: state.storage_error.clone(),
            next_wake_at: plan.sleep.map(|sleep| now.wall + sleep),
            next_refresh_at: state.next_refresh_at(),
            last_look_at: state.last_look,
            last_refresh: state.last_refresh.clone(),
            last_verify: state.last_verify.clone(),
            last_key_fetch: state.last_key_fetch.clone(),
            clock_skew_ms: state.skew_ms,
            pending_revocations: state.waiting.len(),
            counters: state.counters,
        })
    }
}

impl Inner {
    pub(super) fn now(&self) -> Now {
        Now::read(&*self.clock)
    }

    pub(super) fn random(&self) -> u32 {
        (self.random)()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left whole fields behind; going on beats signing the user out.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State, Now) -> T) -> T {
        look(&self.lock(), self.now())
    }

    /// Changes the state, after deadlines that have passed are applied, and publishes what came of it.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State, Now) -> T) -> T {
        let (result, changed, ended, moved, learned, said, shown) = {
            let mut state = self.lock();
            let now = self.now();
            state.notice_clock(now);
            let (mut state, before) = self.apply_deadlines(state, now);
            let result = change(&mut state, now);
            // What has just been learned may show that a deadline had passed: then nobody sees the session again.
            let (mut state, after) = self.apply_deadlines(state, now);
            let moved = std::mem::take(&mut state.activity_moved)
                .then(|| state.live().map(|live| (live.record.sign_in.clone(), live.last_active_at)));
            let changed = state.take_change(&self.policy, now);
            let (learned, said) = (state.time_to_tell.take(), std::mem::take(&mut state.said));
            let shown = state.shown().is_some();
            (result, changed, [before, after], moved.flatten(), learned, said, shown)
        };
        said.aloud();
        if !self.presence.is_told(shown) {
            self.presence.tell(|| self.read(|state, _| state.shown().is_some()));
        }
        if let Some((skew_ms, then)) = learned {
            self.tell_time(skew_ms, then);
        }
        if let Some((sign_in, at)) = moved {
            self.note_activity(&sign_in, at);
        }
        for (sign_in, reason) in ended.into_iter().flatten() {
            self.log_ended(&sign_in, reason);
        }
        if let Some(session) = changed {
            tracing::debug!(revision = session.revision, status = ?session.status, reason = ?session.end_reason, "session changed");
            self.published.send_if_modified(|published| {
                let newer = session.revision > published.revision;
                if newer {
                    *published = session;
                }
                newer
            });
            self.wake.notify_one();
        }
        result
    }

    /// Ends the session if a deadline of its has passed; answers which session, and why.
    fn apply_deadlines<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        now: Now,
    ) -> (MutexGuard<'a, State>, Option<(SignInId, EndReason)>) {
        let mut overdue = state.overdue(&self.policy, now);
        if overdue.is_some() {
            drop(state);
            self.ask_peers();
            state = self.lock();
            overdue = state.overdue(&self.policy, now);
        }
        let ended = overdue.and_then(|reason| {
            let sign_in = self.end_shown(&mut state, reason, Revoke::Yes)?;
            Some((sign_in, reason))
        });
        (state, ended)
    }

    /// Changes the state without publishing; for what is to be published together with something that follows.
    pub(super) fn update_quietly<T>(&self, change: impl FnOnce(&mut State, Now) -> T) -> T {
        let (result, learned, said) = {
            let mut state = self.lock();
            let now = self.now();
            state.notice_clock(now);
            let result = change(&mut state, now);
            (result, state.time_to_tell.take(), std::mem::take(&mut state.said))
        };
        said.aloud();
        if let Some((skew_ms, then)) = learned {
            self.tell_time(skew_ms, then);
        }
        result
    }

    /// The generation now. Take it before the state it belongs to is read.
    pub(super) fn generation(&self) -> u64 {
        self.generation.current()
    }

    pub(super) fn guard(&self, expected: u64) -> GenerationGuard {
        self.generation.guard(expected)
    }

    /// Takes one call to the session API out of the budget; asked for before each.
    ///
    /// # Errors
    ///
    /// `RateLimited`, with how long to wait.
    pub(super) fn may_call(&self, purpose: Purpose) -> Result<()> {
        self.update_quietly(|state, now| match state.budget.take(purpose, now.monotonic) {
            Ok(()) => {
                state.counters.requests += 1;
                Ok(())
            }
            Err(wait) => Err(Error::new(
                ErrorKind::RateLimited,
                "this app has called OTPless more often than a session ever needs; it waits before it calls again. \
                 The session is kept. If this stays, something calls refreshSession or verifySession in a loop",
            )
            .with_retry_after(Some(wait))),
        })
    }

    /// Starts a new generation; only with the state lock held, which `_proof` shows.
    pub(super) fn next_generation(&self, _proof: &mut State) -> u64 {
        self.generation.next()
    }

    pub(super) fn end_locked(&self, state: &mut State, reason: EndReason, revoke: Revoke) {
        state.said.later(move || tracing::info!(?reason, "the session is over"));
        let generation = self.next_generation(state);
        state.end(generation, reason, revoke);
    }

    /// Ends the session that is seen, also while its successor is being stored; answers which it was.
    pub(super) fn end_shown(&self, state: &mut State, reason: EndReason, revoke: Revoke) -> Option<SignInId> {
        let sign_in = state.shown()?.record.sign_in.clone();
        if state.live().is_some() {
            self.end_locked(state, reason, revoke);
        } else {
            // The generation is that of its successor, which this does not concern.
            state.end(self.generation(), reason, revoke);
        }
        Some(sign_in)
    }

    /// Ends the session of `generation` for `reason`; nothing happens if it is not the present one.
    pub(super) fn end(&self, generation: u64, reason: EndReason, revoke: Revoke) {
        let ended = self.update(|state, _| {
            if self.generation() != generation {
                return None;
            }
            let sign_in = state.live().map(|live| live.record.sign_in.clone());
            self.end_locked(state, reason, revoke);
            sign_in
        });
        if let Some(sign_in) = ended {
            self.log_ended(&sign_in, reason);
        }
        self.wake.notify_one();
    }

    /// Applies `change` to the session of `generation`.
    ///
    /// # Errors
    ///
    /// `SessionChanged` if that session is over.
    pub(super) fn update_live<T>(
        &self,
        generation: u64,
        change: impl FnOnce(&mut State, Now) -> T,
    ) -> Result<T> {
        self.update(|state, now| {
            if self.generation() == generation && state.live().is_some() {
                Ok(change(state, now))
            } else {
                Err(Error::session_changed())
            }
        })
    }

    /// The session under way and its generation.
    ///
    /// # Errors
    ///
    /// `NotSignedIn`, or `StorageUnavailable` if that is not known yet.
    pub(super) fn with_live<T>(&self, look: impl FnOnce(&Live, &State, Now) -> T) -> Result<(u64, T)> {
        self.hear_logout();
        self.update(|_, _| ());
        self.read(|state, now| match &state.phase {
            Phase::SignedIn(live) => Ok((self.generation(), look(live, state, now))),
            Phase::SignedOut(_) => Err(Error::not_signed_in()),
            Phase::Replacing(_) => Err(Error::session_changed()),
            Phase::Restoring => Err(Error::new(
                ErrorKind::StorageUnavailable,
                "it is not known yet whether somebody is signed in: the keychain does not answer. \
                 Unlock it, or sign in anew",
            )),
        })
    }

    /// [`with_live`](Self::with_live), for work that began with the session of `generation`.
    ///
    /// # Errors
    ///
    /// `SessionChanged` if that session is over.
    pub(super) fn still_live<T>(&self, generation: u64, look: impl FnOnce(&Live) -> T) -> Result<T> {
        match self.with_live(|live, _, _| look(live)) {
            Ok((now, seen)) if now == generation => Ok(seen),
            _ => Err(Error::session_changed()),
        }
    }

    pub(super) fn plan(&self) -> Plan {
        self.read(|state, now| schedule::plan(state.upcoming(&self.policy, now), now))
    }

    pub(super) async fn wait_for_restore(&self) {
        let mut published = self.published.subscribe();
        let restored = published.wait_for(|session| {
            session.status != SessionStatus::Restoring || session.storage == Storage::Unavailable
        });
        // A question must be answered even if the keychain is not.
        let _ = tokio::time::timeout(RESTORE_WAIT, restored).await;
    }
}
