//! What the app's processes tell each other: that the keychain holds something else now, and when the user was last
//! active. Between them lies a file that costs a few microseconds to look at; the keychain itself is read only when that
//! file says something new.

use std::sync::Arc;

use super::{
    live::Live,
    manager::Inner,
    schedule::{Job, Now},
    snapshot::EndReason,
    state::{Phase, Revoke, State},
    under_way::Running,
};
use crate::{
    clock::Timestamp,
    store::{
        record::SignInId,
        vault::{NOTHING_KEPT, kept, signed_out_at},
    },
};

/// Whether somebody signed out, by the word of `line`, after `live` began.
fn is_over_by(line: &str, live: &Live) -> bool {
    signed_out_at(line).is_some_and(|at| live.record.started_at <= at)
}

impl State {
    /// Whether `line`, which says what the keychain holds, is news to us. Each news is news once: what it was about
    /// may have gone by the time the keychain is read.
    fn is_news(&mut self, line: String) -> bool {
        let busy = [Job::Refresh, Job::Heartbeat, Job::Persist, Job::Erase]
            .iter()
            .any(|job| self.running.contains(job));
        if busy || self.storing.is_some() || self.pending_erase.is_some() {
            return false;
        }
        let nothing_new = match &self.phase {
            Phase::SignedIn(live) if live.stored => line == kept(&live.record),
            Phase::SignedIn(live) => !is_over_by(&line, live),
            Phase::SignedOut(_) => line.starts_with(NOTHING_KEPT),
            Phase::Restoring | Phase::Replacing(_) => return false,
        };
        let news = !nothing_new && self.heard.as_ref() != Some(&line);
        self.heard = Some(line);
        news
    }
}

impl Inner {
    /// Whether another process has changed what the keychain holds.
    pub(super) fn peers_have_news(&self) -> bool {
        self.vault.bulletin().read().is_some_and(|line| self.update_quietly(|state, _| state.is_news(line)))
    }

    /// Looks at the keychain if another process has changed what it holds: a session that is over for one is over for
    /// all (rule 10), and a sign-in in one process is there in the others.
    pub(super) async fn hear_peers(self: &Arc<Self>) {
        if self.peers_have_news()
            && let Some(_running) = Running::start(self, Job::News)
        {
            self.take_news().await;
        }
    }

    pub(super) async fn take_news(self: &Arc<Self>) {
        let (generation, signed_in) = self.read(|state, _| (self.generation(), state.live().is_some()));
        if signed_in {
            let line = self.vault.bulletin().read();
            if self.still_live(generation, |live| line.is_some_and(|line| is_over_by(&line, live)))
                == Ok(true)
            {
                // Whatever the keychain says: it may not have taken our session, or not the erase.
                self.end(generation, EndReason::Logout, Revoke::Yes);
            } else {
                self.adopt_from_store(generation).await;
            }
        } else {
            self.clone().restore().await;
        }
    }

    /// Whether another process has refreshed the session of `generation` since we last read it.
    pub(super) fn peers_are_ahead(&self, generation: u64) -> bool {
        let Some(line) = self.vault.bulletin().read() else { return false };
        let Some((sign_in, rotation)) = line.split_once(' ') else { return false };
        let ahead = self.still_live(generation, |live| {
            live.record.sign_in.as_str() == sign_in
                && rotation.parse::<u64>().is_ok_and(|rotation| rotation > live.record.rotation)
        });
        ahead == Ok(true)
    }

    pub(super) fn post_activity(&self, sign_in: &SignInId, at: Timestamp) {
        self.activity.post(&format!("{} {}", at.0, sign_in.as_str()));
    }

    /// When the user of `sign_in` was last active in another process.
    pub(super) fn activity_of_peers(&self, sign_in: &SignInId) -> Option<Timestamp> {
        let line = self.activity.read()?;
        let (at, whose) = line.split_once(' ')?;
        (whose == sign_in.as_str()).then(|| at.parse().ok().map(Timestamp))?
    }

    /// Before somebody is called inactive, the other processes are asked.
    pub(super) fn ask_peers_for_activity(&self) {
        let Some(sign_in) = self.read(|state, _| Some(state.live()?.record.sign_in.clone())) else { return };
        if let Some(at) = self.activity_of_peers(&sign_in) {
            self.update_quietly(|state, now| state.note_activity_of_peers(&sign_in, at, now));
        }
    }
}

impl State {
    fn note_activity_of_peers(&mut self, sign_in: &SignInId, at: Timestamp, now: Now) {
        let server_now = self.server_now(now);
        let Some(live) = self.live_mut().filter(|live| live.record.sign_in == *sign_in) else { return };
        let at = at.min(server_now);
        if at > live.last_active_at {
            live.last_active_at = at;
            live.activity_logged_at = at;
            live.warned = false;
        }
    }
}
