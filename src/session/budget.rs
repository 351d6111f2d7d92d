//! The breaker: how many calls to OTPless this process may make, whatever goes wrong and whoever asks (requirements C6,
//! D9). Back-off bounds the calls of one kind; this bounds them all together, so that not even a defect in the rest of the
//! engine becomes a storm. Pure.

use std::time::Duration;

/// Calls that may be made at once, after a long rest.
const CAPACITY: u32 = 30;

/// One more call may be made after each of these: 180 an hour. A session that is well makes about 13: a heartbeat every
/// five minutes and a refresh.
const INTERVAL: Duration = Duration::from_secs(20);

/// What questions leave for refreshes and revocations: a page that asks all the time must not keep the session from
/// being renewed.
const RESERVE: u32 = 15;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A refresh or a revocation.
    Duty,
    /// Whether the session is good.
    Question,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    left: u32,
    /// Monotonic time up to which `left` has grown.
    counted: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: CAPACITY, counted: Duration::ZERO }
    }
}

impl Budget {
    /// Takes one call out.
    ///
    /// # Errors
    ///
    /// How long to wait for it, if there is none left.
    pub(crate) fn take(&mut self, purpose: Purpose, monotonic: Duration) -> Result<(), Duration> {
        let passed = monotonic.saturating_sub(self.counted);
        let grown = u32::try_from(passed.as_nanos() / INTERVAL.as_nanos()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(grown).min(CAPACITY);
        self.counted = if self.left == CAPACITY { monotonic } else { self.counted + INTERVAL * grown };
        let reserve = if purpose == Purpose::Duty { 0 } else { RESERVE };
        if self.left > reserve {
            self.left -= 1;
            return Ok(());
        }
        let missing = reserve + 1 - self.left;
        Err((self.counted + INTERVAL * missing).saturating_sub(monotonic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(purpose: Purpose, budget: &mut Budget, during: Duration) -> u32 {
        let mut now = Duration::from_secs(1_000_000);
        let end = now + during;
        let mut made = 0;
        while now < end {
            made += u32::from(budget.take(purpose, now).is_ok());
            now += Duration::from_millis(250);
        }
        made
    }

    #[test]
    fn c6_no_pattern_of_calls_gets_beyond_the_budget() {
        let hour = Duration::from_secs(3600);
        assert_eq!(made(Purpose::Duty, &mut Budget::default(), hour), CAPACITY + 179);
    }

    #[test]
    fn d9_questions_leave_something_for_refreshes() {
        let mut budget = Budget::default();
        let now = Duration::from_secs(5);
        while budget.take(Purpose::Question, now).is_ok() {}
        assert_eq!(made(Purpose::Duty, &mut budget, Duration::from_millis(1)), 1);
        assert_eq!(budget.take(Purpose::Duty, now), Ok(()));
    }

    #[test]
    fn whoever_is_refused_is_told_when_to_come_back() {
        let mut budget = Budget::default();
        let now = Duration::from_secs(100);
        while budget.take(Purpose::Duty, now).is_ok() {}
        let wait = budget.take(Purpose::Duty, now).unwrap_err();
        assert!(wait <= INTERVAL, "{wait:?}");
        assert!(budget.take(Purpose::Duty, now + wait).is_ok());
    }
}
