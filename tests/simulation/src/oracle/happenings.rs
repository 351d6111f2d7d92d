//! What happens in the world, and to what the keychain holds.

use std::time::Duration;

use otpless_local::Issued;
use tauri_plugin_otpless::{Timestamp, engine::Slot};

use super::{ACTIVITY_SLACK, CLOCK_SLACK, MOST_NOTED, Oracle, STORED_AT_ONCE, STORED_BY_NOW, Seen, Truth};
use crate::{keychain::Mood, network::Call, world::World};

impl Oracle {
    pub(crate) fn process_started(&mut self, process: &str, world: &World) {
        let seen = Seen {
            alive: true,
            time_known: world.clock_error_ms() == 0 || self.time_is_shared,
            was_in_doubt: world.clock_error_ms() != 0 && !self.time_is_shared,
            started: world.awake(),
            woke: world.awake(),
            ..Seen::default()
        };
        self.seen.insert(process.to_owned(), seen);
    }

    pub(crate) fn process_died(&mut self, process: &str, world: &World) {
        if self.keeps_to_itself(process, world) {
            self.violated(world, format!("{process} dies with tokens that the keychain would have taken"));
        }
        if let Some(seen) = self.seen.get_mut(process) {
            seen.alive = false;
            seen.died = Some(world.awake());
            seen.in_flight.clear();
        }
        for exchange in self.truths.values_mut().flat_map(|truth| &mut truth.exchanges) {
            exchange.died |= exchange.process == process;
        }
    }

    /// Whether the only good tokens of a session are in the memory of `process`, although there was time to store them.
    pub(super) fn keeps_to_itself(&self, process: &str, world: &World) -> bool {
        let long_ago = |at: Duration| at + STORED_BY_NOW <= world.awake();
        let Some(woke) = self.seen.get(process).map(|seen| seen.woke) else { return false };
        let Some(well_since) = world.moods.well_since() else { return false };
        self.truths.values().any(|truth| {
            let open = !truth.ended && !truth.replaced && !truth.logout_called && !truth.verdict;
            let last = truth.exchanges.last().filter(|last| last.process == process && !last.stored);
            let Some(at) = last.and_then(|last| last.delivered).filter(|_| open) else { return false };
            // Where nothing goes wrong nothing has to be tried again.
            let at_once =
                world.scenario.calm && well_since.max(woke) <= at && at + STORED_AT_ONCE <= world.awake();
            at_once || [woke, well_since, at].into_iter().all(long_ago)
        })
    }

    pub(crate) fn woke(&mut self, process: &str, world: &World) {
        if let Some(seen) = self.seen.get_mut(process) {
            seen.woke = world.awake();
        }
    }

    pub(crate) fn machine_slept(&mut self, world: &World) {
        self.last_jump = Some(world.awake());
        self.woke_up = Some(world.awake());
        if !world.scenario.unset_clock {
            // It cannot be told from a clock that was set: what the service has said of the time is in doubt again.
            for seen in self.seen.values_mut() {
                seen.was_told_time = false;
            }
        }
    }

    /// Somebody begins to sign in in `process`, or has done so.
    pub(crate) fn signs_in(&mut self, process: &str, begins: bool) {
        if let Some(seen) = self.seen.get_mut(process) {
            seen.signing_in = if begins { seen.signing_in + 1 } else { seen.signing_in.saturating_sub(1) };
        }
    }

    /// Its processes are dead.
    pub(crate) fn machine_was_restarted(&mut self) {
        self.time_is_shared = false;
    }

    pub(crate) fn clock_was_set(&mut self, world: &World) {
        self.last_jump = Some(world.awake());
        for truth in self.truths.values_mut() {
            truth.clock_moved = true;
        }
        for seen in self.seen.values_mut() {
            seen.was_told_time = false;
        }
        if world.scenario.unset_clock {
            // Whoever knows what time it is keeps knowing it.
            return;
        }
        for seen in self.seen.values_mut() {
            seen.time_known = false;
            seen.was_in_doubt = true;
        }
    }

    /// Somebody brings a sign-in to a process, of which the service had the tokens `issued_at` that time.
    pub(crate) fn sign_in_begins(&mut self, issued: &Issued, issued_at: Timestamp, world: &World) {
        let now = world.true_now();
        let user = issued.user_id.clone();
        self.users_by_session.insert(issued.session_id.clone(), user.clone());
        self.users_by_refresh_token.insert(issued.refresh_token.clone(), user.clone());
        self.issued
            .insert(issued.session_token.clone(), (user.clone(), issued_at + world.scenario.session_token));
        self.truths.insert(
            user,
            Truth {
                session_id: issued.session_id.clone(),
                began: now,
                seen_at: None,
                accepted: now,
                last_active: now,
                noted_in_doubt: false,
                ended: false,
                logout_called: false,
                final_since: None,
                replaced: false,
                verdict: false,
                damaged: false,
                ever_stored: false,
                owed: false,
                clock_moved: world.clock_error_ms() != 0,
                exchanges: Vec::new(),
                refresh_expires: issued_at + world.scenario.refresh_token,
            },
        );
    }

    /// It was not taken: nobody will miss it, and the sessions before it go on.
    pub(crate) fn sign_in_failed(&mut self, issued: &Issued) {
        if let Some(truth) = self.truths.get_mut(&issued.user_id) {
            truth.ended = true;
            truth.logout_called = true;
        }
    }

    /// Its process died before it said whether it had taken it.
    pub(crate) fn sign_in_unknown(&mut self, issued: &Issued) {
        if let Some(truth) = self.truths.get_mut(&issued.user_id)
            && !truth.ever_stored
        {
            truth.logout_called = true;
        }
    }

    /// A session is there for the first time: it replaces those that began before.
    pub(super) fn appeared(&mut self, user: &str, world: &World) {
        let Some(truth) = self.truths.get_mut(user).filter(|truth| truth.seen_at.is_none()) else { return };
        truth.seen_at = Some(world.awake());
        truth.accepted = world.true_now();
        let began = truth.began;
        for (_, other) in
            self.truths.iter_mut().filter(|(other, truth)| *other != user && truth.began <= began)
        {
            other.replaced = true;
        }
    }

    pub(crate) fn activity(&mut self, process: &str, at: Timestamp) {
        let Some(seen) = self.seen.get(process) else { return };
        if let Some(truth) = seen.shows.as_ref().and_then(|user| self.truths.get_mut(user)) {
            truth.last_active = truth.last_active.max(at);
            // Whoever the service has not told the time believes that it is no earlier than what another has noted.
            truth.noted_in_doubt = !seen.time_known || (truth.noted_in_doubt && !seen.was_told_time);
        }
    }

    pub(crate) fn logout_begins(&mut self) {
        for truth in self.truths.values_mut() {
            truth.logout_called = true;
        }
    }

    /// From here on nothing that was there when it began may be seen in this process, nor in one that starts later.
    pub(crate) fn logout_ends(&mut self, process: &str, before: &[String], world: &World) {
        for user in before {
            if let Some(truth) = self.truths.get_mut(user) {
                truth.ended = true;
                truth.final_since.get_or_insert(world.awake());
            }
            if let Some(seen) = self.seen.get_mut(process) {
                seen.over.insert(user.clone(), false);
            }
        }
    }

    /// Whose session `call` is about.
    pub(super) fn user_of(&self, call: &Call) -> Option<String> {
        match call.refresh_token() {
            Some(old) => self.users_by_refresh_token.get(&old).cloned(),
            None => call.session_id().and_then(|id| self.users_by_session.get(&id).cloned()),
        }
    }

    /// The id of that session.
    pub(crate) fn session_of(&self, call: &Call) -> Option<String> {
        Some(self.truths.get(&self.user_of(call)?)?.session_id.clone())
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.truths.keys().cloned().collect()
    }

    /// What the keychain holds in `slot` is spoilt, which was `before`.
    pub(crate) fn damaged(&mut self, slot: Slot, before: &[u8]) {
        let held = |text: &str| before.windows(text.len()).any(|part| part == text.as_bytes());
        for truth in self.truths.values_mut() {
            match slot {
                Slot::Session => truth.damaged = true,
                // Nobody can read any more whose revocation it was to keep.
                Slot::Revocations => truth.owed &= !held(&truth.session_id),
            }
        }
    }

    /// The keychain has taken a list of revocations.
    pub(crate) fn noted(&mut self, bytes: &[u8]) {
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let is_full = self.truths.values().filter(|truth| holds(&truth.session_id)).count() >= MOST_NOTED;
        for truth in self.truths.values_mut() {
            // What a full list has not was delivered, or was the oldest of too many.
            truth.owed = holds(&truth.session_id) || (truth.owed && !is_full);
        }
    }

    pub(crate) fn wrote(&mut self, bytes: &[u8], world: &World) {
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        for truth in self.truths.values_mut() {
            truth.ever_stored |= holds(&truth.session_id);
        }
        for truth in self.truths.values_mut().filter(|truth| !truth.ended) {
            for exchange in truth.exchanges.iter_mut().filter(|exchange| !exchange.stored) {
                exchange.stored = holds(&exchange.new_token);
            }
        }
        let there =
            self.truths.iter().find(|(_, truth)| holds(&truth.session_id)).map(|(user, _)| user.clone());
        if let Some(user) = there {
            self.appeared(&user, world);
        }
    }

    /// An entry is gone: by a process that never showed it, because its deadline had passed when it was found, or by one
    /// whose clock is wrong and that the service has not told the time yet.
    pub(crate) fn erased(&mut self, process: &str, bytes: &[u8], world: &World) {
        let in_doubt = self.seen.get(process).is_some_and(|seen| seen.was_in_doubt);
        let now = world.true_now();
        for truth in self.truths.values_mut() {
            let id = truth.session_id.as_bytes();
            let idle = now.saturating_since(truth.last_active) + CLOCK_SLACK + ACTIVITY_SLACK;
            let age = now.saturating_since(truth.began) + CLOCK_SLACK;
            // Whoever knows the time finds idle what another, that does not, takes for used just now.
            let overdue = (self.policy.inactivity_timeout)
                .is_some_and(|timeout| idle >= timeout || truth.noted_in_doubt)
                || self.policy.max_lifetime.is_some_and(|max| age >= max);
            let expired = now + CLOCK_SLACK >= truth.refresh_expires;
            if bytes.windows(id.len()).any(|part| part == id) {
                truth.ended |= in_doubt || overdue || expired;
                // It says that it has noted the revocation, and has not.
                truth.owed &= world.moods.now() != Mood::Forgetful;
            }
        }
    }
}
