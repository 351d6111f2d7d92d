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
        vault::{NOTHING_KEPT, kept, tag},
    },
};

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
            Phase::SignedIn(live) => !is_ahead(&line, live),
            Phase::SignedOut(_) => line == NOTHING_KEPT,
            Phase::Restoring | Phase::Replacing(_) => return false,
        };
        let news = !nothing_new && self.heard.as_ref() != Some(&line);
        self.heard = Some(line);
        news
    }
}

/// Whether `line` says that there is a newer refresh token of the same sign-in than ours: one that is neither ours nor
/// the one we have spent for it.
fn is_ahead(line: &str, live: &Live) -> bool {
    let mut words = line.split(' ');
    let (sign_in, _rotation, token) = (words.next(), words.next(), words.next());
    sign_in == Some(live.record.sign_in.as_str())
        && token.is_some_and(|token| {
            token != tag(&live.record.tokens.refresh_token)
                && live.spent.as_ref().is_none_or(|spent| token != tag(spent))
        })
}

impl Inner {
    /// Whether another process has changed what the keychain holds.
    pub(super) fn peers_have_news(&self) -> bool {
        self.vault.bulletin().read().is_some_and(|line| self.update_quietly(|state, _| state.is_news(line)))
    }

    /// Looks at the keychain if another process has changed what it holds: a session that is over for one is over for
    /// all (rule 10), and a sign-in in one process is there in the others.
    pub(super) async fn hear_peers(self: &Arc<Self>) {
        self.hear_logout();
        if self.peers_have_news()
            && let Some(_running) = Running::start(self, Job::News)
        {
            self.take_news().await;
        }
    }

    pub(super) async fn take_news(self: &Arc<Self>) {
        let (generation, signed_in) = self.read(|state, _| (self.generation(), state.live().is_some()));
        if signed_in {
            self.adopt_from_store(generation).await;
        } else {
            self.clone().restore().await;
        }
        // Whoever changed it may have left a revocation there, and be gone.
        self.update_quietly(|state, _| state.outbox_read = false);
        self.read_outbox().await;
    }

    /// Tells the other processes that the user has signed out, at `at` by the server's time. What they show is over if it
    /// began before; so is the session that the keychain held by then, should a clock be wrong.
    pub(super) fn post_logout(&self, at: Timestamp, kept: Option<&SignInId>) {
        self.signed_out.post(&format!("{} {}", at.0, kept.map_or(NOTHING_KEPT, SignInId::as_str)));
    }

    /// A session begins at `started_at`: a logout that was noted for later was noted by a wrong clock.
    pub(super) fn outlive_logout(&self, started_at: Timestamp) {
        if self.last_logout().is_some_and(|(at, _)| at >= started_at) {
            self.post_logout(started_at.shifted(-1), None);
        }
    }

    pub(super) fn last_logout(&self) -> Option<(Timestamp, String)> {
        let line = self.signed_out.read()?;
        let (at, kept) = line.split_once(' ')?;
        Some((Timestamp(at.parse().ok()?), kept.to_owned()))
    }

    /// Ends the session if the user has signed out in another process, whatever the keychain says: it may not have taken
    /// the session, or not the erase.
    pub(super) fn hear_logout(&self) {
        if self.read(|state, _| state.live().is_none()) {
            return;
        }
        let Some((at, kept)) = self.last_logout() else { return };
        let generation = self.generation();
        let is_over = |live: &Live| live.record.started_at <= at || live.record.sign_in.as_str() == kept;
        if self.still_live(generation, is_over) == Ok(true) {
            self.end(generation, EndReason::Logout, Revoke::Yes);
        }
    }

    /// The sign-in that the keychain holds, by the word of whoever changed it last.
    pub(super) fn kept_by_peers(&self) -> Option<SignInId> {
        let line = self.vault.bulletin().read()?;
        let (sign_in, _) = line.split_once(' ')?;
        Some(SignInId::named(sign_in))
    }

    /// Whether another process has refreshed the session of `generation` since we last read it.
    pub(super) fn peers_are_ahead(&self, generation: u64) -> bool {
        let Some(line) = self.vault.bulletin().read() else { return false };
        self.still_live(generation, |live| is_ahead(&line, live)) == Ok(true)
    }

    pub(super) fn post_activity(&self, sign_in: &SignInId, at: Timestamp) {
        self.activity.post(&format!("{} {}", at.0, sign_in.as_str()));
    }

    /// When the user of `sign_in` was last active in another process.
    fn activity_of_peers(&self, sign_in: &SignInId) -> Option<Timestamp> {
        let (at, whose) = self.posted_activity()?;
        (whose == sign_in.as_str()).then_some(at)
    }

    /// When any user was last active in any process.
    pub(super) fn last_activity(&self) -> Option<Timestamp> {
        self.posted_activity().map(|(at, _)| at)
    }

    fn posted_activity(&self) -> Option<(Timestamp, String)> {
        let line = self.activity.read()?;
        let (at, whose) = line.split_once(' ')?;
        Some((Timestamp(at.parse().ok()?), whose.to_owned()))
    }

    /// Before a deadline ends a session the other processes are asked: the user may have been active in one of them, or
    /// one of them may have newer tokens.
    pub(super) fn ask_peers(&self) {
        let line = self.vault.bulletin().read();
        let sign_in = self.update_quietly(|state, _| {
            let live = state.live_mut()?;
            live.peers_are_ahead = line.is_some_and(|line| is_ahead(&line, live));
            Some(live.record.sign_in.clone())
        });
        let Some(sign_in) = sign_in else { return };
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
