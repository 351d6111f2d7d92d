//! The return: at start the keychain is asked, without the app waiting for it.

use std::sync::Arc;

use super::{
    activity,
    live::Live,
    manager::Inner,
    remembered::Remembered,
    schedule::Pace,
    snapshot::{EndReason, Storage},
    state::{PendingErase, Phase, Revoke, State},
};
use crate::{
    clock::Now,
    jwt::{Claims, Unverified},
    store::{
        StoreError,
        outbox::{self, Revocation},
        record::{SessionRecord, Unreadable},
        step::{Erase, Stored},
    },
};

impl Inner {
    /// Reads the keychain and makes what it holds the session, unless somebody signed in or out meanwhile.
    pub(super) async fn restore(self: Arc<Self>) {
        // It is no earlier than anything that was noted: what the user does before the keychain answers, a logout above
        // all, is to be dated right even if the clock was set back meanwhile.
        if let Some(noted) = self.remembered().last_activity() {
            self.update_quietly(|state, now| state.not_before(noted, now));
        }
        let generation = self.generation();
        let (loaded, owed) = self.unless_another_mends(self.vault.load().await);
        let remembered = self.remembered();
        let random = self.random();
        let ended = self.update(|state, now| {
            if !owed.is_empty() {
                self.take_waiting(state, owed, now);
            }
            let expected = match (&state.phase, &loaded) {
                (Phase::Restoring, _) => true,
                // Another process signed in.
                (Phase::SignedOut(_), Ok((Stored::Session(record), _))) => {
                    state.pending_erase.is_none() && remembered.why_over(record).is_none()
                }
                _ => false,
            };
            if self.generation() != generation || !expected {
                // Somebody signed in or out first. What earlier runs could not deliver is still owed.
                if let Ok((_, revocations)) = loaded {
                    self.take_waiting(state, revocations, now);
                }
                return None;
            }
            if matches!(state.phase, Phase::SignedOut(_)) {
                // What is still under way for the session that ended here must not touch this one.
                self.next_generation(state);
            }
            match loaded {
                Ok((stored, revocations)) => {
                    state.retries.restore.succeeded();
                    state.storage = Storage::Keychain;
                    state.storage_error = None;
                    self.restored(state, stored, revocations, &remembered, now, random)
                }
                Err(error) => {
                    // Not "signed out": nobody knows (requirement A8).
                    state.storage = Storage::Unavailable;
                    state.storage_error = Some(error.to_string());
                    state.phase = Phase::Restoring;
                    state.retries.restore.failed(Pace::after(&error), now, None, random);
                    state.said.later(move || tracing::warn!(%error, "the session cannot be restored yet"));
                    None
                }
            }
        });
        // Deadlines may have passed while the app was not running; looking applies them.
        self.update(|_, _| ());
        if let Some(sign_in) = ended {
            self.log_ended(&sign_in, EndReason::InvalidToken);
        }
        self.wake.notify_one();
    }

    /// What the keychain held decides where the session stands. Answers the sign-in that turned out to be over.
    fn restored(
        &self,
        state: &mut State,
        stored: Stored,
        revocations: Vec<Revocation>,
        remembered: &Remembered,
        now: Now,
        random: u32,
    ) -> Option<crate::store::record::SignInId> {
        let over = match &stored {
            Stored::Session(record) => remembered.why_over(record).or_else(|| {
                let owed = revocations.iter().any(|r| r.session_id == record.tokens.session_id);
                owed.then_some(EndReason::Logout)
            }),
            Stored::Nothing | Stored::Unreadable(_) => None,
        };
        match stored {
            Stored::Nothing => state.phase = Phase::SignedOut(None),
            Stored::Unreadable(Unreadable::Corrupt) => {
                state.said.later(|| tracing::warn!("the stored session is damaged and will be erased"));
                state.phase = Phase::SignedOut(Some(EndReason::StoreCorrupt));
                state.storage_error = Some("what the keychain held was damaged and has been erased".into());
                state.pending_erase = Some(PendingErase {
                    erase: Erase::Damaged,
                    revocation: None,
                    by_user: false,
                    generation: self.generation(),
                });
            }
            Stored::Unreadable(Unreadable::FromTheFuture) => {
                state.said.later(|| {
                    tracing::warn!("the stored session was written by a newer version; it is left alone");
                });
                state.phase = Phase::SignedOut(Some(EndReason::StoreCorrupt));
                state.storage_error = Some(
                    "the stored session was written by a newer version of this app; it is kept until somebody \
                     signs in here"
                        .into(),
                );
            }
            Stored::Session(record) if over.is_some() => {
                // The end had been decided and only the erase did not get through (requirement C11).
                state.phase = Phase::SignedOut(over);
                let revocation = record.revocation();
                state.owe(revocation.clone());
                state.pending_erase = Some(PendingErase {
                    erase: Erase::SignIn(record.sign_in.clone()),
                    revocation: Some(revocation),
                    by_user: false,
                    generation: self.generation(),
                });
            }
            Stored::Session(record) => {
                let logged = remembered.activity(&record.sign_in);
                let known = [Some(record.started_at), Some(record.last_active_at), logged];
                let checked = self.check_restored(&record);
                state.witness(checked.as_ref().ok().and_then(|claims| claims.as_ref()?.issued_at()), now);
                for moment in known.into_iter().flatten() {
                    state.not_before(moment, now);
                }
                let server_now = state.server_now(now);
                let before = checked.is_err().then(|| self.go_back(&record)).flatten();
                let mut live = match (checked, before) {
                    (Ok(claims), _) => {
                        state.is_there_again(&record.tokens.session_id);
                        let record = self.completed(*record, claims.as_ref());
                        Live::stored(Arc::new(record), claims, server_now, random)
                    }
                    (Err(()), Some((before, claims))) => {
                        state.is_there_again(&before.tokens.session_id);
                        let given_up = record.tokens.refresh_token;
                        let spent = (given_up != before.tokens.refresh_token).then_some(given_up);
                        let live = Live::stored(Arc::new(before), claims, server_now, random);
                        Live { stored: false, spent, ..live }
                    }
                    (Err(()), None) => {
                        let live = Live::stored(Arc::new(*record), None, server_now, random);
                        let sign_in = live.record.sign_in.clone();
                        state.phase = Phase::SignedIn(Box::new(live));
                        self.end_locked(state, EndReason::InvalidToken, Revoke::No);
                        self.take_waiting(state, revocations, now);
                        return Some(sign_in);
                    }
                };
                live.last_active_at = activity::latest_known(live.record.last_active_at, logged, server_now);
                live.activity_logged_at = live.last_active_at;
                // Due with the first sign of the user, if that comes long after the last.
                live.heartbeat_at = live.last_active_at;
                state.phase = Phase::SignedIn(Box::new(live));
            }
        }
        self.take_waiting(state, revocations, now);
        None
    }

    /// Reads what earlier runs could not deliver, if that has not been done: the keychain may have been locked then.
    pub(super) async fn read_outbox(&self) {
        if self.read(|state, _| state.outbox_read) {
            return;
        }
        if let Ok((_, revocations)) = self.vault.load().await {
            self.update(|state, now| self.take_waiting(state, revocations, now));
        }
    }

    /// The same, and nobody waits for it: a keychain that hangs makes it last seconds.
    pub(super) fn read_outbox_later(self: &Arc<Self>) {
        let inner = self.clone();
        self.runtime.spawn(Box::pin(async move {
            inner.read_outbox().await;
            inner.wake.notify_one();
        }));
    }

    pub(super) fn take_waiting(&self, state: &mut State, revocations: Vec<Revocation>, now: Now) {
        state.outbox_read = true;
        for revocation in revocations {
            let in_use =
                state.live().is_some_and(|live| live.record.tokens.session_id == revocation.session_id);
            let matters = revocation.expires_at > state.surely_now(now);
            if matters && !in_use && !state.was_delivered(&revocation.session_id) {
                outbox::add(&mut state.waiting, revocation);
            }
        }
    }

    /// The claims of a stored session token; `Ok(None)` if its key, or that of a refresh token which was never verified, is not
    /// at hand, `Err` if one of them is not genuine or they do not belong together.
    pub(super) fn check_restored(&self, record: &SessionRecord) -> Result<Option<Claims>, ()> {
        let session = self.check_stored(record, record.tokens.session_token.expose())?;
        if session.is_some() && self.is_before_proven(record) {
            return Ok(None);
        }
        // One that was verified when it came is not asked for its key again, which may be gone by now.
        if record.refresh_expires_at.is_some() {
            return Ok(session);
        }
        let refresh = self.check_stored(record, record.tokens.refresh_token.expose())?;
        match (session, refresh) {
            // Their claims are alike; only the longer life tells the two apart (requirement B8).
            (Some(session), Some(refresh)) if session.expires_at() > refresh.expires_at() => {
                if self.verifier.keys_are_first_hand() { Err(()) } else { Ok(None) }
            }
            (session, Some(_)) => Ok(session),
            (_, None) => Ok(None),
        }
    }

    fn check_stored(&self, record: &SessionRecord, token: &str) -> Result<Option<Claims>, ()> {
        match self.verifier.verify(token) {
            Ok(claims)
                if claims.user_id() == record.user_id
                    && claims.session_id() == record.tokens.session_id.expose() =>
            {
                Ok(Some(claims))
            }
            // Kept keys may be wrong or planted; only the issuer's own end a session.
            _ if !self.verifier.keys_are_first_hand() => Ok(None),
            Ok(_) | Err(Unverified::Invalid(_)) => Err(()),
            Err(Unverified::UnknownKey) => Ok(None),
        }
    }

    /// The record with the times that its tokens turn out to have, once `session` has shown that they belong together.
    pub(super) fn completed(&self, mut record: SessionRecord, session: Option<&Claims>) -> SessionRecord {
        if let Some(claims) = session {
            record.expires_at = Some(claims.expires_at());
        }
        if session.is_some()
            && record.refresh_expires_at.is_none()
            && let Ok(refresh) = self.verifier.verify(record.tokens.refresh_token.expose())
        {
            record.refresh_expires_at = Some(refresh.expires_at());
        }
        record
    }

    /// Stores a session that could not be stored so far.
    pub(super) async fn persist(self: Arc<Self>) {
        use crate::store::step::{Commit, Expect};

        let generation = self.generation();
        // Who else reads it should know what we know.
        let current = self.update_live(generation, |state, _| {
            let live = state.live_mut()?;
            Arc::make_mut(&mut live.record).last_active_at = live.last_active_at;
            Some((live.record.clone(), live.expected()))
        });
        let Ok(Some((mut record, mut expect))) = current else { return };
        let said = self.vault.bulletin().read();
        let mut outcome = loop {
            let outcome = self.vault.commit(self.guard(generation), expect, record.clone()).await;
            match outcome {
                // What stands there is what our refresh has spent, or a renewal by a process that did not know of it: ours
                // goes on top, whatever the two say of their age. Unless ours has moved on meanwhile, to what stands there
                // above all: then it is `record` that is spent.
                Ok(Commit::Conflict(Stored::Session(there)))
                    if there.sign_in == record.sign_in
                        && self.still_live(generation, |live| {
                            live.record.tokens == record.tokens && !live.is_superseded_by(&there)
                        }) == Ok(true) =>
                {
                    expect = Expect::Rotation { sign_in: there.sign_in, rotation: there.rotation };
                    let record = Arc::make_mut(&mut record);
                    record.rotation = record.rotation.max(there.rotation.saturating_add(1));
                }
                outcome => break outcome,
            }
        };
        self.tell_replaced(&outcome, &record, said);
        if let Ok(Commit::Conflict(there)) = &outcome {
            outcome = match there {
                Stored::Unreadable(Unreadable::FromTheFuture) => {
                    Err(StoreError::Failed("a newer version of this app keeps its session there"))
                }
                // Another process has a newer truth, damaged or not; if it cannot be adopted either, later is soon enough.
                _ => {
                    self.adopt_from_store(generation).await;
                    let random = self.random();
                    self.update(|state, now| state.retries.persist.failed(Pace::Keychain, now, None, random));
                    return;
                }
            };
        }
        let random = self.random();
        let updated = self.update_live(generation, |state, now| {
            if let Ok(Commit::Written { replaced }) = &outcome {
                state.doubt_is_gone(replaced);
            }
            let Some(live) = state.live_mut().filter(|live| live.record.tokens == record.tokens) else {
                // The tokens moved on meanwhile; the next look stores those.
                return false;
            };
            Arc::make_mut(&mut live.record).rotation = record.rotation;
            match outcome {
                Ok(Commit::Written { replaced }) => {
                    if let Stored::Session(old) = replaced
                        && old.tokens.session_id != record.tokens.session_id
                    {
                        state.owe(old.revocation());
                    }
                    state.note_stored();
                    true
                }
                Ok(Commit::Superseded | Commit::Conflict(_)) => false,
                Err(error) => {
                    state.note_not_stored(&error, now, random);
                    false
                }
            }
        });
        match updated {
            Err(_) => tracing::debug!("the session ended while it was being stored"),
            // What the keychain held before is gone, so no mark is needed against it.
            Ok(true) => self.log_signed_out(None),
            Ok(false) => {}
        }
        self.read_outbox().await;
    }
}
