//! When things are due. Pure: a view of the session in, the duties due now and the time until the next out.

use std::time::Duration;

use crate::{
    clock::{Now, Timestamp},
    session::snapshot::EndReason,
    store::StoreError,
};

/// A refresh is due when this share of the token's life is left …
const REFRESH_SHARE: u32 = 5;
/// … but at most this much …
const REFRESH_MARGIN_MAX: Duration = Duration::from_secs(5 * 60);
/// … and at least this much, unless the token lives for less than twice as long.
const REFRESH_MARGIN_MIN: Duration = Duration::from_secs(30);

/// While an exchange fails it is tried no more often than this (rule 5).
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Full jitter on top of [`RETRY_MIN`]: between nothing and this, doubled with each failure …
const RETRY_JITTER_BASE: Duration = Duration::from_secs(15);
/// … up to this.
const RETRY_JITTER_MAX: Duration = Duration::from_secs(15 * 60);

/// Retries that cost the server nothing or next to nothing (keychain, keys, revocations) start sooner.
const QUICK_RETRY_MIN: Duration = Duration::from_secs(2);
const QUICK_RETRY_JITTER_BASE: Duration = Duration::from_secs(4);

/// The keychain's jitter ends here: it is this machine's own, and what it has not taken yet may be the only good token.
const KEYCHAIN_RETRY_JITTER_MAX: Duration = Duration::from_secs(30);

/// A heartbeat goes out at most this often, and only if the user was active since the last (rule 9).
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The background task never sleeps longer: timers stand still while a machine sleeps (requirement C10).
pub(crate) const MAX_SLEEP: Duration = Duration::from_secs(60);

/// How patient a retry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Calls that spend or renew tokens.
    Exchange,
    /// Other calls to a server.
    Quick,
    /// A keychain that does not work.
    Keychain,
    /// A keychain that somebody has to unlock: whoever dismissed the question is not asked again right away.
    Locked,
}

impl Pace {
    /// After the keychain has failed with `error`.
    pub(crate) fn after(error: &StoreError) -> Self {
        if *error == StoreError::Locked { Self::Locked } else { Self::Keychain }
    }
}

/// The wait after `failures` failures in a row. `random` is uniform over `u32`: full jitter, so that a thousand
/// clients that failed together do not come back together (requirement C6).
pub(crate) fn retry_delay(pace: Pace, failures: u32, retry_after: Option<Duration>, random: u32) -> Duration {
    let (min, base, max) = match pace {
        Pace::Exchange => (RETRY_MIN, RETRY_JITTER_BASE, RETRY_JITTER_MAX),
        Pace::Quick => (QUICK_RETRY_MIN, QUICK_RETRY_JITTER_BASE, RETRY_JITTER_MAX),
        Pace::Keychain => (QUICK_RETRY_MIN, QUICK_RETRY_JITTER_BASE, KEYCHAIN_RETRY_JITTER_MAX),
        Pace::Locked => (RETRY_MIN, RETRY_JITTER_BASE, KEYCHAIN_RETRY_JITTER_MAX),
    };
    let ceiling = base.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max);
    min.max(retry_after.unwrap_or_default()) + share(ceiling, random)
}

/// When a token should be renewed. `jitter` is uniform over `u32`, the same for one sign-in on one device.
pub(crate) fn refresh_at(issued_at: Timestamp, expires_at: Timestamp, jitter: u32) -> Timestamp {
    let life = expires_at.saturating_since(issued_at);
    let margin = (life / REFRESH_SHARE).clamp(REFRESH_MARGIN_MIN, REFRESH_MARGIN_MAX).min(life / 2);
    expires_at - margin - share(margin / 4, jitter)
}

fn share(of: Duration, random: u32) -> Duration {
    of.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Work the background task starts and does not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    /// Read the keychain.
    Restore,
    /// Buy a new session token.
    Refresh,
    /// Fetch keys to verify a token that could not be verified yet.
    Keys,
    /// Ask the server whether the session is good.
    Heartbeat,
    /// Store a session that could not be stored yet.
    Persist,
    /// Erase an entry that could not be erased yet.
    Erase,
    /// Note in the keychain which sessions the server must be told of.
    Note,
    /// Tell the server of sessions that are over.
    Revoke,
    /// Read the keychain again, because another process has changed it.
    News,
}

/// Something to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// A deadline has passed.
    End(EndReason),
    /// The user is about to be signed out for inactivity.
    Warn,
    /// Nothing but to look: the token expires, and everyone should hear that the session is stale.
    Look,
    /// Start a job.
    Start(Job),
}

/// A moment at which something becomes due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// By the wall clock: deadlines.
    Wall(Timestamp),
    /// By the monotonic clock: back-off, which a wrong wall clock must neither skip nor stretch.
    Monotonic(Duration),
    /// By both.
    Both(Timestamp, Duration),
}

impl When {
    /// Time left until it is due; zero if it is.
    fn left(self, now: Now) -> Duration {
        match self {
            Self::Wall(at) => at.saturating_since(now.wall),
            Self::Monotonic(at) => at.saturating_sub(now.monotonic),
            Self::Both(wall, monotonic) => {
                wall.saturating_since(now.wall).max(monotonic.saturating_sub(now.monotonic))
            }
        }
    }
}

/// What is due now, in the order given, and how long until something else is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) due: Vec<Duty>,
    /// At most [`MAX_SLEEP`]; `None` if nothing ever will be due by itself.
    pub(crate) sleep: Option<Duration>,
}

/// Sorts `upcoming` into what is due and what is not.
pub(crate) fn plan(upcoming: impl IntoIterator<Item = (When, Duty)>, now: Now) -> Plan {
    let mut plan = Plan::default();
    for (when, duty) in upcoming {
        let left = when.left(now);
        if left.is_zero() {
            plan.due.push(duty);
        } else {
            plan.sleep = Some(plan.sleep.unwrap_or(MAX_SLEEP).min(left));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn margin(life: Duration, jitter: u32) -> Duration {
        let issued = Timestamp(1_000_000);
        (issued + life).saturating_since(refresh_at(issued, issued + life, jitter))
    }

    #[test]
    fn rule_5_refresh_comes_in_the_last_fifth_within_its_bounds() {
        assert_eq!(margin(24 * HOUR, 0), 5 * MINUTE, "the documented 24 h token: at most 5 minutes");
        assert_eq!(margin(10 * MINUTE, 0), 2 * MINUTE, "20 %");
        assert_eq!(margin(2 * MINUTE, 0), Duration::from_secs(30), "at least 30 s");
        assert_eq!(margin(Duration::from_secs(20), 0), Duration::from_secs(10), "never before half its life");
    }

    #[test]
    fn c6_refreshes_of_many_devices_are_spread_and_never_late() {
        let spread: std::collections::BTreeSet<_> =
            (0..100).map(|i| margin(24 * HOUR, i * (u32::MAX / 100))).collect();
        assert_eq!(spread.len(), 100);
        assert!(spread.iter().all(|m| (5 * MINUTE..=5 * MINUTE * 5 / 4).contains(m)), "{spread:?}");
    }

    #[test]
    fn c6_retries_back_off_with_full_jitter_and_honour_retry_after() {
        let delay = |failures, random| retry_delay(Pace::Exchange, failures, None, random);
        assert_eq!(delay(1, 0), MINUTE, "never more than one exchange a minute while it fails");
        assert_eq!(delay(1, u32::MAX), MINUTE + Duration::from_secs(15));
        assert_eq!(delay(3, u32::MAX), 2 * MINUTE);
        assert_eq!(delay(1_000_000, u32::MAX), 16 * MINUTE, "bounded");
        assert_eq!(retry_delay(Pace::Exchange, 1, Some(10 * MINUTE), 0), 10 * MINUTE);
        assert_eq!(retry_delay(Pace::Exchange, 1, Some(Duration::ZERO), 0), MINUTE);
    }

    #[test]
    fn a8_a_keychain_that_was_away_for_long_is_looked_for_every_half_minute() {
        let longest = |pace| retry_delay(pace, 1_000, None, u32::MAX);
        assert_eq!(longest(Pace::Keychain), Duration::from_secs(32));
        assert_eq!(
            longest(Pace::Locked),
            Duration::from_secs(90),
            "but nobody is asked to unlock it so often"
        );
    }

    #[test]
    fn plan_reports_what_is_due_and_sleeps_until_the_rest_but_never_longer_than_a_minute() {
        let now = Now { wall: Timestamp(10_000), monotonic: MINUTE, unset: None };
        let second = Duration::from_secs(1);
        let refresh = Duty::Start(Job::Refresh);
        let at = |when| plan([(when, refresh)], now);
        assert_eq!(at(When::Wall(Timestamp(10_000))).due, [refresh]);
        assert_eq!(at(When::Wall(Timestamp(10_001))), Plan { due: vec![], sleep: Some(second / 1000) });
        assert_eq!(at(When::Monotonic(MINUTE)).due, [refresh]);
        assert_eq!(at(When::Monotonic(MINUTE + second)).sleep, Some(second));
        assert_eq!(at(When::Both(Timestamp(0), MINUTE + second)).sleep, Some(second));
        assert_eq!(at(When::Both(Timestamp(12_000), MINUTE)).sleep, Some(2 * second));
        assert_eq!(at(When::Wall(Timestamp(i64::MAX))).sleep, Some(MAX_SLEEP));
        assert_eq!(plan([], now), Plan::default());
    }
}
