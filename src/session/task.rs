//! The background loop: sleeps until something is due, starts it, sleeps again.
//!
//! It only makes early what any look at the session would do anyway (rule 7). Signed out, with nothing left to
//! deliver, it does not wake at all.

use std::{sync::Arc, time::Duration};

use super::{
    SessionManager,
    manager::Inner,
    schedule::{Duty, Job, Pace},
    under_way::Running,
};
use crate::{
    clock::Now,
    session::{
        snapshot::{EndReason, Exchange},
        state::Revoke,
    },
};

/// Wall and monotonic time that drift apart by more than this in one sleep mean suspend or a changed clock.
const JUMP: Duration = Duration::from_secs(5);

/// Whether this system's monotonic clock goes on while the machine sleeps. Elsewhere a timer that was over long ago is one of a
/// process that was stopped, which cures no network.
const MONOTONIC_SLEEPS_NOT: bool = cfg!(windows);

/// After a wake-up the network gets this long to come back before it is used.
const SETTLE: Duration = Duration::from_secs(3);

impl SessionManager {
    /// Brings the manager to life: restores the session and looks after it until the runtime ends.
    pub async fn run(self) {
        let inner = self.0;
        let mut settled_at = Duration::ZERO;
        let mut looked = inner.now();
        loop {
            inner.hear_time();
            inner.update(|_, _| ());
            inner.hear_logout();
            if inner.peers_have_news() || inner.is_said_to_be_damaged() {
                inner.start(Job::News);
            }
            let mut plan = inner.plan();
            let now = inner.now();
            if now.monotonic < settled_at {
                plan.due.retain(|duty| !uses_network(*duty));
                let left = settled_at - now.monotonic;
                plan.sleep = Some(plan.sleep.map_or(left, |sleep| sleep.min(left)));
            }
            if !plan.due.is_empty() {
                for duty in plan.due {
                    inner.perform(duty);
                }
                // A runtime that shuts down drops what is spawned on it at once, which leaves everything due: without
                // a pause here this loop would never let it end.
                tokio::task::yield_now().await;
                plan.sleep = None;
            } else {
                match plan.sleep {
                    None => inner.wake.notified().await,
                    Some(sleep) => tokio::select! {
                        // In order, so that a simulation can be played again.
                        biased;
                        () = inner.wake.notified() => {}
                        () = tokio::time::sleep(sleep) => {}
                    },
                }
            }
            // Since the last such look, and not since the plan: a machine also falls asleep while there is work to do. Where the
            // monotonic clock goes on in a sleep, only a timer that was waited for shows that.
            let before = std::mem::replace(&mut looked, inner.now());
            if jumped(before, looked, plan.sleep.filter(|_| MONOTONIC_SLEEPS_NOT)) {
                tracing::debug!("the machine slept");
                settled_at = looked.monotonic + SETTLE;
                inner.update_quietly(|state, _| state.retries.network_may_be_back(before.monotonic));
            }
        }
    }
}

fn uses_network(duty: Duty) -> bool {
    matches!(duty, Duty::Start(Job::Refresh | Job::Keys | Job::Heartbeat | Job::Revoke))
}

/// Whether the machine slept since `before`. Where the monotonic clock goes on in a sleep only the timer shows it, which was for
/// `planned` and over long ago. Where no clock tells a sleep from a clock that was set, the latter counts as one.
fn jumped(before: Now, after: Now, planned: Option<Duration>) -> bool {
    let overslept = planned.is_some_and(|planned| {
        after.monotonic.saturating_sub(before.monotonic).saturating_sub(planned) > JUMP
    });
    let slept = after.apart_from(before).saturating_sub(after.set_since(before).unwrap_or(0));
    overslept || u128::from(slept.unsigned_abs()) > JUMP.as_millis()
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
        let Ok((generation, record)) = self.with_live(|live, _, _| live.record.clone()) else { return };
        let fetched = self.verifier.fetch_keys().await;
        let verified = self.check_restored(&record);

        let Ok(verified) = verified else {
            self.end(generation, EndReason::InvalidToken, Revoke::Yes);
            return;
        };
        let random = self.random();
        let updated = self.update_live(generation, |state, now| {
            if let Ok(fetched) = &fetched {
                state.learn_server_time(fetched.server_date, now);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const SECOND: Duration = Duration::from_secs(1);

    /// `wall` and `monotonic` in seconds.
    fn at(wall: i64, monotonic: u64) -> Now {
        Now { wall: Timestamp(wall * 1000), monotonic: Duration::from_secs(monotonic), unset: None }
    }

    #[test]
    fn c10_a_sleep_is_noticed_whichever_clock_stands_still_in_it() {
        let minute = Some(60 * SECOND);
        assert!(!jumped(at(0, 0), at(60, 60), minute) && !jumped(at(0, 0), at(3, 3), minute));
        assert!(!jumped(at(0, 0), at(65, 65), minute), "a busy machine is a little late");
        assert!(jumped(at(0, 0), at(8 * 3600, 60), minute), "the monotonic clock stood still");
        assert!(jumped(at(0, 0), at(8 * 3600, 8 * 3600), minute), "neither did, and the timer is late");
        assert!(jumped(at(0, 0), at(-3600, 60), minute), "the clock was set back");
        let with = |wall, monotonic, unset| Now { unset: Some(unset * SECOND), ..at(wall, monotonic) };
        assert!(jumped(with(0, 0, 0), with(3600, 60, 3600), minute), "the clock that nobody sets went on");
        assert!(!jumped(with(0, 0, 0), with(3600, 60, 60), minute), "the clock was set, and nothing slept");
        assert!(
            jumped(with(0, 0, 0), with(60, 60, 3600), minute),
            "it slept, and its clock was set back by as much"
        );
        assert!(
            !jumped(at(0, 0), at(8 * 3600, 8 * 3600), None),
            "nothing was due: nobody knows, and nothing waits"
        );
    }
}
