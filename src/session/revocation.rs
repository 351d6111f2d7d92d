//! The end: at once here, and on the server as soon as it can be told.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    SessionManager,
    budget::Purpose,
    manager::Inner,
    schedule::{Job, Pace},
    sleep::NIGHTS,
    snapshot::{EndReason, Session, Storage},
    state::{PendingErase, Phase, Revoke},
    under_way::{Essential, Running},
};
use crate::{
    api::{ApiError, Verdict},
    clock::{ServerDate, Timestamp},
    error::Error,
    secret::SessionId,
    store::{
        outbox::{self, Revocation},
        record::SessionRecord,
        step::{Ended, Erase, Stored},
        worker::Urgency,
    },
};

impl SessionManager {
    /// Signs the user out, with or without a network: the generation moves on, the keychain entry is erased, memory is
    /// cleared, everyone is told, and the server is told as soon as it can be (rule 10).
    ///
    /// Always succeeds: a keychain that does not answer within its bound is erased when it does, and until then a note
    /// outside it keeps the session from coming back.
    pub async fn logout(&self) -> Session {
        let inner = self.0.clone();
        let essential = Essential::start(&inner);
        let (done, ended) = oneshot::channel();
        self.0.runtime.spawn(Box::pin(async move {
            inner.end_by_user().await;
            drop(essential);
            // Whoever asked may be gone; the logout was done all the same.
            let _ = done.send(());
        }));
        if ended.await.is_err() {
            tracing::error!("the logout ended without a result");
        }
        self.current()
    }
}

impl Inner {
    async fn end_by_user(self: Arc<Self>) {
        // The background loop must not begin with the erase, which tells the server of what it finds, before the notes are made.
        let erasing = Running::start(&self, Job::Erase);
        let kept = self.kept_by_peers();
        let (ended, revocation, at) = self.update_quietly(|state, now| {
            let (sign_in, began, revocation) = match &state.phase {
                Phase::SignedIn(live) | Phase::Replacing(live) => {
                    (Some(live.record.sign_in.clone()), Some(live.record.started_at), Some(live.revocation()))
                }
                Phase::Restoring | Phase::SignedOut(_) => (None, None, None),
            };
            if let Some(Revocation { session_id, .. }) = &revocation {
                // From here on whoever finds the note of this end may deliver it.
                state.not_delivered(session_id);
            }
            let at = began.into_iter().fold(state.server_now(now), Timestamp::max);
            let generation = self.next_generation(state);
            state.user_actions += 1;
            let earlier = state.pending_erase.take().and_then(|pending| pending.revocation);
            state.end(generation, EndReason::Logout, Revoke::No);
            if matches!(state.phase, Phase::Restoring) {
                state.phase = Phase::SignedOut(Some(EndReason::Logout));
            }
            // Whatever stands in the keychain goes: who signs out of an app means all of it. But not what somebody signs
            // in to in another process, should the keychain not take the erase before that.
            state.pending_erase = Some(PendingErase {
                erase: Erase::NotAfter(at, kept.clone()),
                revocation: revocation.clone().or(earlier),
                by_user: true,
                generation,
            });
            // A wait that the server asked for stands.
            state.retries.revoke.may_be_cured(now.monotonic);
            (sign_in, revocation, at)
        });
        for sign_in in ended.iter().chain(&kept) {
            self.log_ended(sign_in, EndReason::Logout);
        }
        // Until the erase got through: whatever turns out to be in the keychain is over (requirement C11).
        self.log_signed_out(Some(at));
        self.post_logout(at, kept.as_ref());
        // The server hears of it only now: a process that is killed before these notes must not find its session again.
        self.update_quietly(|state, _| {
            let settled = |Revocation { session_id, .. }: &Revocation| {
                let again = state.live().is_some_and(|live| live.record.tokens.session_id == *session_id);
                again || state.was_delivered(session_id)
            };
            if let Some(revocation) = revocation.filter(|revocation| !settled(revocation)) {
                state.owe(revocation);
            }
        });
        // The keychain may take seconds.
        self.update(|_, _| ());
        self.clone().erase().await;
        drop(erasing);
        tracing::info!("signed out");
        self.update(|_, _| ());
        self.wake.notify_one();
    }

    /// Erases the entry that must go.
    pub(super) async fn erase(self: Arc<Self>) {
        let Some(pending) = self.read(|state, _| state.pending_erase.clone()) else { return };
        if matches!(pending.erase, Erase::Damaged) && self.presence.of_another() {
            // Somebody has signed in since, and has the entry.
            self.update_quietly(|state, _| {
                state.pending_erase.take_if(|late| matches!(late.erase, Erase::Damaged));
            });
            return;
        }
        let guard = self.guard(pending.generation);
        let actions = self.read(|state, _| state.user_actions);
        let erase = self.what_to_erase(&pending);
        let revocation = pending.revocation;
        let if_replaced = revocation.as_ref().is_some_and(|revocation| revocation.if_replaced);
        let mut noted: Vec<_> = revocation.iter().map(|revocation| revocation.session_id.clone()).collect();
        let outcome = {
            let inner = self.clone();
            let why = if pending.by_user { EndReason::Logout } else { EndReason::Replaced };
            self.vault.end(erase, revocation, Some(guard), move |found| inner.end_found(found, why)).await
        };
        if let Ok(Ended { found: Some(found), .. }) = &outcome {
            noted.push(found.session_id.clone());
        }
        let erased = outcome.is_ok();
        // With a newer generation the erase was passed over, which is no erase.
        if pending.by_user && erased && self.generation() == pending.generation {
            self.log_signed_out(None);
        }
        if let Ok(Ended { again: Some(again), .. }) = &outcome {
            self.owes_no_more(again, actions);
        }
        let random = self.random();
        self.update_quietly(|state, now| {
            if (if_replaced || matches!(pending.erase, Erase::Damaged)) && erased {
                // Whether it is owed, or what others had planned is, the keychain says.
                state.outbox_read = false;
            }
            if state.pending_erase.as_ref().is_none_or(|p| p.generation != pending.generation) {
                return;
            }
            match outcome {
                Ok(_) => {
                    state.pending_erase = None;
                    state.retries.erase.succeeded();
                    if state.live().is_none() {
                        state.storage = Storage::Keychain;
                    }
                }
                Err(error) => {
                    state.storage_error = Some(error.to_string());
                    state.retries.erase.failed(Pace::after(&error), now, None, random);
                    state.said.later(move || {
                        tracing::warn!(%error, "the ended session could not be erased yet");
                    });
                }
            }
        });
        for session_id in noted {
            self.forget_if_delivered(session_id).await;
        }
        if erased {
            // The keychain may not have answered before, and know of debts of earlier runs.
            self.read_outbox().await;
        }
    }

    /// What of the entry must go.
    fn what_to_erase(&self, pending: &PendingErase) -> Erase {
        match (pending.erase.clone(), self.last_logout()) {
            // Whoever has signed in since with an earlier time has shown that ours was wrong.
            (Erase::NotAfter(at, named), Some(noted)) if pending.by_user => {
                Erase::NotAfter(at.min(noted.at), named)
            }
            (erase, _) => erase,
        }
    }

    /// An erase has found a session that may be nobody's here: what was there has not been asked since another process
    /// signed in, or the keychain has not answered before. Whoever waits for the erase may have given up by now.
    fn end_found(self: &Arc<Self>, found: &SessionRecord, why: EndReason) {
        let revocation = found.revocation();
        self.update_quietly(|state, _| {
            let id = &revocation.session_id;
            let known = state.waiting.iter().any(|waiting| waiting.session_id == *id);
            if !known && !state.was_delivered(id) {
                outbox::add(&mut state.waiting, revocation);
                // Should the keychain not take the note.
                state.unnoted = true;
            }
        });
        // Another process may show it, and is to know why it is over. If it was ours, that is known.
        self.tell_ended(&found.sign_in, why);
        self.wake.notify_one();
    }

    /// Makes sure that revocations which came up without an erase survive a restart.
    pub(super) async fn note_waiting_revocations(self: Arc<Self>) {
        let waiting = self.update_quietly(|state, _| {
            state.unnoted = false;
            state.waiting.clone()
        });
        for revocation in waiting {
            let session_id = revocation.session_id.clone();
            let actions = self.read(|state, _| state.user_actions);
            // What has ended and stands there still, or another sign-in's?
            let erase =
                self.read(|state, _| state.pending_erase.clone()).map(|pending| self.what_to_erase(&pending));
            let remembered = self.remembered();
            let is_over = move |there: &SessionRecord| {
                erase.is_some_and(|erase| erase.takes(there)) || remembered.why_over(there).is_some()
            };
            match self.vault.note_revocation(revocation, is_over).await {
                Ok(None) => {}
                Ok(Some(again)) => {
                    self.owes_no_more(&again, actions);
                }
                Err(error) => {
                    tracing::warn!(%error, "a revocation could not be stored yet; it is kept in memory");
                    let random = self.random();
                    self.update_quietly(|state, now| {
                        state.unnoted = true;
                        state.retries.note.failed(Pace::after(&error), now, None, random);
                    });
                    return;
                }
            }
            self.forget_if_delivered(session_id).await;
        }
        self.update_quietly(|state, _| state.retries.note.succeeded());
    }

    /// What was noted in the keychain while it was being delivered would be delivered again after a restart.
    async fn forget_if_delivered(&self, session_id: SessionId) {
        let (delivered, now) =
            self.read(|state, now| (state.was_delivered(&session_id), state.surely_now(now)));
        if delivered && let Err(error) = self.vault.settle_revocation(session_id, now).await {
            tracing::warn!(%error, "a delivered revocation could not be removed from the keychain");
        }
    }

    /// Whether somebody has signed in again to a session that the server is to be told of. The keychain is asked only when
    /// another process says that somebody is signed in.
    async fn is_signed_in_to_again(&self, session_id: &SessionId) -> bool {
        let Some(kept) = self.kept_by_peers() else { return false };
        let remembered = self.remembered();
        let (ours, erase, actions) = self.read(|state, _| {
            // As long as it is not stored something else stands there.
            let ours = state.shown().is_some_and(|live| live.stored && live.record.sign_in == kept);
            (ours, state.pending_erase.clone(), state.user_actions)
        });
        if ours || remembered.why_ended(&kept).is_some() {
            return false;
        }
        let Ok(Stored::Session(there)) = self.vault.read(Urgency::CanWait).await else { return false };
        let again = there.tokens.session_id == *session_id
            && !erase.is_some_and(|pending| self.what_to_erase(&pending).takes(&there))
            && remembered.why_over(&there).is_none();
        again && self.owes_no_more(session_id, actions)
    }

    /// Somebody has signed in to it again, as the keychain showed after so many `actions` of the user. Answers whether that still
    /// counts: it may have been ended here since.
    pub(super) fn owes_no_more(&self, again: &SessionId, actions: u64) -> bool {
        self.update_quietly(|state, _| {
            let counts = state.user_actions == actions;
            if counts {
                state.is_there_again(again);
            }
            counts
        })
    }

    /// Tells the server of every session that is over. One that it refuses for good does not hold up the others.
    pub(super) async fn deliver_revocations(self: Arc<Self>) {
        let mut all_delivered = true;
        for revocation in self.read(|state, _| state.waiting.clone()) {
            // The keychain may take so long that the machine falls asleep meanwhile, and what it has said is old after a wait.
            let mut again = self.is_signed_in_to_again(&revocation.session_id).await;
            for _ in 0..NIGHTS {
                if !self.network_settled().await {
                    break;
                }
                again = self.is_signed_in_to_again(&revocation.session_id).await;
            }
            let (still_over, claimed) = self.read(|state, _| {
                let id = &revocation.session_id;
                (
                    state.waiting.iter().any(|waiting| waiting.session_id == *id),
                    state.claiming.iter().any(|claiming| claiming.session_id == *id),
                )
            });
            if !still_over {
                // Somebody signed in with this very session while others were being delivered.
                continue;
            }
            if claimed {
                // Somebody is about to.
                let random = self.random();
                self.update_quietly(|state, now| {
                    state.retries.revoke.failed(Pace::Quick, now, None, random);
                });
                all_delivered = false;
                continue;
            }
            if again {
                continue;
            }
            let random = self.random();
            if let Err(error) = self.may_call(Purpose::Duty) {
                self.update_quietly(|state, now| {
                    state.retries.revoke.failed(Pace::Quick, now, error.retry_after(), random);
                });
                return;
            }
            let asked = self.now();
            let answer = self.api.revoke(&revocation.session_id).await;
            self.update(|state, now| {
                state.learn_server_time(ServerDate::heard(answer.server_date, asked), now)
            });
            let now = self.read(|state, now| state.surely_now(now));
            let asked_to_wait = answer.outcome.as_ref().err().and_then(ApiError::retry_after);
            match answer.outcome {
                Ok(()) => {
                    tracing::info!("a revocation was delivered");
                    self.update_quietly(|state, _| state.counters.revocations_delivered += 1);
                }
                // Tried once all the same: the clock by which it has may be wrong.
                Err(_) if revocation.expires_at <= now => {
                    tracing::info!("a revocation is dropped: the session has expired by itself");
                    self.update_quietly(|state, now| state.retries.revoke.asked_to_wait(asked_to_wait, now));
                }
                Err(error) => {
                    tracing::info!(%error.error, "a revocation could not be delivered yet");
                    let refused = error.verdict == Verdict::Permanent;
                    let pace = if refused { Pace::Exchange } else { Pace::Quick };
                    self.update_quietly(|state, now| {
                        state.retries.revoke.failed(pace, now, error.retry_after(), random);
                    });
                    all_delivered = false;
                    if refused && asked_to_wait.is_none() {
                        continue;
                    }
                    return;
                }
            }
            self.update(|state, _| state.settle(&revocation.session_id));
            match self.vault.settle_revocation(revocation.session_id, now).await {
                // Other processes may have left theirs, and be gone.
                Ok(left) => self.update(|state, now| self.take_waiting(state, left, now)),
                // It will be delivered once more after a restart, which the server takes as done.
                Err(error) => {
                    tracing::warn!(%error, "a delivered revocation could not be removed from the keychain");
                }
            }
            if asked_to_wait.is_some() {
                return;
            }
        }
        if all_delivered {
            self.update_quietly(|state, _| state.retries.revoke.succeeded());
        }
    }
}

/// For work that ended without a result: it panicked, or the runtime is shutting down.
pub(super) fn lost() -> Error {
    Error::internal("the work ended without a result; the session is as it was")
}
