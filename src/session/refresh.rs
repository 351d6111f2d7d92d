//! Buying a new session token, with a refresh token that may be good for one use only.
//!
//! The order is the whole point (rule 3). One flight at a time in this process; under it one process at a time, by
//! file lock. Under the lock the keychain is read again, because another process may have spent our token and stored
//! a better one. After the exchange: keychain first, read back, then memory, then everyone. A crash anywhere leaves
//! either the old tokens or the new, and whoever was told of the new can find them again.

use std::sync::Arc;

use super::{
    SessionManager,
    adopt::{Adopted, hidden},
    budget::Purpose,
    lock::RefreshLock,
    manager::Inner,
    revocation::lost,
    rotated::When,
    schedule::{Job, Pace},
    snapshot::{EndReason, Exchange, Session},
    state::Revoke,
    under_way::{Essential, Running},
};
use crate::{
    api::{ApiError, Verdict},
    clock::ServerDate,
    error::{Error, ErrorKind, Result},
    store::record::SessionRecord,
};

impl SessionManager {
    /// Renews the session token now. Callers share one exchange; one that went well is not repeated within
    /// [`MIN_EXCHANGE_INTERVAL`](super::MIN_EXCHANGE_INTERVAL), one that failed not for a minute, or for as long as the server asked.
    ///
    /// # Errors
    ///
    /// `NotSignedIn`, `Rejected` (the session has ended), or why the exchange failed; the session is kept then.
    pub async fn refresh(&self) -> Result<Session> {
        self.0.wait_for_restore().await;
        self.0.refresh_on_request().await?;
        Ok(self.current())
    }
}

/// OTPless's code for parameters that are missing or make no sense.
const MALFORMED: &str = "7101";

/// What an exchange came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchanged {
    /// The session is renewed, here or by another process, or over.
    Done,
    /// The token was refused that another process had replaced; the newer one is here, and due as well.
    Outdated,
    /// The token was refused that could never be verified; the one before may be what the server knows.
    WentBack,
}

impl Inner {
    /// The exchange as callers get it: shared, and not more often than the server should bear (requirement D9).
    pub(super) async fn refresh_on_request(self: &Arc<Self>) -> Result<()> {
        let mut recent = self.recent_refresh()?;
        if let Some(Err(_)) = recent {
            // Another process may have renewed it while this one has to wait.
            self.hear_peers().await;
            recent = self.recent_refresh()?;
        }
        match recent {
            Some(outcome) => outcome,
            None => self.refresh_shared().await,
        }
    }

    /// What came of the last exchange, if that is the answer to whoever asks for another.
    fn recent_refresh(&self) -> Result<Option<Result<()>>> {
        let (_, recent) = self.with_live(|live, state, now| {
            let valid = live.claims.as_ref().is_some_and(|claims| claims.is_valid_at(state.server_now(now)));
            if valid && live.was_refreshed_lately(now) {
                return Some(Ok(()));
            }
            let held = state.retries.refresh.holds_callers(now);
            held.then(|| state.last_refresh_failed(now).map_or(Ok(()), Err))
        })?;
        Ok(recent)
    }

    /// Joins the exchange under way or starts one.
    pub(super) async fn refresh_shared(self: &Arc<Self>) -> Result<()> {
        let inner = self.clone();
        let flight = self.refreshing.run(&*self.runtime, || inner.refresh_once());
        match flight.await {
            Ok(outcome) => outcome,
            Err(_) => {
                let random = self.random();
                self.update(|state, now| {
                    state.last_refresh = Some(Exchange { at: now.wall, ok: false, error: Some(lost()) });
                    state.retries.refresh.failed(Pace::Exchange, now, None, random);
                });
                Err(lost())
            }
        }
    }

    async fn refresh_once(self: Arc<Self>) -> Result<()> {
        let _running = Running::start(&self, Job::Refresh);
        let (generation, asked_for) = self.with_live(|live, _, _| live.record.clone())?;
        let outcome = self.refresh_locked(generation, &asked_for).await;
        let random = self.random();
        self.update(|state, now| {
            // Unless somebody else has signed in since, whom it does not concern.
            if self.generation() == generation || state.live().is_none() {
                state.last_refresh = Some(Exchange {
                    at: now.wall,
                    ok: outcome.is_ok(),
                    error: outcome.as_ref().err().cloned(),
                });
            }
            if let Err(error) = &outcome {
                let why = error.clone();
                state.said.later(move || tracing::warn!(%why, "the session token could not be renewed"));
                state.counters.refresh_failures += 1;
                // A session that began meanwhile has failed at nothing yet.
                if self.generation() == generation {
                    state.retries.refresh.failed_with(error, error.retry_after(), now, random);
                } else {
                    state.retries.refresh.asked_to_wait(error.retry_after(), now);
                }
            }
        });
        if self.verifier.keys_are_due() {
            let inner = self.clone();
            // Nobody waits for it: the keys at hand are good for days.
            self.runtime.spawn(Box::pin(async move {
                inner.network_settled().await;
                if let Ok(fetched) = inner.verifier.fetch_keys().await {
                    inner.update(|state, now| state.learn_server_time(fetched.server_date, now));
                }
            }));
        }
        outcome
    }

    async fn refresh_locked(self: &Arc<Self>, generation: u64, asked_for: &SessionRecord) -> Result<()> {
        let kept = self.update_quietly(|state, _| state.live_mut().and_then(|live| live.unsaved.take()));
        let lock = match kept {
            Some(lock) => lock,
            None => RefreshLock::acquire(self.refresh_lock.clone()).await?,
        };
        let mut outcome = self.exchange(generation, asked_for).await;
        match outcome {
            // Once more with what another process has: under the lock nobody replaces that.
            Ok(Exchanged::Outdated) => outcome = self.exchange(generation, asked_for).await,
            Ok(Exchanged::WentBack) => {
                outcome = match self.still_live(generation, |live| live.record.clone()) {
                    Ok(before) => self.exchange(generation, &before).await,
                    Err(over) => Err(over),
                };
            }
            _ => {}
        }
        if self.generation() != generation {
            // It ended meanwhile. Whoever gets the lock next must not find the token that was spent just now.
            self.clone().erase().await;
        }
        self.update_quietly(|state, _| {
            if self.generation() == generation
                && let Some(live) = state.live_mut().filter(|live| !live.stored && live.spent.is_some())
            {
                live.unsaved = Some(lock);
            }
        });
        match outcome? {
            Exchanged::Done => Ok(()),
            Exchanged::Outdated | Exchanged::WentBack => Err(Error::session_changed()),
        }
    }

    async fn exchange(self: &Arc<Self>, generation: u64, asked_for: &SessionRecord) -> Result<Exchanged> {
        match self.adopt_or_disprove(generation).await {
            Adopted::Settled => return Ok(Exchanged::Done),
            Adopted::NotOurs => return Err(taken_over()),
            Adopted::Hidden(why) => return Err(hidden(&why)),
            Adopted::Nothing => {}
        }
        let said = self.kept_by_peers();
        let stored = self.still_live(generation, |live| live.stored.then(|| live.record.sign_in.clone()))?;
        if let (Some(theirs), Some(ours)) = (said, stored)
            && theirs != ours
            && let Err(error) = self.vault.correct_bulletin().await
        {
            tracing::debug!(%error, "what is said of the keychain cannot be corrected");
        }
        let renewed = self.with_live(|live, state, now| {
            let due = live.refresh_at.is_none_or(|at| state.server_now(now) >= at);
            let newer = live.record.tokens.refresh_token != asked_for.tokens.refresh_token;
            !due && (newer || live.was_refreshed_lately(now))
        });
        if renewed == Ok((generation, true)) {
            // Another process had refreshed it, and this one heard of it on the way here.
            return Ok(Exchanged::Done);
        }
        self.network_settled().await;
        let _essential = Essential::start(self);
        let record = self.still_live(generation, |live| live.record.clone())?;
        // Whoever shared the last exchange, and was told to wait, may be the next to ask.
        let held = self.read(|state, now| {
            state.retries.refresh.wait_left(now).and_then(|_| state.last_refresh_failed(now))
        });
        if let Some(error) = held {
            return Err(error);
        }
        self.may_call(Purpose::Duty)?;
        let asked = self.now();
        let answer = self.api.refresh(&record.tokens.refresh_token, record.state.as_deref()).await;
        let known = self.update_quietly(|state, now| {
            let known = state.server_now(now);
            state.learn_server_time(ServerDate::heard(answer.server_date, asked), now);
            known
        });
        match answer.outcome {
            Ok(refreshed) => {
                let when = When { date: answer.server_date, known };
                let taken = self.take_refreshed(generation, &record, refreshed, when).await;
                taken.map(|()| Exchanged::Done)
            }
            Err(error) => self.refused(generation, &record, error).await,
        }
    }

    /// What a failed exchange means. A rejection is believed only after another look at the keychain: the token may
    /// be spent because another process has the next one (requirement C4).
    async fn refused(
        self: &Arc<Self>,
        generation: u64,
        record: &SessionRecord,
        error: ApiError,
    ) -> Result<Exchanged> {
        // A server need not know a token for one that it has never issued.
        let is_foreign = error.error.code() == Some(MALFORMED)
            && self.still_live(generation, |live| live.key_is_gone) == Ok(true);
        if error.verdict != Verdict::Over && !is_foreign {
            return Err(error.error);
        }
        match self.adopt_from_store(generation).await {
            Adopted::Settled => return Ok(Exchanged::Done),
            Adopted::Hidden(why) => return Err(hidden(&why)),
            Adopted::NotOurs => return Err(taken_over()),
            Adopted::Nothing => {}
        }
        let ours = self.still_live(generation, |live| live.record.clone())?;
        if ours.tokens.refresh_token != record.tokens.refresh_token {
            return Ok(Exchanged::Outdated);
        }
        // Whoever refused it may never have issued it.
        let before = ours.proven.as_ref().map(|before| &before.refresh_token);
        if before.is_some_and(|before| *before != ours.tokens.refresh_token)
            && self.goes_by_others(generation, &ours)
        {
            return Ok(Exchanged::WentBack);
        }
        if error.verdict != Verdict::Over {
            return Err(error.error);
        }
        let expired =
            self.read(|state, now| record.refresh_expires_at.is_some_and(|at| state.server_now(now) >= at));
        let reason = if expired { EndReason::Expired } else { EndReason::Revoked };
        // The server may only have refused a token that was spent, because the answer that came with the next one was
        // lost: then the session goes on there, and nobody here holds its tokens.
        self.end(generation, reason, Revoke::Yes);
        Err(error.error)
    }
}

fn taken_over() -> Error {
    Error::new(
        ErrorKind::Storage,
        "a newer version of this app has taken the stored session over; restart the app to use that version. The \
         session is kept in memory until its token expires",
    )
}
