//! When a user counts as gone. Pure: moments in, moments out.
//!
//! Wall time, because sleep counts as inactivity (requirement C8).

use std::time::Duration;

use crate::{clock::Timestamp, store::record::SignInId};

/// Activity is noted at most this often: finer than any sensible timeout, coarse enough to cost nothing.
pub const ACTIVITY_GRANULARITY: Duration = Duration::from_secs(15);

/// The app's mirror of OTPless's dashboard settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Ends a session in which nobody did anything for this long. Off by default.
    pub inactivity_timeout: Option<Duration>,
    /// How long before that end the app is warned. 60 s by default; half the timeout where that is shorter.
    pub inactivity_warning: Duration,
    /// Ends a session this long after sign-in, whatever happens. Off by default.
    pub max_lifetime: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { inactivity_timeout: None, inactivity_warning: Duration::from_secs(60), max_lifetime: None }
    }
}

impl Policy {
    pub(crate) fn inactivity_deadline(&self, last_active_at: Timestamp) -> Option<Timestamp> {
        self.inactivity_timeout.map(|timeout| last_active_at + timeout)
    }

    pub(crate) fn warning_at(&self, last_active_at: Timestamp) -> Option<Timestamp> {
        let timeout = self.inactivity_timeout?;
        Some(last_active_at + timeout - self.inactivity_warning.min(timeout / 2))
    }

    pub(crate) fn lifetime_deadline(&self, started_at: Timestamp) -> Option<Timestamp> {
        self.max_lifetime.map(|max| started_at + max)
    }
}

/// The later of two accounts of the last activity, neither from the future: a clock that was wrong, or a file that
/// was edited, must not keep a session alive.
pub(crate) fn latest_known(recorded: Timestamp, logged: Option<Timestamp>, now: Timestamp) -> Timestamp {
    logged.map_or(recorded, |logged| logged.max(recorded)).min(now)
}

/// How many sign-ins have a note of their last activity: a process that still shows a session which another has replaced must
/// not write over the note of that one.
const MOST_NOTES: usize = 3;

/// The notes in `line`, the newest first.
pub(crate) fn notes(line: &str) -> impl Iterator<Item = (Timestamp, &str)> {
    line.split(',').filter_map(|note| {
        let (at, whose) = note.split_once(' ')?;
        Some((Timestamp(at.parse().ok()?), whose))
    })
}

/// `line` with a note that the user of `sign_in` was active at `at`.
pub(crate) fn noted_too(line: Option<&str>, sign_in: &SignInId, at: Timestamp) -> String {
    let others = line.into_iter().flat_map(notes).filter(|(_, whose)| *whose != sign_in.as_str());
    let kept: Vec<_> = std::iter::once((at, sign_in.as_str()))
        .chain(others)
        .take(MOST_NOTES)
        .map(|(at, whose)| format!("{} {whose}", at.0))
        .collect();
    kept.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_comes_before_the_end_even_for_short_timeouts() {
        let policy =
            |secs| Policy { inactivity_timeout: Some(Duration::from_secs(secs)), ..Policy::default() };
        assert_eq!(policy(600).warning_at(Timestamp(0)), Some(Timestamp(540_000)));
        assert_eq!(policy(20).warning_at(Timestamp(0)), Some(Timestamp(10_000)));
        assert_eq!(Policy::default().warning_at(Timestamp(0)), None);
    }

    #[test]
    fn c8_activity_from_the_future_does_not_extend_a_session() {
        let now = Timestamp(1_000);
        assert_eq!(latest_known(Timestamp(100), Some(Timestamp(900)), now), Timestamp(900));
        assert_eq!(latest_known(Timestamp(100), Some(Timestamp(99_000)), now), now);
        assert_eq!(latest_known(Timestamp(100), None, now), Timestamp(100));
        assert_eq!(latest_known(Timestamp(100), Some(Timestamp(50)), now), Timestamp(100));
    }

    #[test]
    fn c8_a_note_of_one_sign_in_leaves_those_of_others_alone() {
        let (ours, theirs) = (SignInId::named("ours"), SignInId::named("theirs"));
        let line = noted_too(None, &theirs, Timestamp(5));
        let line = noted_too(Some(&line), &ours, Timestamp(3));
        let line = noted_too(Some(&line), &ours, Timestamp(7));
        assert_eq!(line, "7 ours,5 theirs");
        let crowded = noted_too(Some("9 a,8 b,7 c,junk,,x y"), &ours, Timestamp(1));
        assert_eq!(crowded, "1 ours,9 a,8 b", "and there is an end to it");
    }
}
