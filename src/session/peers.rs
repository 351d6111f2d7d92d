//! What the app's processes tell each other: that the keychain holds something else now, and when the user was last
//! active. Between them lies a file that costs a few microseconds to look at; the keychain itself is read only when that
//! file says something new.

use std::{sync::Arc, time::Duration};

use super::{
    activity::{noted_too, notes},
    adopt::Adopted,
    live::Live,
    lock,
    manager::Inner,
    schedule::Job,
    snapshot::EndReason,
    state::{Phase, Revoke, State},
    under_way::Running,
};
use crate::{
    clock::{Now, Timestamp},
    store::{
        kept::{NOTHING_KEPT, has_newer_token, kept, sign_in_of},
        record::{SessionRecord, SignInId},
    },
};

/// What was said of the keychain last, and does not agree with what we know.
#[derive(Debug)]
pub(crate) struct Heard {
    line: String,
    looks: u32,
    /// Monotonic time of the next look.
    not_before: Duration,
}

/// Between the first looks at the keychain after somebody has said something new of it lie four seconds and more; this is a
/// quarter of the first …
const FIRST_LOOKS: Duration = Duration::from_secs(1);
/// … and between the last.
const LAST_LOOKS: Duration = Duration::from_secs(60 * 60);
/// So many looks are a reason to wake up; the others are taken when there is another.
const PROMPT_LOOKS: u32 = 3;

/// How long whoever asks for the session waits for the keychain, if it is said to have changed.
const NEWS_WAIT: Duration = Duration::from_secs(1);

impl State {
    /// Whether what is said of the keychain is to be left for later.
    pub(super) fn is_busy_with_keychain(&self) -> bool {
        [Job::Refresh, Job::Heartbeat, Job::Persist, Job::Erase, Job::News]
            .iter()
            .any(|job| self.running.contains(job))
            || self.storing.is_some()
            || self.pending_erase.is_some()
            || matches!(self.phase, Phase::Restoring | Phase::Replacing(_))
    }

    /// When to look again at a keychain that did not hold what was said of it.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let heard = self.heard.as_ref().filter(|heard| heard.looks < PROMPT_LOOKS)?;
        (!self.is_busy_with_keychain()).then_some(heard.not_before)
    }

    /// Whether `line`, which says what the keychain holds, is news to us. What it is about may not be there yet, or not
    /// any more, when the keychain is read: then there is another look, and another, less and less often.
    fn is_news(&mut self, line: String, now: Now) -> bool {
        if self.is_busy_with_keychain() {
            return false;
        }
        let nothing_new = match &self.phase {
            Phase::SignedIn(live) if live.stored => line == kept(&live.record),
            Phase::SignedIn(live) => !is_ahead(&line, live),
            Phase::SignedOut(_) => line == NOTHING_KEPT,
            Phase::Restoring | Phase::Replacing(_) => return false,
        };
        if nothing_new {
            self.heard = None;
            return false;
        }
        let looks = match &self.heard {
            Some(heard) if now.monotonic < heard.not_before => return false,
            Some(heard) if heard.line == line => heard.looks + 1,
            _ => 1,
        };
        let wait = FIRST_LOOKS.saturating_mul(1 << (2 * looks.min(8))).min(LAST_LOOKS);
        self.heard = Some(Heard { line, looks, not_before: now.monotonic + wait });
        true
    }
}

/// When the user signed out, in whichever process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logout {
    pub(super) at: Timestamp,
    /// The sign-in that the keychain held then.
    kept: String,
}

impl Logout {
    /// Whether it was a logout of `record`'s session.
    pub(super) fn ends(&self, record: &SessionRecord) -> bool {
        record.started_at <= self.at || record.sign_in.as_str() == self.kept
    }
}

/// Whether `line` says that there are newer tokens of the session than ours.
fn is_ahead(line: &str, live: &Live) -> bool {
    has_newer_token(line, &live.record, live.spent.as_ref())
}

impl Inner {
    /// Whether another process has changed what the keychain holds.
    pub(super) fn peers_have_news(&self) -> bool {
        let Some(line) = self.vault.bulletin().read() else {
            // Nothing is said any more, so there is nothing to look for another time.
            self.update_quietly(|state, _| state.heard = None);
            return false;
        };
        self.update_quietly(|state, now| state.is_news(line, now))
    }

    /// Looks at the keychain if another process has changed what it holds: a session that is over for one is over for
    /// all (rule 10), and a sign-in in one process is there in the others.
    pub(super) async fn hear_peers(self: &Arc<Self>) {
        self.hear_logout();
        if self.peers_have_news()
            || self.is_said_to_be_damaged()
            || self.read(|state, _| state.running.contains(&Job::News))
        {
            // It goes on for whoever comes later.
            let _ = tokio::time::timeout(NEWS_WAIT, self.take_news()).await;
        }
    }

    /// Joins whoever is looking already, or looks.
    pub(super) async fn take_news(self: &Arc<Self>) {
        let inner = self.clone();
        let flight = self.taking_news.run(&*self.runtime, || async move {
            let _running = Running::start(&inner, Job::News);
            inner.look_at_news().await;
        });
        if flight.await.is_err() {
            tracing::error!("the look at what another process has changed ended without a result");
        }
    }

    async fn look_at_news(self: &Arc<Self>) {
        let (generation, signed_in) = self.read(|state, _| (self.generation(), state.live().is_some()));
        if signed_in {
            // Asked before the keychain: whoever holds it may have in memory what the keychain refuses.
            let held = lock::is_held(self.refresh_lock.as_deref());
            if held {
                self.adopt_from_store(generation).await;
            } else {
                self.adopt_or_disprove(generation).await;
            }
        } else {
            self.clone().restore().await;
        }
        // Whoever changed it may have left a revocation there, and be gone.
        self.update_quietly(|state, _| state.outbox_read = false);
        self.read_outbox().await;
    }

    /// Takes over what another process has put into the keychain, at a moment when no other process has the refresh lock. If
    /// there is nothing newer, what was said of that is not so, or not any more: nobody holds tokens that the keychain
    /// does not.
    pub(super) async fn adopt_or_disprove(self: &Arc<Self>, generation: u64) -> Adopted {
        let line = self.vault.bulletin().read();
        let adopted = self.adopt_from_store(generation).await;
        if adopted == Adopted::Nothing {
            self.update_quietly(|state, _| {
                if let Some(live) = state.live_mut() {
                    live.disproved = line;
                    live.peers_are_ahead = false;
                }
            });
        }
        adopted
    }

    /// Tells the other processes that the user has signed out, at `at` by the server's time. What they show is over if it
    /// began before; so is the session that the keychain held by then, should a clock be wrong.
    pub(super) fn post_logout(&self, at: Timestamp, kept: Option<&SignInId>) {
        self.signed_out.post(&format!("{} {}", at.0, kept.map_or(NOTHING_KEPT, SignInId::as_str)));
    }

    /// A session begins at `started_at`: a logout that was noted for later was noted by a wrong clock.
    pub(super) fn outlive_logout(&self, started_at: Timestamp) {
        if self.last_logout().is_some_and(|logout| logout.at >= started_at) {
            // Should the file refuse to be written.
            let line = self.signed_out.read();
            self.update_quietly(|state, _| state.outlived = line);
            self.post_logout(started_at.shifted(-1), None);
        }
    }

    pub(super) fn last_logout(&self) -> Option<Logout> {
        let line = self.signed_out.read()?;
        if self.read(|state, _| state.outlived.as_ref() == Some(&line)) {
            return None;
        }
        let (at, kept) = line.split_once(' ')?;
        Some(Logout { at: Timestamp(at.parse().ok()?), kept: kept.to_owned() })
    }

    /// Ends the session if the user has signed out in another process, whatever the keychain says: it may not have taken
    /// the session, or not the erase.
    pub(super) fn hear_logout(&self) {
        let Some(ours) = self.read(|state, _| state.shown().map(|live| live.record.clone())) else { return };
        if !self.last_logout().is_some_and(|logout| logout.ends(&ours)) {
            return;
        }
        // Somebody has signed in since, maybe with the very same session; whoever made room for that owes the server what there was.
        let taken = self.kept_by_peers().is_some_and(|theirs| theirs != ours.sign_in);
        let ended = self.update(|state, _| {
            let shown = state.shown().filter(|live| live.record.sign_in == ours.sign_in)?;
            let revoke = if taken && shown.ever_stored { Revoke::IfReplaced } else { Revoke::Yes };
            self.end_shown(state, EndReason::Logout, revoke)
        });
        if let Some(sign_in) = ended {
            self.log_ended(&sign_in, EndReason::Logout);
        }
        self.wake.notify_one();
    }

    /// The sign-in that the keychain holds, by the word of whoever changed it last.
    pub(super) fn kept_by_peers(&self) -> Option<SignInId> {
        sign_in_of(&self.vault.bulletin().read()?)
    }

    /// Whether another process has refreshed the session of `generation` since we last read it.
    pub(super) fn peers_are_ahead(&self, generation: u64) -> bool {
        let Some(line) = self.vault.bulletin().read() else { return false };
        self.still_live(generation, |live| is_ahead(&line, live)) == Ok(true)
    }

    /// Writes down when the user was last active, for the next start and for the other processes.
    pub(super) fn note_activity(&self, sign_in: &SignInId, at: Timestamp) {
        self.log_activity(sign_in, at);
        self.activity.post(&noted_too(self.activity.read().as_deref(), sign_in, at));
    }

    /// When the user of `sign_in` was last active in another process.
    fn activity_of_peers(&self, sign_in: &SignInId) -> Option<Timestamp> {
        let line = self.activity.read()?;
        notes(&line).find(|(_, whose)| *whose == sign_in.as_str()).map(|(at, _)| at)
    }

    /// Before a deadline ends a session the other processes are asked: the user may have been active in one of them, or
    /// one of them may have newer tokens, or know what time it is.
    pub(super) fn ask_peers(&self) {
        self.hear_time();
        let line = self.vault.bulletin().read();
        let sign_in = self.update_quietly(|state, _| {
            let live = state.shown_mut()?;
            let ahead = line.filter(|line| live.disproved.as_ref() != Some(line));
            live.peers_are_ahead = ahead.is_some_and(|line| is_ahead(&line, live));
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
        let Some(live) = self.shown_mut().filter(|live| live.record.sign_in == *sign_in) else { return };
        // One from the future is not believed: a file must not keep a session alive.
        if at > live.last_active_at && at.saturating_since(server_now) < Duration::from_secs(5) {
            let at = at.min(server_now);
            live.last_active_at = at;
            live.activity_logged_at = at;
            live.warned = false;
        }
    }
}
