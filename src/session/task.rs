//! The background loop: sleeps until something is due, starts it, sleeps again.
//!
//! It only makes early what any look at the session would do anyway (rule 7). Signed out, with nothing left to
//! deliver, it does not wake at all.

use std::sync::Arc;

use super::{
    SessionManager,
    manager::Inner,
    schedule::{Duty, Job, Pace},
    under_way::Running,
};
use crate::session::{
    snapshot::{EndReason, Exchange},
    state::Revoke,
};

impl SessionManager {
    /// Brings the manager to life: restores the session and looks after it until the runtime ends.
    pub async fn run(self) {
        let inner = self.0;
        loop {
            inner.hear_time();
            inner.update(|_, _| ());
            inner.hear_logout();
            if inner.peers_have_news() || inner.is_said_to_be_damaged() {
                inner.start(Job::News);
            }
            let plan = inner.plan();
            if !plan.due.is_empty() {
                for duty in plan.due {
                    inner.perform(duty);
                }
                // A runtime that shuts down drops what is spawned on it at once, which leaves everything due: without
                // a pause here this loop would never let it end.
                tokio::task::yield_now().await;
                continue;
            }
            inner.set_timer(plan.sleep);
            match plan.sleep {
                None => inner.wake.notified().await,
                Some(sleep) => tokio::select! {
                    // In order, so that a simulation can be played again.
                    biased;
                    () = inner.wake.notified() => {}
                    () = tokio::time::sleep(sleep) => {}
                },
            }
            inner.set_timer(None);
        }
    }
}

impl Inner {
    fn perform(self: &Arc<Self>, duty: Duty) {
        match duty {
            // A look applies the deadline.
            Duty::End(_) | Duty::Look => self.update(|_, _| ()),
            Duty::Warn => {
                self.ask_peers();
                self.update(|state, now| state.warn(&self.policy, now));
            }
            Duty::Start(job) => self.start(job),
        }
    }

    fn start(self: &Arc<Self>, job: Job) {
        let Some(running) = Running::start(self, job) else { return };
        let inner = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let _running = running;
            match job {
                Job::Restore => inner.restore().await,
                Job::Keys => inner.verify_restored().await,
                Job::Persist => inner.persist().await,
                Job::Erase => {
                    inner.clone().erase().await;
                    inner.update(|_, _| ());
                }
                Job::Note => inner.note_waiting_revocations().await,
                Job::News => inner.take_news().await,
                Job::Revoke => inner.deliver_revocations().await,
                // Their outcome is in the state; there is nobody here to tell.
                Job::Refresh => drop(inner.refresh_shared().await),
                Job::Heartbeat => drop(inner.authenticate_shared().await),
            }
        }));
    }

    /// Fetches keys and verifies the token that could not be verified so far.
    async fn verify_restored(self: Arc<Self>) {
        self.network_settled().await;
        let Ok((generation, record)) = self.with_live(|live, _, _| live.record.clone()) else { return };
        let fetched = self.verifier.fetch_keys().await;
        let verified = self.check_restored(&record);

        if let Ok(fetched) = &fetched {
            self.update_quietly(|state, now| state.learn_server_time(fetched.server_date, now));
        }
        let Ok(verified) = verified else {
            if self.goes_by_others(generation, &record) {
                return;
            }
            self.end(generation, EndReason::InvalidToken, Revoke::Yes);
            return;
        };
        let random = self.random();
        let updated = self.update_live(generation, |state, now| {
            // One that was not made, because there was one a moment ago, has come to nothing new.
            if !matches!(&fetched, Ok(fetched) if !fetched.fetched) {
                let error = fetched.as_ref().err().cloned();
                state.last_key_fetch = Some(Exchange { at: now.wall, ok: error.is_none(), error });
            }
            let Some(live) = state.live_mut().filter(|live| live.record == record) else { return };
            match verified {
                Some(claims) => {
                    let record = self.completed((*record).clone(), Some(&claims));
                    live.set_tokens(Arc::new(record), Some(claims));
                    state.retries.keys.succeeded();
                }
                None => {
                    live.key_is_gone |= fetched.as_ref().is_ok_and(|fetched| fetched.fetched);
                    let wait = match &fetched {
                        Ok(fetched) => fetched.held_for,
                        Err(error) => error.retry_after(),
                    };
                    state.retries.keys.failed(Pace::Quick, now, wait, random);
                    if let Err(error) = fetched {
                        state.said.later(move || {
                            tracing::warn!(%error, "the keys to verify the session could not be fetched");
                        });
                    }
                }
            }
        });
        if updated.is_err() {
            tracing::debug!("the session ended while its keys were being fetched");
        }
    }
}
