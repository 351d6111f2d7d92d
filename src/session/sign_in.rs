//! The beginning: a sign-in result becomes a session.

use std::sync::Arc;

use serde_json::Value;

use super::{
    SessionManager,
    live::Live,
    manager::Inner,
    revocation::lost,
    schedule::Pace,
    snapshot::{EndReason, Session, Storage},
    state::Phase,
    under_way::Essential,
    vetting::Verified,
};
use crate::{
    api::sign_in::SignIn,
    error::{Error, Result},
    jwt::verify::LEEWAY,
    secret::SessionId,
    single_flight::SingleFlight,
    store::{
        StoreError,
        kept::{kept, sign_in_of},
        record::{SessionRecord, SignInId},
        step::{Commit, Ended, Erase, Expect, Stored},
    },
};

impl SessionManager {
    /// Takes what the OTPless SDK handed to the app after a sign-in, in either dialect, verifies both tokens and
    /// makes it the session. A session that existed is replaced and revoked, never merged (requirement B12).
    ///
    /// # Errors
    ///
    /// `InvalidArgument` or `InvalidToken` name the field; `Network` and `Server` mean that the tokens could not be
    /// verified now. Nothing has been stored then, and a session that existed is untouched. `SessionChanged` if a
    /// logout or another sign-in came first.
    pub async fn start_session(&self, result: Value) -> Result<Session> {
        // What the user does from here on counts: a logout wins, here or in another process.
        let before = Before::now(&self.0);
        self.0.wait_for_restore().await;
        let sign_in = SignIn::from_json(result)?;
        let flight = self.0.claim(&sign_in.tokens.session_id, before.clone());
        let inner = self.0.clone();
        // Detached: the caller may go away, the session is stored all the same (requirement C2).
        let started = flight.run(&*self.0.runtime, || inner.begin(sign_in, before));
        started.await.unwrap_or_else(|_| Err(lost()))?;
        Ok(self.current())
    }
}

/// What the user had done when a sign-in was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Before {
    /// In this process: [`State::user_actions`](super::state::State::user_actions).
    actions: u64,
    /// The note of the last logout in any process.
    signed_out: Option<String>,
}

impl Before {
    fn now(inner: &Inner) -> Self {
        Self { actions: inner.read(|state, _| state.user_actions), signed_out: inner.signed_out.read() }
    }
}

/// A sign-in that is being verified or stored, as those who bring the same one find it.
#[derive(Debug)]
pub(crate) struct Claiming {
    pub(super) session_id: SessionId,
    /// When it was brought last: who brings it once more has done so after whatever came between.
    before: Before,
    flight: Arc<SingleFlight<Result<()>>>,
}

/// A sign-in that is being verified or stored; ends however the sign-in ends.
struct Claim {
    inner: Arc<Inner>,
    session_id: SessionId,
    /// Whether those who bring the same one still find it.
    is_open: bool,
    /// The generation it is stored in, from then on.
    storing: Option<u64>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.inner.update(|state, _| {
            if self.is_open {
                state.claiming.retain(|claiming| claiming.session_id != self.session_id);
            }
            if self.storing.is_some() && state.storing == self.storing {
                state.storing = None;
                // It came to nothing without anybody having ended it: the session it was to replace goes on, in a
                // generation of its own.
                if let Phase::Replacing(_) = state.phase
                    && Some(self.inner.generation()) == self.storing
                {
                    self.inner.next_generation(state);
                    state.phase = match std::mem::replace(&mut state.phase, Phase::SignedOut(None)) {
                        Phase::Replacing(old) => Phase::SignedIn(old),
                        other => other,
                    };
                }
            }
        });
    }
}

impl Inner {
    /// The flight of this sign-in, joined by everyone who brings the same one: an SDK that calls back twice, or two
    /// windows, must not make two sessions of it of which the second revokes the first.
    fn claim(&self, session_id: &SessionId, before: Before) -> Arc<SingleFlight<Result<()>>> {
        let signed_out = self.signed_out.read();
        self.update_quietly(|state, _| {
            let now = Before { actions: state.user_actions, signed_out };
            if let Some(claiming) = state.claiming.iter_mut().find(|there| there.session_id == *session_id) {
                // Brought later than whatever the user has done so far.
                if before == now {
                    claiming.before = before;
                }
                return claiming.flight.clone();
            }
            let (session_id, flight) = (session_id.clone(), Arc::new(SingleFlight::default()));
            state.claiming.push(Claiming { session_id, before, flight: flight.clone() });
            flight
        })
    }

    async fn begin(self: Arc<Self>, sign_in: SignIn, before: Before) -> Result<()> {
        let session_id = sign_in.tokens.session_id.clone();
        let mut claim = Claim { inner: self.clone(), session_id, is_open: true, storing: None };
        let verified = self.verify_sign_in(&sign_in).await?;
        let running = self.read(|state, _| {
            state.live().is_some_and(|live| live.record.tokens.session_id == sign_in.tokens.session_id)
        });
        if running {
            // Brought once more. What is there may have been refreshed since, and then these tokens are spent.
            return Ok(());
        }
        let _essential = Essential::start(&self);
        for attempt in 0.. {
            let record = Arc::new(self.new_record(&sign_in, &verified, attempt));
            if self.store_sign_in(&mut claim, &before, &record, &verified).await {
                return Ok(());
            }
            if !self.is_brought_again(&mut claim) {
                self.revoke_dropped(&record).await;
                break;
            }
        }
        Err(Error::session_changed())
    }

    /// Whether somebody has brought it again after what has undone it; if not, nobody joins it any more.
    fn is_brought_again(&self, claim: &mut Claim) -> bool {
        let signed_out = self.signed_out.read();
        claim.is_open = self.update_quietly(|state, _| {
            let now = Before { actions: state.user_actions, signed_out };
            let is_it = |there: &Claiming| there.session_id == claim.session_id;
            let again = state.claiming.iter().any(|there| is_it(there) && there.before == now);
            state.claiming.retain(|there| again || !is_it(there));
            again
        });
        claim.is_open
    }

    /// Makes `record` the session and stores it, unless the user has signed out or in since it was brought, which was `before`
    /// that at the latest.
    async fn store_sign_in(
        self: &Arc<Self>,
        claim: &mut Claim,
        before: &Before,
        record: &Arc<SessionRecord>,
        verified: &Verified,
    ) -> bool {
        let now = self.signed_out.read();
        let mut over = None;
        // A new generation, before anything is stored: what is under way for the old session is dropped from here on.
        let generation = self.update(|state, _| {
            let brought = state.claiming.iter().find(|there| there.session_id == claim.session_id);
            let now = Before { actions: state.user_actions, signed_out: now };
            (*brought.map_or(before, |there| &there.before) == now).then(|| {
                over = state.live().map(|live| live.record.sign_in.clone());
                state.user_actions += 1;
                state.phase = match std::mem::replace(&mut state.phase, Phase::Restoring) {
                    Phase::SignedIn(old) => Phase::Replacing(old),
                    other => other,
                };
                let generation = self.next_generation(state);
                state.storing = Some(generation);
                generation
            })
        });
        let Some(generation) = generation else { return false };
        claim.storing = Some(generation);
        // Before anything of it is to be seen: what was noted of an earlier logout is not about this one, whatever time it
        // was thought to be then.
        self.log_signed_in(record.started_at);
        self.outlive_logout(record.started_at);
        let said = self.vault.bulletin().read();
        self.vault.bulletin().post(&kept(record));
        let expect = Expect::Anything { over: over.clone() };
        let stored = match self.vault.commit(self.guard(generation), expect, record.clone()).await {
            Ok(Commit::Conflict(_)) => Err(StoreError::Unavailable(
                "it answered so late that another process had signed somebody in by then",
            )),
            stored => stored,
        };
        self.tell_replaced(&stored, record, said);
        let is_written = matches!(stored, Ok(Commit::Written { .. }));
        if !self.adopt_sign_in(generation, record, verified.clone(), stored, over) {
            // Whose end is owed if something was replaced stands in the keychain.
            self.update_quietly(|state, _| state.outbox_read &= !is_written);
            // A logout or another sign-in came between the write and here; its erase may have come before our write.
            return false;
        }
        self.log_activity(&record.sign_in, record.last_active_at);
        // Whoever signs in does not wait for it: a keychain that hangs makes each of these calls last seconds.
        let (inner, record) = (self.clone(), record.clone());
        self.runtime.spawn(Box::pin(async move { inner.tidy_outbox(generation, &record).await }));
        true
    }

    /// Another process may show the session whose place in the keychain `record` has taken, and is to know why it is over, even
    /// if this one is gone by the time it looks. Of an entry that could not be read it is told what was `said` of it: whoever has
    /// that session owes the server its end.
    pub(super) fn tell_replaced(
        self: &Arc<Self>,
        stored: &std::result::Result<Commit, StoreError>,
        record: &SessionRecord,
        said: Option<String>,
    ) {
        let Ok(Commit::Written { replaced }) = stored else { return };
        match (replaced, said) {
            (Stored::Session(old), _) if old.sign_in != record.sign_in => {
                self.tell_ended(&old.sign_in, EndReason::Replaced);
            }
            (Stored::Unreadable(_), Some(line))
                if sign_in_of(&line).is_some_and(|old| old != record.sign_in) =>
            {
                self.damaged.post(&line);
            }
            _ => {}
        }
    }

    async fn tidy_outbox(&self, generation: u64, record: &SessionRecord) {
        self.read_outbox().await;
        // In case the session id stood there, from a logout that a new sign-in with the same session has undone.
        let (session_id, now) =
            (record.tokens.session_id.clone(), self.read(|state, now| state.surely_now(now)));
        let guard = self.guard(generation);
        if let Err(error) = self.vault.take_revocation_back(session_id, now, guard).await {
            tracing::debug!(%error, "the outbox could not be looked through");
        }
        self.wake.notify_one();
    }

    /// Makes `record` the session, if its generation is still the present one.
    fn adopt_sign_in(
        &self,
        generation: u64,
        record: &Arc<SessionRecord>,
        verified: Verified,
        stored: std::result::Result<Commit, StoreError>,
        over: Option<SignInId>,
    ) -> bool {
        let pace = stored.as_ref().err().map_or(Pace::Keychain, Pace::after);
        let error = stored.as_ref().err().map(ToString::to_string);
        let storage = if error.is_none() { Storage::Keychain } else { Storage::Ephemeral };
        if let Some(error) = &error {
            tracing::warn!(%error, "the new session is kept in memory only");
        }
        let jitter = self.random();
        let mut replaced = None;
        let mut unknown = false;
        let adopted = self.update(|state, now| {
            if self.generation() != generation {
                return false;
            }
            unknown = matches!(state.phase, Phase::Restoring);
            if let Phase::Replacing(old) = &state.phase {
                let (sign_in, revocation) = (old.record.sign_in.clone(), old.revocation());
                replaced = Some(sign_in);
                state.owe(revocation);
            }
            if let Ok(Commit::Written { replaced }) = &stored {
                state.doubt_is_gone(replaced);
                if let Stored::Session(old) = replaced {
                    state.owe(old.revocation());
                }
            }
            state.is_there_again(&record.tokens.session_id);
            state.witness(verified.session.issued_at(), now);
            let server_now = state.server_now(now);
            let mut live = Live::new(record.clone(), Some(verified.session), server_now, jitter);
            // By the very time the deadline is counted by: what the record says may be by another, and a new session would
            // be over for inactivity at once.
            live.last_active_at = server_now;
            live.activity_logged_at = server_now;
            live.noted_with_skew = Some(state.skew_ms);
            live.over = over;
            live.stored = storage == Storage::Keychain;
            live.ever_stored = live.stored;
            state.sign_in(live, storage, error);
            if storage == Storage::Ephemeral {
                state.retries.persist.failed(pace, now, None, jitter);
            }
            true
        });
        if adopted {
            tracing::info!(?storage, "signed in");
            // The old entry may still stand in a keychain that did not take the new one; it must not come back.
            if let Some(replaced) = replaced {
                self.log_ended(&replaced, EndReason::Replaced);
            }
            match storage {
                Storage::Keychain => self.log_signed_out(None),
                _ if unknown => self.log_signed_out(Some(record.started_at.shifted(-1))),
                _ => {}
            }
        }
        adopted
    }

    fn new_record(&self, sign_in: &SignIn, verified: &Verified, attempt: i64) -> SessionRecord {
        let (now, known) = self.read(|state, now| (state.server_now(now), state.skew_known));
        // The issuer's word where the two differ: maximum lifetime counts from here (requirement C7).
        let started_at = match verified.session.issued_at() {
            Some(issued) if now.saturating_since(issued) > LEEWAY || issued > now => issued,
            _ => now,
        };
        SessionRecord {
            // What was undone a moment ago is over under its name.
            sign_in: SignInId::new(&sign_in.tokens.session_id, now.shifted(attempt)),
            rotation: 0,
            refreshes: 0,
            user_id: verified.session.user_id().to_owned(),
            started_at,
            expires_at: Some(verified.session.expires_at()),
            refresh_expires_at: Some(verified.refresh.expires_at()),
            // Whoever signs in is there; but a clock that is ahead must not make it so for longer.
            last_active_at: if known { now.max(started_at) } else { started_at },
            state: sign_in.state.clone(),
            proven: None,
            tokens: sign_in.tokens.clone(),
        }
    }

    /// A sign-in that lost a race has made a session on the server that nobody will use.
    async fn revoke_dropped(&self, record: &SessionRecord) {
        let revocation = record.revocation();
        self.log_ended(&record.sign_in, EndReason::Replaced);
        let in_use = self.update_quietly(|state, _| {
            let id = &revocation.session_id;
            let in_use = state.live().is_some_and(|live| live.record.tokens.session_id == *id);
            if !in_use {
                state.owe(revocation.clone());
            }
            in_use
        });
        let actions = self.read(|state, _| state.user_actions);
        let revocation = (!in_use).then_some(revocation);
        match self.vault.end(Erase::SignIn(record.sign_in.clone()), revocation, None, |_| ()).await {
            // Another process was given the same, and has stored it.
            Ok(Ended { again: Some(again), .. }) => {
                self.owes_no_more(&again, actions);
            }
            Ok(_) => {}
            Err(_) => tracing::warn!("the keychain could not be told of a dropped sign-in"),
        }
        self.wake.notify_one();
    }
}
