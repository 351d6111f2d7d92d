//! What the session knows of the server's time, and how: by whole seconds of `Date`, by what the issuer has signed, and
//! from the machine's clocks in between, of which one may be set and the other stands still in a sleep.

use std::time::Duration;

use super::state::{PendingErase, State};
use crate::{
    clock::{Now, ServerDate, Timestamp},
    store::step::Erase,
};

/// A server's clock that differs by less from what is known of it is taken to agree: `Date` has whole seconds and the
/// network takes time.
const SKEW_TOLERANCE_MS: u64 = 5_000;

/// Whether clocks that are `ms` apart agree.
fn is_no_skew(ms: i64) -> bool {
    ms.unsigned_abs() < SKEW_TOLERANCE_MS
}

/// What is known of the server's time, after the machine's clock was set by `set`.
fn moved_along(skew_ms: i64, set: i64) -> i64 {
    let moved = skew_ms.saturating_sub(set);
    // Put right: the machine knows the time more exactly than `Date` tells it.
    if is_no_skew(moved) { 0 } else { moved }
}

/// Whether what one process has learned says to another what `ours` says, the clock having been set by `set` meanwhile.
pub(super) fn agree(theirs: i64, ours: i64, set: i64) -> bool {
    is_no_skew(set) && is_no_skew(theirs.saturating_sub(ours))
}

impl State {
    /// The server's time, as far as it is known. All moments that are kept are by this time, and all deadlines: a
    /// machine's clock that is set neither ends a session nor extends it (requirements C7, C9).
    pub(crate) fn server_now(&self, now: Now) -> Timestamp {
        now.wall.shifted(self.skew_ms)
    }

    /// A token that was issued at `issued` has been verified: it is no earlier by the server's time, whatever was thought.
    pub(crate) fn witness(&mut self, issued: Option<Timestamp>, now: Now) {
        let Some(issued) = issued else { return };
        let behind = issued.0.saturating_sub(self.server_now(now).0);
        if behind > 0 && !is_no_skew(behind) {
            self.skew_ms = self.skew_ms.saturating_add(behind);
            let (skew_ms, server_now) = (self.skew_ms, self.server_now(now));
            self.activity_moved |=
                self.live_mut().is_some_and(|live| live.server_time_corrected(skew_ms, server_now));
        }
    }

    /// A moment that has surely come: both the machine's clock and the server's say so, and the latter has been learned
    /// since the former last moved. Until then none has: nothing is given up for a clock that is wrong.
    pub(crate) fn surely_now(&self, now: Now) -> Timestamp {
        if self.skew_known { self.server_now(now).min(now.wall) } else { Timestamp(i64::MIN) }
    }

    /// It is `floor` by now, whatever the machine's clock says: the issuer signed it, or an earlier run was there. A
    /// clock that was set back while the app was not running revives nothing.
    pub(crate) fn not_before(&mut self, floor: Timestamp, now: Now) {
        if self.skew_known {
            return;
        }
        let behind = floor.0.saturating_sub(self.server_now(now).0);
        if behind > 0 {
            self.skew_ms = self.skew_ms.saturating_add(behind);
        }
    }

    pub(super) fn local(&self, server_time: Timestamp) -> Timestamp {
        server_time.shifted(self.skew_ms.saturating_neg())
    }

    /// Notices that the wall clock was set since the last look.
    ///
    /// What is known of the server's time moves along, so that a clock that is set neither ends a session nor extends a
    /// token. Without a clock that goes on in a sleep, one that is set forward cannot be told from a sleep and counts as time;
    /// and a sleep may hide in one that is set back. So the server is asked before its time is believed again
    /// (requirement C9).
    pub(crate) fn notice_clock(&mut self, now: Now) {
        let Some(before) = self.looked.replace(now) else { return };
        if let Some(slept) = now.slept_since(before) {
            self.retries.slept(slept);
        }
        self.notice_sleep(before, now);
        let apart = now.apart_from(before);
        let set = now.set_since(before).or_else(|| (apart < 0).then_some(apart));
        if is_no_skew(set.unwrap_or(apart)) {
            return;
        }
        let known = std::mem::replace(&mut self.skew_known, false);
        self.skew_ms = moved_along(self.skew_ms, set.unwrap_or_default());
        if let Some(live) = self.live_mut() {
            let wrong = live.noted_with_skew.filter(|_| !known);
            live.noted_with_skew = wrong.zip(set).map(|(noted, set)| noted.saturating_sub(set));
        }
    }

    pub(crate) fn learn_server_time(&mut self, date: Option<ServerDate>, now: Now) {
        let Some(date) = date.and_then(|date| date.at(now)) else { return };
        let skew = date.0.saturating_sub(now.wall.0);
        self.skew_known = true;
        if is_no_skew(skew) {
            self.skew_ms = 0;
        } else if !is_no_skew(skew.saturating_sub(self.skew_ms)) {
            self.skew_ms = skew;
        }
        self.time_learned_at = now.unset;
        self.time_to_tell = Some((self.skew_ms, now));
        self.time_corrected(now);
    }

    /// What another process has learned of the server's time at `learned_at` by the clock that nobody sets: by how much it was
    /// ahead of the machine's clock, which was set by `set` since.
    pub(crate) fn take_over_time(&mut self, skew_ms: i64, learned_at: Duration, set: i64, now: Now) {
        if self.time_learned_at.is_some_and(|ours| learned_at <= ours) {
            return;
        }
        self.time_learned_at = Some(learned_at);
        self.skew_ms = moved_along(skew_ms, set);
        // What moves along with a clock that was set is in doubt, here as in whoever has seen that (requirement C9).
        self.skew_known = is_no_skew(set);
        self.time_corrected(now);
    }

    /// What was noted by the wrong time moves along.
    fn time_corrected(&mut self, now: Now) {
        let server_now = self.server_now(now);
        if let Some(PendingErase { erase: Erase::NotAfter(at, _), .. }) = &mut self.pending_erase {
            // What began after the logout is not its business, whatever time it was thought to be then.
            *at = (*at).min(server_now);
        }
        let skew_ms = self.skew_ms;
        self.activity_moved |=
            self.live_mut().is_some_and(|live| live.server_time_corrected(skew_ms, server_now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64) -> Now {
        Now { wall: Timestamp(wall), monotonic: Duration::ZERO, unset: Some(Duration::from_secs(9)) }
    }

    #[test]
    fn c9_what_was_learned_last_is_believed() {
        let mut state = State::default();
        let hour = 3_600_000;
        state.take_over_time(hour, Duration::from_secs(2), 0, at(0));
        assert_eq!((state.skew_ms, state.skew_known), (hour, true));
        state.take_over_time(-hour, Duration::from_secs(1), 0, at(0));
        assert_eq!(state.skew_ms, hour, "an older word");
        state.take_over_time(2 * hour, Duration::from_secs(3), hour, at(0));
        assert_eq!(
            (state.skew_ms, state.skew_known),
            (hour, false),
            "the clock was set since: it moves along"
        );
        state.learn_server_time(ServerDate::heard(Some(Timestamp(-hour)), at(0)), at(0));
        state.take_over_time(hour, Duration::from_secs(8), 0, at(0));
        assert_eq!(
            (state.skew_ms, state.skew_known),
            (-hour, true),
            "we have heard the server ourselves since"
        );
    }

    #[test]
    fn c9_no_moment_that_a_file_or_a_clock_can_say_is_too_much() {
        for skew_ms in [i64::MIN, i64::MAX] {
            for set in [i64::MIN, i64::MAX, 0, 1] {
                for wall in [i64::MIN, i64::MAX, 0] {
                    let mut state = State::default();
                    state.take_over_time(skew_ms, Duration::MAX, set, at(wall));
                    assert_eq!(state.skew_known, set.unsigned_abs() < 2);
                    for later in [i64::MIN, i64::MAX, 0] {
                        state.notice_clock(at(later));
                        state.witness(Some(Timestamp(wall)), at(later));
                        state.not_before(Timestamp(wall), at(later));
                        state
                            .learn_server_time(ServerDate::heard(Some(Timestamp(later)), at(wall)), at(wall));
                    }
                }
            }
        }
    }
}
