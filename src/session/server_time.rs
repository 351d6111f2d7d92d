//! What the session knows of the server's time, and how: by whole seconds of `Date`, by what the issuer has signed, and
//! from the machine's clocks in between, of which one may be set and the other stands still in a sleep.

use super::{
    schedule::Now,
    state::{PendingErase, State},
};
use crate::{clock::Timestamp, store::step::Erase};

/// A server's clock that differs by less from what is known of it is taken to agree: `Date` has whole seconds and the
/// network takes time.
const SKEW_TOLERANCE_MS: i64 = 5_000;

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
        if behind > SKEW_TOLERANCE_MS {
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
        let apart = now.apart_from(before);
        let set = now.set_since(before).or_else(|| (apart < 0).then_some(apart));
        if set.unwrap_or(apart).abs() <= SKEW_TOLERANCE_MS {
            return;
        }
        let known = std::mem::replace(&mut self.skew_known, false);
        self.skew_ms = self.skew_ms.saturating_sub(set.unwrap_or_default());
        if self.skew_ms.abs() < SKEW_TOLERANCE_MS {
            // Put right: the machine knows the time more exactly than `Date` tells it.
            self.skew_ms = 0;
        }
        if let Some(live) = self.live_mut() {
            let wrong = live.noted_with_skew.filter(|_| !known);
            live.noted_with_skew = wrong.zip(set).map(|(noted, set)| noted.saturating_sub(set));
        }
    }

    pub(crate) fn learn_server_time(&mut self, date: Option<Timestamp>, now: Now) {
        let Some(date) = date else { return };
        let skew = date.0.saturating_sub(now.wall.0);
        self.skew_known = true;
        if skew.abs() < SKEW_TOLERANCE_MS {
            self.skew_ms = 0;
        } else if skew.abs_diff(self.skew_ms) >= SKEW_TOLERANCE_MS.unsigned_abs() {
            self.skew_ms = skew;
        }
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
