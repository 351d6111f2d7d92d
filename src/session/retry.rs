//! When something that failed is tried again, by the background task and by a caller who asks.

use std::time::Duration;

use super::schedule::{self, Job, Pace};
use crate::{clock::Now, error::Error};

/// A caller who asks is not held longer than this by back-off alone; `Retry-After` holds everyone.
const CALLER_WAIT: Duration = Duration::from_secs(60);

/// What somebody has to change first, in the settings or at the relay, is tried again after this: nobody says when it has been.
const HELD: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    failed_at: Duration,
    not_before: Duration,
    callers_not_before: Duration,
    /// Until when the server itself asked for a wait. What becomes of the session meanwhile does not concern it
    /// (requirement C6).
    asked_until: Duration,
    /// Trying again soon cannot help: somebody has to change something first (rule 6).
    held: bool,
}

impl Retry {
    pub(crate) fn failed(&mut self, pace: Pace, now: Now, retry_after: Option<Duration>, random: u32) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now.monotonic;
        let delay = schedule::retry_delay(pace, self.failures, retry_after, random);
        self.not_before = now.monotonic + delay;
        self.callers_not_before = now.monotonic + delay.min(CALLER_WAIT);
        self.held = false;
        self.asked_to_wait(retry_after, now);
    }

    /// The server asked for a wait, if it did: of whatever session it answered, it meant this client.
    pub(crate) fn asked_to_wait(&mut self, retry_after: Option<Duration>, now: Now) {
        if let Some(wait) = retry_after {
            self.asked_until = self.asked_until.max(now.monotonic + wait);
        }
    }

    /// After a call to the session API failed with `error`, and its answer asked for a wait, if it did.
    pub(crate) fn failed_with(
        &mut self,
        error: &Error,
        retry_after: Option<Duration>,
        now: Now,
        random: u32,
    ) {
        self.failed(Pace::Exchange, now, retry_after, random);
        // Only on OTPless's own word: a refusal without its code may be a proxy's.
        self.held = !error.is_retryable() && error.code().is_some();
    }

    /// The machine slept for so long, which this clock did not count and the server did.
    fn slept(&mut self, slept: Duration) {
        self.asked_until = self.asked_until.saturating_sub(slept);
    }

    /// How much is left of what the server asked for.
    pub(crate) fn wait_left(&self, now: Now) -> Option<Duration> {
        self.asked_until.checked_sub(now.monotonic).filter(|left| !left.is_zero())
    }

    /// Nothing has failed, or nothing that still counts.
    pub(crate) fn succeeded(&mut self) {
        *self = Self { asked_until: self.asked_until, ..Self::default() };
    }

    /// Something happened after `since` that may have cured it: the machine woke up, the user came back. A wait that the
    /// server asked for stands, and so does one for a failure that came later.
    pub(crate) fn may_be_cured(&mut self, since: Duration) {
        if self.failed_at <= since {
            self.not_before = Duration::ZERO;
            self.callers_not_before = Duration::ZERO;
        }
    }

    /// A refresh went well, so what was wrong with all calls is not any more.
    pub(crate) fn others_succeed(&mut self) {
        self.held = false;
    }

    pub(crate) fn not_before(&self) -> Duration {
        let held = if self.held { self.failed_at + HELD } else { Duration::ZERO };
        self.not_before.max(self.asked_until).max(held)
    }

    /// Whether a caller is answered with the last outcome instead of another try.
    pub(crate) fn holds_callers(&self, now: Now) -> bool {
        now.monotonic < self.callers_not_before.max(self.asked_until)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Retries {
    pub(crate) restore: Retry,
    pub(crate) refresh: Retry,
    pub(crate) keys: Retry,
    pub(crate) heartbeat: Retry,
    /// Asked on request alone: only the wait counts.
    pub(crate) details: Retry,
    pub(crate) persist: Retry,
    pub(crate) erase: Retry,
    pub(crate) revoke: Retry,
    pub(crate) note: Retry,
    pub(crate) news: Retry,
}

impl Retries {
    pub(crate) fn of(&mut self, job: Job) -> &mut Retry {
        match job {
            Job::Restore => &mut self.restore,
            Job::Refresh => &mut self.refresh,
            Job::Keys => &mut self.keys,
            Job::Heartbeat => &mut self.heartbeat,
            Job::Persist => &mut self.persist,
            Job::Erase => &mut self.erase,
            Job::Revoke => &mut self.revoke,
            Job::Note => &mut self.note,
            Job::News => &mut self.news,
        }
    }

    /// What is left for a session that begins: waits that the server asked for, and what is owed for those before.
    pub(crate) fn of_a_new_session(mut self) -> Self {
        for retry in [&mut self.refresh, &mut self.heartbeat, &mut self.details] {
            retry.succeeded();
        }
        let Self { refresh, heartbeat, details, revoke, note, .. } = self;
        Self { refresh, heartbeat, details, revoke, note, ..Self::default() }
    }

    /// The machine slept for so long.
    pub(crate) fn slept(&mut self, slept: Duration) {
        for retry in
            [&mut self.refresh, &mut self.heartbeat, &mut self.details, &mut self.keys, &mut self.revoke]
        {
            retry.slept(slept);
        }
    }

    /// The network may be back, since some moment after `since`.
    pub(crate) fn network_may_be_back(&mut self, since: Duration) {
        for retry in [&mut self.refresh, &mut self.keys, &mut self.heartbeat, &mut self.revoke] {
            retry.may_be_cured(since);
        }
    }

    /// Somebody may have unlocked the keychain.
    pub(crate) fn store_may_be_back(&mut self, now: Now) {
        for retry in [&mut self.restore, &mut self.persist, &mut self.erase, &mut self.note] {
            retry.may_be_cured(now.monotonic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, error::ErrorKind};

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(monotonic: Duration) -> Now {
        Now { wall: Timestamp(0), monotonic, unset: None }
    }

    #[test]
    fn c6_a_wait_the_server_asked_for_survives_a_wake_up_and_holds_callers_too() {
        let mut retry = Retry::default();
        let limited = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Some(10 * MINUTE));
        retry.failed_with(&limited, limited.retry_after(), at(MINUTE), 0);
        retry.may_be_cured(2 * MINUTE);
        assert_eq!(retry.not_before(), 11 * MINUTE);
        assert!(retry.holds_callers(at(10 * MINUTE)) && !retry.holds_callers(at(11 * MINUTE)));
    }

    #[test]
    fn c6_a_wait_the_server_asked_for_survives_what_becomes_of_the_session() {
        let mut retry = Retry::default();
        retry.asked_to_wait(Some(10 * MINUTE), at(MINUTE));
        retry.asked_to_wait(Some(MINUTE), at(2 * MINUTE));
        retry.asked_to_wait(None, at(2 * MINUTE));
        retry.succeeded();
        assert_eq!(retry.not_before(), 11 * MINUTE);
        assert!(retry.holds_callers(at(10 * MINUTE)) && !retry.holds_callers(at(11 * MINUTE)));
    }

    #[test]
    fn c6_a_wait_the_server_asked_for_passes_in_a_sleep_too_and_no_back_off_hides_behind_it() {
        let mut retries = Retries::default();
        retries.refresh.asked_to_wait(Some(10 * MINUTE), at(MINUTE));
        retries.slept(4 * MINUTE);
        assert_eq!(retries.refresh.wait_left(at(MINUTE)), Some(6 * MINUTE));
        retries.slept(60 * MINUTE);
        assert_eq!(retries.refresh.wait_left(at(MINUTE)), None);
        assert!(!retries.refresh.holds_callers(at(MINUTE)));
        let mut retry = Retry::default();
        for _ in 0..10 {
            retry.failed(Pace::Exchange, at(MINUTE), Some(Duration::from_secs(1)), u32::MAX);
        }
        retry.may_be_cured(2 * MINUTE);
        assert_eq!(retry.not_before(), MINUTE + Duration::from_secs(1));
    }

    #[test]
    fn c6_back_off_alone_holds_callers_for_a_minute_and_ends_with_a_wake_up() {
        let mut retry = Retry::default();
        for _ in 0..10 {
            retry.failed_with(&Error::new(ErrorKind::Network, "offline"), None, at(MINUTE), u32::MAX);
        }
        assert!(retry.not_before() > 10 * MINUTE);
        assert!(retry.holds_callers(at(MINUTE)) && !retry.holds_callers(at(2 * MINUTE)));
        retry.may_be_cured(MINUTE / 2);
        assert!(retry.not_before() > 10 * MINUTE, "it failed after the wake-up");
        retry.may_be_cured(2 * MINUTE);
        assert!(!retry.holds_callers(at(MINUTE)));
        assert_eq!(retry.not_before(), Duration::ZERO);
    }

    #[test]
    fn rule_6_what_only_a_person_can_mend_is_not_retried_in_a_loop() {
        let mut retry = Retry::default();
        retry.failed_with(&Error::invalid_config("wrong app id").with_code("401"), None, at(MINUTE), 0);
        retry.may_be_cured(2 * MINUTE);
        assert_eq!(retry.not_before(), MINUTE + HELD);
        assert!(!retry.holds_callers(at(MINUTE)), "but a caller may try");
        let mut retry_of_others = retry;
        retry_of_others.others_succeed();
        assert_eq!(retry_of_others.not_before(), Duration::ZERO);
        retry.succeeded();
        assert_eq!(retry.not_before(), Duration::ZERO);
    }
}
