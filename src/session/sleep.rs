//! The machine slept: noticed by comparing clocks, whoever looks first, and the network gets time to come back.

use std::time::Duration;

use super::{manager::Inner, state::State};
use crate::clock::Now;

/// Wall and monotonic time that drift apart by more than this between two looks mean suspend or a changed clock.
const JUMP: Duration = Duration::from_secs(5);

/// Whether this system's monotonic clock goes on while the machine sleeps. Elsewhere a timer that was over long ago is one of a
/// process that was stopped, which cures no network.
const MONOTONIC_SLEEPS_NOT: bool = cfg!(windows);

/// After a wake-up the network gets this long to come back before it is used. What is lost on a network that is not back yet may
/// be the answer that has the next refresh token.
const SETTLE: Duration = Duration::from_secs(3);

/// Another sleep may follow at once, but clocks that never agree must not keep the network from everybody.
pub(super) const NIGHTS: u32 = 5;

/// What is known of the machine's sleep, by the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sleep {
    /// The network has had its time from here on.
    settled_at: Duration,
    /// When the background task's timer is over, where only that shows a sleep.
    timer: Option<Duration>,
}

/// Whether the machine slept since `before`. Where the monotonic clock goes on in a sleep only the `timer` shows it, which was
/// over long ago. Where no clock tells a sleep from a clock that was set, the latter counts as one.
fn slept(before: Now, after: Now, timer: Option<Duration>) -> bool {
    let overslept = timer.is_some_and(|at| after.monotonic.saturating_sub(at) > JUMP);
    let slept = after.apart_from(before).saturating_sub(after.set_since(before).unwrap_or(0));
    overslept || u128::from(slept.unsigned_abs()) > JUMP.as_millis()
}

impl State {
    /// Notices that the machine slept since `before`.
    pub(super) fn notice_sleep(&mut self, before: Now, now: Now) {
        if !slept(before, now, self.sleep.timer) {
            return;
        }
        self.said.later(|| tracing::debug!("the machine slept"));
        self.sleep = Sleep { settled_at: now.monotonic + SETTLE, timer: None };
        self.retries.network_may_be_back(before.monotonic);
    }
}

impl Inner {
    /// The background task waits for so long now, or has stopped waiting.
    pub(super) fn set_timer(&self, sleep: Option<Duration>) {
        if MONOTONIC_SLEEPS_NOT {
            self.update_quietly(|state, now| state.sleep.timer = sleep.map(|sleep| now.monotonic + sleep));
        }
    }

    /// Waits until the network has had its time since the machine woke up. Asked for right before a call that nobody signs in with.
    /// Answers whether that took any time.
    pub(super) async fn network_settled(&self) -> bool {
        for night in 0..NIGHTS {
            let left = self.update_quietly(|state, now| state.sleep.settled_at.saturating_sub(now.monotonic));
            if left.is_zero() {
                return night > 0;
            }
            tokio::time::sleep(left).await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const SECOND: Duration = Duration::from_secs(1);

    /// `wall` and `monotonic` in seconds.
    fn at(wall: i64, monotonic: u64) -> Now {
        Now { wall: Timestamp(wall * 1000), monotonic: Duration::from_secs(monotonic), unset: None }
    }

    #[test]
    fn c10_a_sleep_is_noticed_whichever_clock_stands_still_in_it() {
        let minute = Some(60 * SECOND);
        assert!(!slept(at(0, 0), at(60, 60), minute) && !slept(at(0, 0), at(3, 3), minute));
        assert!(!slept(at(0, 0), at(65, 65), minute), "a busy machine is a little late");
        assert!(slept(at(0, 0), at(8 * 3600, 60), minute), "the monotonic clock stood still");
        assert!(slept(at(0, 0), at(8 * 3600, 8 * 3600), minute), "neither did, and the timer is late");
        assert!(slept(at(0, 0), at(-3600, 60), minute), "the clock was set back");
        let with = |wall, monotonic, unset| Now { unset: Some(unset * SECOND), ..at(wall, monotonic) };
        assert!(slept(with(0, 0, 0), with(3600, 60, 3600), minute), "the clock that nobody sets went on");
        assert!(!slept(with(0, 0, 0), with(3600, 60, 60), minute), "the clock was set, and nothing slept");
        assert!(
            slept(with(0, 0, 0), with(60, 60, 3600), minute),
            "it slept, and its clock was set back by as much"
        );
        assert!(
            !slept(at(0, 0), at(8 * 3600, 8 * 3600), None),
            "nothing was due: nobody knows, and nothing waits"
        );
    }

    #[test]
    fn c10_a_sleep_is_noticed_once_and_gives_the_network_its_time() {
        let mut state = State::default();
        state.sleep.timer = Some(60 * SECOND);
        state.notice_sleep(at(0, 0), at(59, 59));
        assert_eq!(state.sleep.settled_at, Duration::ZERO);
        state.notice_sleep(at(59, 59), at(3600, 3600));
        assert_eq!(state.sleep.settled_at, 3603 * SECOND);
        state.notice_sleep(at(3600, 3600), at(3601, 3601));
        assert_eq!(state.sleep.settled_at, 3603 * SECOND, "the same sleep");
    }
}
