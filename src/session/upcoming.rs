//! What a session has ahead of it: deadlines and duties, each with its moment. `schedule` sorts them.

use super::{
    activity::Policy,
    live::Live,
    retry::Retry,
    schedule::{Duty, HEARTBEAT_INTERVAL, Job, When},
    snapshot::EndReason,
    state::{Phase, State},
};
use crate::clock::{Now, Timestamp};

impl State {
    /// When what becomes due. The order is the order in which things due together are done: deadlines first.
    pub(crate) fn upcoming(&self, policy: &Policy, now: Now) -> Vec<(When, Duty)> {
        let mut upcoming = Vec::new();
        let start = |retry: Retry, job: Job| (When::Monotonic(retry.not_before()), Duty::Start(job));
        match &self.phase {
            // What is being stored decides what the keychain holds.
            Phase::Restoring if self.storing.is_some() => {}
            Phase::Restoring => upcoming.push(start(self.retries.restore, Job::Restore)),
            Phase::SignedOut(_) => {}
            Phase::Replacing(live) => self.deadlines_of(live, policy, &mut upcoming),
            Phase::SignedIn(live) => {
                self.deadlines_of(live, policy, &mut upcoming);
                self.duties_of(live, policy, now, &mut upcoming);
            }
        }
        if self.pending_erase.is_some() {
            upcoming.push(start(self.retries.erase, Job::Erase));
        }
        if let Some(at) = self.next_look() {
            upcoming.push((When::Monotonic(at), Duty::Look));
        }
        // An erase that is to come notes its revocation itself.
        if self.unnoted && self.pending_erase.is_none() {
            upcoming.push(start(self.retries.note, Job::Note));
        }
        if !self.waiting.is_empty() {
            upcoming.push(start(self.retries.revoke, Job::Revoke));
        }
        upcoming.retain(|(_, duty)| !matches!(duty, Duty::Start(job) if self.running.contains(job)));
        upcoming
    }

    fn deadlines_of(&self, live: &Live, policy: &Policy, upcoming: &mut Vec<(When, Duty)>) {
        if let Some(at) = policy.lifetime_deadline(live.record.started_at) {
            upcoming.push((When::Wall(self.local(at)), Duty::End(EndReason::Lifetime)));
        }
        if let Some(at) = policy.inactivity_deadline(live.last_active_at) {
            upcoming.push((When::Wall(self.local(at)), Duty::End(EndReason::Inactive)));
        }
        if let (Some(token), Some(refresh), true) = (
            live.record.expires_at,
            live.record.last_expires_at(),
            self.skew_known && self.expiry_counts(live),
        ) {
            let at = token.max(refresh);
            upcoming.push((When::Wall(self.local(at).max(at)), Duty::End(EndReason::Expired)));
        }
    }

    fn duties_of(&self, live: &Live, policy: &Policy, now: Now, upcoming: &mut Vec<(When, Duty)>) {
        if let Some(at) = policy.warning_at(live.last_active_at).filter(|_| !live.warned) {
            upcoming.push((When::Wall(self.local(at)), Duty::Warn));
        }
        let refresh = self.retries.refresh.not_before();
        match (&live.claims, live.refresh_at) {
            (Some(claims), Some(at)) => {
                upcoming.push((When::Both(self.local(at), refresh), Duty::Start(Job::Refresh)));
                if claims.is_valid_at(self.server_now(now)) {
                    upcoming.push((When::Wall(self.local(claims.expires_at())), Duty::Look));
                }
            }
            _ => {
                upcoming.push((When::Monotonic(self.retries.keys.not_before()), Duty::Start(Job::Keys)));
                // A token that will not be verified any more is replaced by one that may be.
                let over = if live.key_is_gone {
                    Some(now.wall)
                } else {
                    live.record.expires_at.map(|at| self.local(at))
                };
                if let Some(at) = over {
                    upcoming.push((When::Both(at, refresh), Duty::Start(Job::Refresh)));
                }
            }
        }
        // A token that is over, or about to be replaced, proves nothing to the server.
        let provable = live.claims.as_ref().is_some_and(|claims| claims.is_valid_at(self.server_now(now)))
            && !self.running.contains(&Job::Refresh);
        if provable && live.last_active_at > live.heartbeat_at {
            upcoming.push((
                When::Both(
                    self.local(live.heartbeat_at + HEARTBEAT_INTERVAL),
                    self.retries.heartbeat.not_before(),
                ),
                Duty::Start(Job::Heartbeat),
            ));
        }
        if !live.stored {
            upcoming.push((When::Monotonic(self.retries.persist.not_before()), Duty::Start(Job::Persist)));
        }
    }

    pub(crate) fn next_refresh_at(&self) -> Option<Timestamp> {
        self.live().and_then(|live| live.refresh_at).map(|at| self.local(at))
    }
}
