//! The session as the manager holds it, and every way it may change. No I/O and no waiting here: what must be done
//! outside is left as pending work, which [`upcoming`](State::upcoming) names.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use super::{
    activity::{ACTIVITY_GRANULARITY, Policy},
    budget::Budget,
    live::Live,
    peers::Heard,
    retry::{Retries, Retry},
    said::Said,
    schedule::{Job, Pace},
    sign_in::Claiming,
    sleep::Sleep,
    snapshot::{Counters, EndReason, Exchange, Session, Storage},
};
use crate::{
    clock::{Now, Timestamp},
    digest::sha256,
    error::{Error, ErrorKind},
    secret::SessionId,
    store::{
        StoreError,
        outbox::{self, MAX_REVOCATIONS, Revocation},
        step::{Erase, Stored},
    },
};

#[derive(Debug)]
pub(crate) enum Phase {
    /// The keychain has not answered yet, or only that it cannot.
    Restoring,
    SignedOut(Option<EndReason>),
    SignedIn(Box<Live>),
    /// A new sign-in is being stored. The old session still shows, but nothing may be done with it or to it any more:
    /// its generation is over.
    Replacing(Box<Live>),
}

/// Whether the server still has to be told that a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoke {
    Yes,
    /// Once the keychain has no session of this id any more: somebody may have signed in to it again.
    IfReplaced,
    No,
}

/// An entry that must go.
#[derive(Clone, Debug)]
pub(crate) struct PendingErase {
    pub(crate) erase: Erase,
    pub(crate) revocation: Option<Revocation>,
    /// Whether it leaves nothing that began before: what the user's own logout asks for.
    pub(crate) by_user: bool,
    /// The generation that began with the end; a later one has its own session in the entry.
    pub(crate) generation: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) storage: Storage,
    pub(crate) storage_error: Option<String>,
    /// Server time minus ours.
    pub(crate) skew_ms: i64,
    pub(crate) skew_known: bool,
    /// When that was learned, by the clock that nobody sets.
    pub(crate) time_learned_at: Option<Duration>,
    /// What the server has just said of the time, and when, which the other processes are to be told.
    pub(crate) time_to_tell: Option<(i64, Now)>,
    /// Revocations not delivered yet; the keychain has them too where it could take them.
    pub(crate) waiting: Vec<Revocation>,
    /// Whether the keychain may not have all of `waiting` yet.
    pub(crate) unnoted: bool,
    /// The last that were delivered, for whatever the keychain said of them before it heard of that.
    delivered: VecDeque<[u8; 32]>,
    pub(crate) pending_erase: Option<PendingErase>,
    pub(crate) retries: Retries,
    pub(crate) running: HashSet<Job>,
    /// Counts sign-ins and logouts: what a sign-in that is still being verified loses to. Deadlines and verdicts end
    /// a session too, but they say nothing against a new one.
    pub(crate) user_actions: u64,
    /// Whether what is written down of the last activity was written by the wrong time.
    pub(crate) activity_moved: bool,
    /// The sign-ins that are being verified or stored.
    pub(crate) claiming: Vec<Claiming>,
    /// What other processes have said of the keychain, as last heard.
    pub(crate) heard: Option<Heard>,
    /// The note of a logout that a later sign-in has outlived.
    pub(crate) outlived: Option<String>,
    pub(crate) budget: Budget,
    /// The generation of a sign-in that is being stored.
    pub(crate) storing: Option<u64>,
    /// Whether the revocations of earlier runs have been read.
    pub(crate) outbox_read: bool,
    /// When the keychain was last read because somebody said that it was damaged, by the monotonic clock.
    pub(crate) looked_for_damage: Option<Duration>,
    /// When a look last gave a keychain that did not work another chance, by the monotonic clock.
    pub(crate) hoped: Option<Duration>,
    /// When the state was last looked at, to notice a clock that was changed.
    pub(super) looked: Option<Now>,
    pub(super) sleep: Sleep,
    /// When the app last came to the front or said so, by the machine's clock.
    pub(crate) last_look: Option<Timestamp>,
    pub(crate) last_refresh: Option<Exchange>,
    pub(crate) last_verify: Option<Exchange>,
    pub(crate) last_key_fetch: Option<Exchange>,
    pub(crate) counters: Counters,
    pub(super) said: Said,
    pub(super) published: Session,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Restoring,
            storage: Storage::Keychain,
            storage_error: None,
            skew_ms: 0,
            skew_known: false,
            time_learned_at: None,
            time_to_tell: None,
            waiting: Vec::new(),
            unnoted: false,
            delivered: VecDeque::new(),
            pending_erase: None,
            retries: Retries::default(),
            running: HashSet::new(),
            user_actions: 0,
            activity_moved: false,
            claiming: Vec::new(),
            heard: None,
            outlived: None,
            budget: Budget::default(),
            storing: None,
            outbox_read: false,
            looked_for_damage: None,
            hoped: None,
            looked: None,
            sleep: Sleep::default(),
            last_look: None,
            last_refresh: None,
            last_verify: None,
            last_key_fetch: None,
            said: Said::default(),
            counters: Counters::default(),
            published: Session::default(),
        }
    }
}

impl State {
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::SignedIn(live) => Some(live),
            _ => None,
        }
    }

    pub(crate) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.phase {
            Phase::SignedIn(live) => Some(live),
            _ => None,
        }
    }

    /// The session that is seen, also while its successor is being stored.
    pub(crate) fn shown(&self) -> Option<&Live> {
        match &self.phase {
            Phase::SignedIn(live) | Phase::Replacing(live) => Some(live),
            Phase::Restoring | Phase::SignedOut(_) => None,
        }
    }

    pub(crate) fn shown_mut(&mut self) -> Option<&mut Live> {
        match &mut self.phase {
            Phase::SignedIn(live) | Phase::Replacing(live) => Some(live),
            Phase::Restoring | Phase::SignedOut(_) => None,
        }
    }

    /// Which deadline has passed, if one has. Asked whenever the session is looked at (rule 7).
    pub(crate) fn overdue(&self, policy: &Policy, now: Now) -> Option<EndReason> {
        let live = self.shown()?;
        let server_now = self.server_now(now);
        if policy.lifetime_deadline(live.record.started_at).is_some_and(|at| server_now >= at) {
            return Some(EndReason::Lifetime);
        }
        if policy.inactivity_deadline(live.last_active_at).is_some_and(|at| server_now >= at) {
            return Some(EndReason::Inactive);
        }
        // Nobody but our clocks says so; until the server has said what time it is the session is stale.
        if !self.expiry_counts(live) {
            return None;
        }
        let at_least = self.surely_now(now);
        let token_is_over = live.record.expires_at.is_some_and(|at| at_least >= at);
        let refresh_is_over = live.record.last_expires_at().is_some_and(|at| at_least >= at);
        (token_is_over && refresh_is_over).then_some(EndReason::Expired)
    }

    /// The server is to be told that a session is over, and the keychain to remember that it must be.
    pub(crate) fn owe(&mut self, revocation: Revocation) {
        self.not_delivered(&revocation.session_id);
        outbox::add(&mut self.waiting, revocation);
        self.unnoted = true;
    }

    /// The server has been told that a session is over.
    pub(crate) fn settle(&mut self, session_id: &SessionId) {
        self.waiting.retain(|revocation| revocation.session_id != *session_id);
        if self.delivered.len() >= MAX_REVOCATIONS {
            self.delivered.pop_front();
        }
        self.delivered.push_back(digest_of(session_id));
    }

    /// It is a session again, which nobody is to end for what it was.
    pub(crate) fn is_there_again(&mut self, session_id: &SessionId) {
        self.waiting.retain(|revocation| revocation.session_id != *session_id);
        self.not_delivered(session_id);
    }

    /// Another end of it, or it is a session again.
    pub(crate) fn not_delivered(&mut self, session_id: &SessionId) {
        let digest = digest_of(session_id);
        self.delivered.retain(|delivered| *delivered != digest);
    }

    /// Whether the server was told of it lately.
    pub(crate) fn was_delivered(&self, session_id: &SessionId) -> bool {
        self.delivered.contains(&digest_of(session_id))
    }

    /// Whether the expiry of the tokens at hand says anything of the session: others may be on their way to us, or with
    /// another process.
    pub(super) fn expiry_counts(&self, live: &Live) -> bool {
        !live.peers_are_ahead && !self.running.contains(&Job::Refresh)
    }

    /// Forgets the session. What must still happen outside is left in `pending_erase` and `waiting`.
    pub(crate) fn end(&mut self, generation: u64, reason: EndReason, revoke: Revoke) {
        let (live, replaced) = match std::mem::replace(&mut self.phase, Phase::SignedOut(Some(reason))) {
            Phase::SignedIn(live) => (live, false),
            Phase::Replacing(live) => (live, true),
            other => {
                self.phase = other;
                return;
            }
        };
        let revocation = match revoke {
            Revoke::Yes => {
                self.owe(live.revocation());
                Some(live.revocation())
            }
            Revoke::IfReplaced => Some(Revocation { if_replaced: true, ..live.revocation() }),
            Revoke::No => None,
        };
        // What was never stored has no entry; what is older there is over as well, unless a successor takes its place.
        let erase = if live.ever_stored || replaced {
            Erase::SignIn(live.record.sign_in.clone())
        } else {
            Erase::NotAfter(live.record.started_at, None)
        };
        self.pending_erase = Some(PendingErase { erase, revocation, by_user: false, generation });
        self.forget_retries();
    }

    pub(crate) fn sign_in(&mut self, live: Live, storage: Storage, error: Option<String>) {
        let pending = self.pending_erase.take().and_then(|pending| pending.revocation);
        // Now it is replaced, whatever stood there.
        if let Some(planned) = pending.filter(|planned| planned.if_replaced)
            && planned.session_id != live.record.tokens.session_id
        {
            self.owe(Revocation { if_replaced: false, ..planned });
        }
        self.phase = Phase::SignedIn(Box::new(live));
        self.storage = storage;
        self.storage_error = error;
        self.forget_retries();
    }

    /// The keychain has the session as it is here.
    pub(crate) fn note_stored(&mut self) {
        self.storage = Storage::Keychain;
        self.storage_error = None;
        self.retries.persist.succeeded();
        if let Some(live) = self.live_mut() {
            let was_stored = std::mem::replace(&mut live.stored, true);
            live.ever_stored = true;
            live.unsaved = None;
            // What this has been written over may not have been read.
            self.outbox_read &= was_stored;
        }
    }

    /// The entry can be read again after it has `replaced` what was there. As long as it could not, nobody was owed what others
    /// had planned for the case that theirs was replaced.
    pub(crate) fn doubt_is_gone(&mut self, replaced: &Stored) {
        self.outbox_read &= !matches!(replaced, Stored::Unreadable(_));
    }

    /// The keychain did not take the session: it stays usable in memory and says so (rule 11).
    pub(crate) fn note_not_stored(&mut self, error: &StoreError, now: Now, random: u32) {
        let why = error.clone();
        self.said
            .later(move || tracing::warn!(%why, "the session could not be stored and is kept in memory"));
        self.storage = Storage::Ephemeral;
        self.storage_error = Some(error.to_string());
        if let Some(live) = self.live_mut() {
            live.stored = false;
        }
        self.retries.persist.failed(Pace::after(error), now, None, random);
    }

    fn forget_retries(&mut self) {
        self.retries = std::mem::take(&mut self.retries).of_a_new_session();
        // What was said of another session is no answer to this one.
        self.last_refresh = None;
        self.last_verify = None;
    }

    /// Notes that the user did something. Deadlines have been checked before (requirement C8). Returns whether it is
    /// worth writing down and telling others.
    pub(crate) fn record_activity(&mut self, now: Now) -> bool {
        let (server_now, skew_ms) = (self.server_now(now), self.skew_ms);
        let Some(live) = self.live_mut() else { return false };
        if server_now >= live.last_active_at {
            live.last_active_at = server_now;
            live.noted_with_skew = Some(skew_ms);
        }
        let warned = std::mem::take(&mut live.warned);
        let worth_it =
            warned || live.last_active_at.saturating_since(live.activity_logged_at) >= ACTIVITY_GRANULARITY;
        if worth_it {
            live.activity_logged_at = live.last_active_at;
        }
        worth_it
    }

    /// Somebody is about to be signed out for inactivity, unless they were active a moment ago elsewhere.
    pub(crate) fn warn(&mut self, policy: &Policy, now: Now) {
        let server_now = self.server_now(now);
        if let Some(live) = self.live_mut()
            && policy.warning_at(live.last_active_at).is_some_and(|at| server_now >= at)
        {
            live.warned = true;
        }
    }

    /// After an exchange: the next is due by schedule, unless the token is over, due again or unverifiable on arrival.
    /// Then something is wrong that asking at once again would turn into a storm (requirement C9).
    pub(crate) fn note_refreshed(&mut self, now: Now, random: u32) {
        let server_now = self.server_now(now);
        let Some(live) = self.live_mut() else { return };
        live.refreshed = Some(now.monotonic);
        let good = live.claims.as_ref().is_some_and(|claims| claims.is_valid_at(server_now))
            && live.refresh_at.is_some_and(|at| server_now < at);
        if !good {
            self.retries.refresh.failed(Pace::Exchange, now, None, random);
        } else {
            self.retries.refresh.succeeded();
            self.retries.heartbeat.others_succeed();
        }
    }

    /// Why there is no exchange now: the last one failed, or the server asked for a wait.
    pub(crate) fn last_refresh_failed(&self, now: Now) -> Option<Error> {
        failed(self.last_refresh.as_ref(), self.retries.refresh, now)
    }

    /// The same of the question whether the session is good.
    pub(crate) fn last_verify_failed(&self, now: Now) -> Option<Error> {
        failed(self.last_verify.as_ref(), self.retries.heartbeat, now)
    }
}

/// In the place of an id that is nobody's business any more.
fn digest_of(session_id: &SessionId) -> [u8; 32] {
    sha256(&[session_id.expose().as_bytes()])
}

fn failed(last: Option<&Exchange>, retry: Retry, now: Now) -> Option<Error> {
    let left = retry.wait_left(now);
    match last.and_then(|exchange| exchange.error.clone()) {
        Some(error) => Some(error.with_retry_after(left)),
        // What went well since came from another process.
        None => left.map(|_| {
            Error::new(
                ErrorKind::RateLimited,
                "the server asked for a wait, which is not over; the session is kept",
            )
            .with_retry_after(left)
        }),
    }
}
