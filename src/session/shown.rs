//! The session as it is shown, and whether anything that can be seen has changed.

use super::{
    activity::Policy,
    snapshot::{Session, SessionStatus, UserClaims},
    state::{Phase, State},
};
use crate::clock::{Now, Timestamp};

impl State {
    pub(crate) fn status(&self, now: Now) -> SessionStatus {
        match &self.phase {
            Phase::Restoring => SessionStatus::Restoring,
            Phase::SignedOut(_) => SessionStatus::SignedOut,
            Phase::SignedIn(live) | Phase::Replacing(live) => {
                let server_now = self.server_now(now);
                if live.claims.as_ref().is_some_and(|claims| claims.is_valid_at(server_now)) {
                    SessionStatus::Active
                } else {
                    SessionStatus::Stale
                }
            }
        }
    }

    /// The session as it may be seen; its revision is that of the last publication.
    pub(crate) fn snapshot(&self, policy: &Policy, now: Now) -> Session {
        let mut session = Session {
            status: self.status(now),
            revision: self.published.revision,
            storage: self.storage,
            ..Session::default()
        };
        match &self.phase {
            Phase::Restoring => {}
            Phase::SignedOut(reason) => session.end_reason = *reason,
            Phase::SignedIn(live) | Phase::Replacing(live) => {
                // What is shown moves with the granularity of the log, or every touch would be an event.
                let active_at = live.activity_logged_at;
                session.user_id = Some(live.record.user_id.clone());
                session.expires_at = live.record.expires_at.map(|at| self.local(at));
                session.refresh_expires_at = live.record.refresh_expires_at.map(|at| self.local(at));
                let local = |at: Option<Timestamp>| at.map(|at| self.local(at));
                session.started_at = local(Some(live.record.started_at));
                session.last_active_at = local(Some(active_at));
                session.inactivity_deadline = local(policy.inactivity_deadline(active_at));
                session.lifetime_deadline = local(policy.lifetime_deadline(live.record.started_at));
                session.expiring_at = session.inactivity_deadline.filter(|_| live.warned);
                session.claims = live.claims.as_ref().map(|claims| UserClaims {
                    name: claims.name().map(str::to_owned),
                    email: claims.email().map(str::to_owned),
                    phone_number: claims.phone_number().map(str::to_owned),
                });
            }
        }
        session
    }

    /// The session with a new revision, if anything that can be seen has changed since the last time.
    pub(crate) fn take_change(&mut self, policy: &Policy, now: Now) -> Option<Session> {
        let mut session = self.snapshot(policy, now);
        if session == self.published {
            return None;
        }
        session.revision += 1;
        self.published = session.clone();
        Some(session)
    }
}
