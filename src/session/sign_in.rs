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
};
use crate::{
    api::sign_in::SignIn,
    error::{Error, ErrorKind, Result},
    jwt::{Claims, Fetched, Unverified, verify::LEEWAY},
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
        let flight = self.0.claim(&sign_in.tokens.session_id, before);
        let inner = self.0.clone();
        // Detached: the caller may go away, the session is stored all the same (requirement C2).
        let started = flight.run(&*self.0.runtime, || inner.begin(sign_in));
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

/// The claims of both tokens of a sign-in.
struct Verified {
    session: Claims,
    refresh: Claims,
}

impl Inner {
    async fn verify_sign_in(&self, sign_in: &SignIn) -> Result<Verified> {
        let field = sign_in.session_token_field;
        let mut fetched = false;
        let mut good_enough = false;
        let verified = loop {
            let session = self.verifier.verify(sign_in.tokens.session_token.expose());
            let refresh = self.verifier.verify(sign_in.tokens.refresh_token.expose());
            match (&session, &refresh) {
                (Err(Unverified::Invalid(why)), _) => return Err(unverifiable(field, why)),
                (_, Err(Unverified::Invalid(why))) => return Err(unverifiable("refreshToken", why)),
                (Ok(claims), Ok(refresh_claims)) => {
                    let server_now = self.read(|state, now| state.server_now(now));
                    let in_time =
                        claims.is_acceptable_at(server_now) && refresh_claims.is_acceptable_at(server_now);
                    // Before a token is called expired the server is asked what time it is.
                    // Kept keys may have been planted: a session begins only with keys from the issuer itself.
                    let first_hand = self.verifier.keys_are_first_hand();
                    if first_hand && (fetched || self.read(|state, _| state.skew_known)) {
                        break Verified { session: claims.clone(), refresh: refresh_claims.clone() };
                    }
                    good_enough = first_hand && in_time;
                }
                _ if fetched => {
                    return Err(unverifiable(field, "is signed with a key that is not in OTPless's key set"));
                }
                _ => {}
            }
            let keys = match self.verifier.fetch_keys().await {
                // Only the time was asked for, and the machine's clock agrees with the tokens.
                Err(_) if good_enough => Fetched::default(),
                keys => keys?,
            };
            if !keys.fetched {
                if let (Ok(session), Ok(refresh), true) =
                    (session, refresh, self.verifier.keys_are_first_hand())
                {
                    // The key is known and only the time is in question: it stands as it is.
                    break Verified { session, refresh };
                }
                let wait = keys.held_for.unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::Server,
                    format!(
                        "the sign-in cannot be verified now: the key set could not be had, and is not asked for again \
                         yet. Nothing was stored; try again in {} s",
                        wait.as_secs() + 1
                    ),
                )
                .with_retry_after(keys.held_for));
            }
            fetched = true;
            self.update(|state, now| state.learn_server_time(keys.server_date, now));
        };
        self.check_together(sign_in, &verified, field)?;
        Ok(verified)
    }

    /// What one token alone cannot show.
    fn check_together(&self, sign_in: &SignIn, verified: &Verified, field: &str) -> Result<()> {
        let Verified { session, refresh } = verified;
        let server_now = self.read(|state, now| state.server_now(now));
        if !session.is_acceptable_at(server_now) {
            return Err(unverifiable(field, "has expired"));
        }
        if !refresh.is_acceptable_at(server_now) {
            return Err(unverifiable("refreshToken", "has expired"));
        }
        if !session.same_session(refresh) {
            return Err(unverifiable("refreshToken", "belongs to another session"));
        }
        if session.session_id() != sign_in.tokens.session_id.expose() {
            return Err(unverifiable(field, "belongs to another session id"));
        }
        // Their claims are alike; only the longer life tells a refresh token from a session token (requirement B8).
        if session.expires_at() > refresh.expires_at()
            || sign_in.tokens.session_token.expose() == sign_in.tokens.refresh_token.expose()
        {
            return Err(unverifiable(field, "is a refresh token: the two stand in each other's place"));
        }
        Ok(())
    }

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

    async fn begin(self: Arc<Self>, sign_in: SignIn) -> Result<()> {
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
        let record = Arc::new(self.new_record(sign_in, &verified));
        let session_id = &claim.session_id;
        let now = self.signed_out.read();
        let mut over = None;
        // A new generation, before anything is stored: what is under way for the old session is dropped from here on.
        let generation = self.update(|state, _| {
            let before = state.claiming.iter().find(|there| there.session_id == *session_id);
            let now = Before { actions: state.user_actions, signed_out: now };
            if before.is_none_or(|there| there.before != now) {
                // Who brings it from here on does so after the logout.
                state.claiming.retain(|there| there.session_id != *session_id);
                return None;
            }
            over = state.live().map(|live| live.record.sign_in.clone());
            state.user_actions += 1;
            state.phase = match std::mem::replace(&mut state.phase, Phase::Restoring) {
                Phase::SignedIn(old) => Phase::Replacing(old),
                other => other,
            };
            let generation = self.next_generation(state);
            state.storing = Some(generation);
            Some(generation)
        });
        claim.is_open = generation.is_some();
        claim.storing = generation;
        let Some(generation) = generation else {
            self.revoke_dropped(&record).await;
            return Err(Error::session_changed());
        };
        // Before anything of it is to be seen: what was noted of an earlier logout is not about this one, whatever time it
        // was thought to be then.
        self.log_signed_in(record.started_at);
        self.outlive_logout(record.started_at);
        let said = self.vault.bulletin().read();
        self.vault.bulletin().post(&kept(&record));
        let expect = Expect::Anything { over: over.clone() };
        let stored = match self.vault.commit(self.guard(generation), expect, record.clone()).await {
            Ok(Commit::Conflict(_)) => Err(StoreError::Unavailable(
                "it answered so late that another process had signed somebody in by then",
            )),
            stored => stored,
        };
        self.tell_replaced(&stored, &record, said);
        if !self.adopt_sign_in(generation, &record, verified, stored, over) {
            // A logout or another sign-in came between the write and here; its erase may have come before our write.
            self.revoke_dropped(&record).await;
            return Err(Error::session_changed());
        }
        self.log_activity(&record.sign_in, record.last_active_at);
        // Whoever signs in does not wait for it: a keychain that hangs makes each of these calls last seconds.
        let inner = self.clone();
        self.runtime.spawn(Box::pin(async move { inner.tidy_outbox(generation, &record).await }));
        Ok(())
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

    fn new_record(&self, sign_in: SignIn, verified: &Verified) -> SessionRecord {
        let (now, known) = self.read(|state, now| (state.server_now(now), state.skew_known));
        // The issuer's word where the two differ: maximum lifetime counts from here (requirement C7).
        let started_at = match verified.session.issued_at() {
            Some(issued) if now.saturating_since(issued) > LEEWAY || issued > now => issued,
            _ => now,
        };
        SessionRecord {
            sign_in: SignInId::new(&sign_in.tokens.session_id, now),
            rotation: 0,
            refreshes: 0,
            user_id: verified.session.user_id().to_owned(),
            started_at,
            expires_at: Some(verified.session.expires_at()),
            refresh_expires_at: Some(verified.refresh.expires_at()),
            // Whoever signs in is there; but a clock that is ahead must not make it so for longer.
            last_active_at: if known { now.max(started_at) } else { started_at },
            state: sign_in.state,
            proven: None,
            tokens: sign_in.tokens,
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

fn unverifiable(field: &str, why: &str) -> Error {
    Error::invalid_token(format!("{field} {why}. Nothing was stored; a session that existed is unchanged"))
}
