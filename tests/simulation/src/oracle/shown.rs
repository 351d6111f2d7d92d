//! What a process shows, and why it may.

use std::time::Duration;

use otpless_local::SessionState;
use tauri_plugin_otpless::{EndReason, Session, SessionStatus, Storage, Timestamp};

use super::{ACTIVITY_SLACK, ANSWER_LOST, CLOCK_SLACK, DIED_BEFORE_WRITE, LEEWAY, LOOK_SLACK, Oracle};
use crate::{keychain::Mood, world::World};

impl Oracle {
    /// Something was published.
    pub(crate) fn observe(&mut self, process: &str, session: &Session, world: &World) {
        self.check(process, session, LOOK_SLACK, world);
        let Some(seen) = self.seen.get(process).filter(|seen| seen.time_known) else { return };
        if session.status != SessionStatus::Active {
            return;
        }
        let now = world.true_now();
        // Its token is the one of the user's that expires when the session says (C12); to the second only if it knows the
        // time to the second.
        let shown = session.expires_at.map(|at| at.shifted(-world.clock_error_ms()));
        let is_shown = |until: Timestamp| {
            let apart = |shown: Timestamp| until.saturating_since(shown).max(shown.saturating_since(until));
            !seen.was_told_time || shown.is_some_and(|shown| apart(shown) <= 2 * CLOCK_SLACK)
        };
        let good = self.issued.values().any(|(user, until)| {
            session.user_id.as_ref() == Some(user) && is_shown(*until) && now < *until + LEEWAY + CLOCK_SLACK
        });
        if !good {
            let what =
                format!("{process} shows a session as active whose token is not good, until {shown:?}");
            self.violated(world, what);
        }
    }

    /// Nobody looked: a process finds out by itself that a deadline has passed, once it has run for as long as its loop
    /// may sleep (C10).
    pub(crate) fn glanced(&mut self, process: &str, session: &Session, world: &World) {
        let Some(seen) = self.seen.get(process) else { return };
        let since = self.last_jump.unwrap_or_default().max(seen.woke);
        if world.awake() < since + LOOK_SLACK {
            return;
        }
        if let Some(user) = &session.user_id {
            for what in self.beyond_deadlines(process, user, LOOK_SLACK, world) {
                self.violated(world, format!("by itself, {what}"));
            }
        }
    }

    /// Which deadlines have passed of the session that `process` shows, by more than `slack`.
    pub(super) fn beyond_deadlines(
        &self,
        process: &str,
        user: &str,
        slack: Duration,
        world: &World,
    ) -> Vec<String> {
        let in_doubt = self.seen.values().any(|seen| seen.alive && !seen.time_known);
        let (Some(seen), Some(truth)) = (self.seen.get(process), self.truths.get(user)) else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        if seen.time_known {
            let now = world.true_now();
            let slack = slack + CLOCK_SLACK;
            if self.policy.max_lifetime.is_some_and(|max| now > truth.accepted + max + slack) {
                wrong.push(format!("{process} shows a session beyond its maximum lifetime"));
            }
            let slack = slack + ACTIVITY_SLACK;
            // Whoever does not know the time tells the others of activity by the wrong one.
            if !in_doubt
                && !truth.noted_in_doubt
                && (self.policy.inactivity_timeout)
                    .is_some_and(|timeout| now > truth.last_active + timeout + slack)
            {
                wrong.push(format!("{process} shows a session beyond the inactivity timeout"));
            }
        }
        wrong
    }

    /// Somebody looked.
    pub(crate) fn looked(&mut self, process: &str, session: &Session, token: Option<&str>, world: &World) {
        self.check(process, session, Duration::ZERO, world);
        let shows = session.user_id.as_deref();
        if session.status == SessionStatus::Active && token.is_none() {
            self.violated(world, format!("{process} shows a session as active and has no token for it"));
            return;
        }
        let Some(token) = token else { return };
        let known = self.seen.get(process).is_some_and(|seen| seen.time_known);
        match self.issued.get(token) {
            None => self.violated(world, format!("{process} serves a token that the service has not issued")),
            Some((user, until)) => {
                let over = world.true_now() >= *until + LEEWAY + CLOCK_SLACK;
                if shows.is_some_and(|shows| shows != user) {
                    self.violated(world, format!("{process} serves somebody else's token"));
                } else if over && known {
                    self.violated(world, format!("{process} serves a token that has expired"));
                }
            }
        }
    }

    pub(super) fn check(&mut self, process: &str, session: &Session, slack: Duration, world: &World) {
        if let Some(user) = &session.user_id {
            self.appeared(user, world);
        }
        let Some(seen) = self.seen.get(process) else { return };
        // It has run on since.
        self.time_is_shared |=
            world.scenario.unset_clock && seen.told_time_at.is_some_and(|at| at < world.awake());
        let (before, was, knows_time) = (seen.shows.clone(), seen.status, seen.time_known);
        let shows = session.user_id.clone();
        let mut wrong = Vec::new();
        if let Some(user) = &shows {
            match self.truths.get(user) {
                None => wrong.push(format!("{process} shows a session that never began")),
                Some(truth) => {
                    let started = seen.started;
                    let was_over = seen.over.get(user) == Some(&false);
                    if was_over || truth.final_since.is_some_and(|at| at < started) {
                        wrong.push(format!("{process} shows a session again that was over"));
                    }
                }
            }
            wrong.extend(self.beyond_deadlines(process, user, slack, world));
            wrong.extend(self.says_where_it_is(process, user, session.storage).err());
        }
        if session.status == SessionStatus::SignedOut
            && let Some(user) = before.clone()
        {
            wrong.extend(self.justify(process, &user, session.end_reason, world).err());
            self.ended(process, &user, session.end_reason, world);
            if let Some(truth) = self.truths.get_mut(&user) {
                truth.owed |= world.moods.now() == Mood::Well;
            }
        }
        if let (Some(user), Some(next)) = (&before, &shows)
            && user != next
        {
            wrong.extend(self.justify(process, user, Some(EndReason::Replaced), world).err());
            self.ended(process, user, Some(EndReason::Replaced), world);
        }
        let by_deadline = matches!(session.end_reason, Some(EndReason::Inactive | EndReason::Lifetime));
        if before.is_none() && by_deadline && !knows_time {
            // It has found a session and ended it at once, by the wrong time: for the others as well.
            for truth in self.truths.values_mut().filter(|truth| truth.ever_stored) {
                truth.ended = true;
            }
        }
        if session.status == SessionStatus::SignedOut
            && before.is_none()
            && matches!(was, None | Some(SessionStatus::Restoring))
        {
            wrong.extend(self.restored_nothing(process, session.end_reason, world).err());
        }
        if let Some(seen) = self.seen.get_mut(process) {
            seen.shows = shows;
            seen.status = Some(session.status);
        }
        for what in wrong {
            self.violated(world, what);
        }
    }

    /// A session that would be gone with its process says so (requirement A3).
    pub(super) fn says_where_it_is(&self, process: &str, user: &str, storage: Storage) -> Result<(), String> {
        let never_stored = self.truths.get(user).is_some_and(|truth| !truth.ever_stored);
        if never_stored && storage == Storage::Keychain {
            return Err(format!("{process} says that the keychain has a session that it never had"));
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, process: &str, user: &str, reason: Option<EndReason>, world: &World) {
        if let Some(truth) = self.truths.get_mut(user) {
            truth.ended = true;
            truth.final_since.get_or_insert(world.awake());
        }
        if let Some(seen) = self.seen.get_mut(process) {
            let damaged = reason == Some(EndReason::StoreCorrupt);
            seen.over.entry(user.to_owned()).and_modify(|known| *known &= damaged).or_insert(damaged);
        }
    }

    /// Whether the end of `user`'s session has the reason that is shown.
    pub(super) fn justify(
        &mut self,
        process: &str,
        user: &str,
        reason: Option<EndReason>,
        world: &World,
    ) -> Result<(), String> {
        // A process that the service has not told the time since somebody set the clock notes what it notes by the wrong one. It may
        // have ended a session that it has just found, and have been killed before it showed so.
        let appeared = self.truths.get(user).and_then(|truth| truth.seen_at);
        let in_doubt = self.seen.values().any(|seen| {
            let was_there =
                seen.alive || seen.died.is_some_and(|at| appeared.is_some_and(|since| at >= since));
            was_there && !seen.time_known
        });
        let began: Vec<_> =
            (self.truths.iter()).filter(|(other, _)| *other != user).map(|(_, truth)| truth.began).collect();
        let Some(truth) = self.truths.get_mut(user) else { return Ok(()) };
        let now = world.true_now();
        let ended_elsewhere = truth.ended;
        // Whoever has a clock that nobody sets is not misled by one that was, once it knows the time.
        let clock_moved = truth.clock_moved && !world.scenario.unset_clock;
        let idle = now.saturating_since(truth.last_active) + CLOCK_SLACK + ACTIVITY_SLACK;
        let age = now.saturating_since(truth.began) + CLOCK_SLACK;
        let state = world.service().session_state(&truth.session_id);
        *world.report().ends.entry(reason.map_or("none".to_owned(), |r| format!("{r:?}"))).or_default() += 1;
        let lost = (truth.exchanges.iter().rev()).find(|exchange| !exchange.stored).and_then(|exchange| {
            match exchange.delivered {
                None if exchange.lost || !exchange.died => Some(ANSWER_LOST),
                _ => exchange.died.then_some(DIED_BEFORE_WRITE),
            }
        });
        let holds = match reason {
            // What is shown may be why the one ended that had taken its place.
            _ if truth.replaced
                || ended_elsewhere
                || truth.verdict && state != Some(SessionState::Active) =>
            {
                true
            }
            Some(EndReason::Logout) => truth.logout_called,
            // Which of two began later is told by clocks, and some begin together.
            Some(EndReason::Replaced) => {
                began.iter().any(|other| truth.clock_moved || *other + CLOCK_SLACK >= truth.began)
            }
            Some(EndReason::Inactive) => {
                clock_moved
                    || in_doubt
                    || truth.noted_in_doubt
                    || self.policy.inactivity_timeout.is_some_and(|timeout| idle >= timeout)
            }
            Some(EndReason::Lifetime) => {
                clock_moved || in_doubt || self.policy.max_lifetime.is_some_and(|max| age >= max)
            }
            Some(EndReason::Expired) if now + CLOCK_SLACK >= truth.refresh_expires => true,
            // What was damaged may have been another process's newer tokens.
            Some(EndReason::Revoked | EndReason::Expired) if truth.damaged => true,
            // The service has the session, and what the device holds of it is refused or has expired: it was lost.
            Some(EndReason::Revoked | EndReason::Expired) => {
                if let Some(cause) = lost {
                    *world.report().losses.entry(cause).or_default() += 1;
                    world.tell(|| format!("LOST: {cause}"));
                }
                lost.is_some()
            }
            Some(EndReason::StoreCorrupt | EndReason::InvalidToken) => truth.damaged,
            Some(_) | None => false,
        };
        if holds {
            Ok(())
        } else {
            Err(format!(
                "{process} ended a session as {reason:?}, which is not why (the service has it as {state:?})"
            ))
        }
    }

    /// A process started and found nobody signed in.
    pub(super) fn restored_nothing(
        &mut self,
        process: &str,
        reason: Option<EndReason>,
        world: &World,
    ) -> Result<(), String> {
        let started = self.seen.get(process).map(|seen| seen.started).unwrap_or_default();
        let shown = |user| self.seen.values().any(|seen| seen.alive && seen.shows.as_ref() == Some(user));
        let lost: Vec<_> = (self.truths.iter())
            .filter(|(user, truth)| {
                let open = !truth.ended && !truth.replaced && !truth.logout_called;
                // With a reason it was found and ended at once, whoever else shows it.
                let found = truth.ever_stored && reason.is_some() || !shown(*user);
                truth.seen_at.is_some_and(|at| at < started) && open && found
            })
            .map(|(user, _)| (user.clone(), shown(user)))
            .collect();
        for (user, is_shown) in lost {
            let Some(truth) = self.truths.get_mut(&user) else { continue };
            if is_shown && reason == Some(EndReason::StoreCorrupt) {
                return Err(format!("{process} ended a session as damaged which another process has"));
            }
            if !truth.ever_stored {
                // No keychain took it, and it never said otherwise (requirement A3, `says_where_it_is`).
                world.report().memory_only += 1;
            } else if reason.is_some() {
                self.justify(process, &user, reason, world)?;
            } else {
                return Err(format!("{process} found nobody signed in, and nobody had signed out"));
            }
            self.ended(process, &user, reason, world);
        }
        Ok(())
    }
}
