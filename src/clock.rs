//! Time, injected. The only place the plugin asks the machine what time it is.

use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A moment of wall time in milliseconds since the Unix epoch; negative before 1970.
///
/// Arithmetic saturates: a wrong clock may give a wrong moment, never a panic (requirement C9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From a JWT's `NumericDate`, seconds since the epoch.
    pub fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment moved by `millis`, which may be negative.
    pub fn shifted(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.shifted(millis(duration))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.shifted(millis(duration).saturating_neg())
    }
}

/// Where the engine gets its time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Wall time. May jump either way at any moment.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point that never goes backwards and, on Linux and macOS, stands still while the
    /// machine sleeps: wall time advancing without it means suspend or a clock change.
    fn monotonic(&self) -> Duration;

    /// Time since some fixed point that goes on while the machine sleeps, and that nobody can set: wall time advancing
    /// without it means that the clock was set. `None` if the machine has no such clock; then a clock that is set
    /// forward cannot be told from a sleep.
    fn unset(&self) -> Option<Duration> {
        None
    }

    /// Names the run of the machine in which [`unset`](Self::unset) counts: the same for all processes that read the same
    /// clock, another after a restart of the machine. `None` if the machine does not say, or if each process counts for
    /// itself; then none tells another what time it is.
    fn boot(&self) -> Option<String> {
        None
    }
}

/// Two clocks that are read within this are read at once: a fifth of what counts as a jump, a thousand times what it takes.
const ONE_MOMENT: Duration = Duration::from_secs(1);
/// A machine that stops a process for a second between any two reads, so many times in a row, has other troubles.
const READS: u32 = 8;

/// The present, by all clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    pub(crate) monotonic: Duration,
    /// The clock that goes on in a sleep and that nobody can set, if the machine has one.
    pub(crate) unset: Option<Duration>,
}

impl Now {
    /// All clocks at one moment. A process that is stopped between reading the one and the other would take the pause for
    /// a clock that was set; so it reads again until there was none, or for [`READS`] times.
    pub(crate) fn read(clock: &dyn Clock) -> Self {
        let mut before = clock.monotonic();
        let mut reads = 1;
        loop {
            let now = Self { wall: clock.now(), unset: clock.unset(), monotonic: clock.monotonic() };
            if now.monotonic.saturating_sub(before) < ONE_MOMENT || reads == READS {
                return now;
            }
            before = now.monotonic;
            reads += 1;
        }
    }

    /// How far the wall clock went ahead of the monotonic one since `before`, in milliseconds; negative if it was set
    /// back.
    pub(crate) fn apart_from(self, before: Self) -> i64 {
        let wall = self.wall.0.saturating_sub(before.wall.0);
        let monotonic = self.monotonic.saturating_sub(before.monotonic).as_millis();
        wall.saturating_sub(i64::try_from(monotonic).unwrap_or(i64::MAX))
    }

    /// How long the machine slept since `before`, if the monotonic clock stood still meanwhile and another says so.
    pub(crate) fn slept_since(self, before: Self) -> Option<Duration> {
        let passed = self.unset?.saturating_sub(before.unset?);
        let slept = passed.saturating_sub(self.monotonic.saturating_sub(before.monotonic));
        // The clocks are not read at the same instant.
        (slept >= ONE_MOMENT).then_some(slept)
    }

    /// How far the wall clock was set ahead since `before`, in milliseconds; negative if it was set back. `None` if no clock
    /// tells that from a sleep.
    pub(crate) fn set_since(self, before: Self) -> Option<i64> {
        let passed = self.unset?.saturating_sub(before.unset?);
        let wall = self.wall.0.saturating_sub(before.wall.0);
        Some(wall.saturating_sub(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A `Date` is taken for the present only if it is looked at within this of the question that it came with.
const DATE_IS_FRESH: Duration = Duration::from_secs(5);

/// What a server said of the time, and when it was asked.
#[derive(Clone, Copy, Debug)]
pub struct ServerDate {
    says: Timestamp,
    asked: Now,
}

impl ServerDate {
    /// The `Date` of an answer to what was `asked` then.
    pub(crate) fn heard(date: Option<Timestamp>, asked: Now) -> Option<Self> {
        date.map(|says| Self { says, asked })
    }

    /// What it said, if that still tells what time it is. An answer that took long to get here, or that lay in a process
    /// that was stopped or in a machine that slept, says little about `now`: none of the clocks may have gone on by much.
    pub(crate) fn at(self, now: Now) -> Option<Timestamp> {
        let passed = |then: Duration, since: Duration| since.checked_sub(then);
        let by_wall =
            u64::try_from(now.wall.0.saturating_sub(self.asked.wall.0)).ok().map(Duration::from_millis);
        let by_monotonic = passed(self.asked.monotonic, now.monotonic);
        let by_unset = match (self.asked.unset, now.unset) {
            (Some(then), Some(since)) => passed(then, since),
            _ => Some(Duration::ZERO),
        };
        let is_fresh = [by_wall, by_monotonic, by_unset]
            .into_iter()
            .all(|passed| passed.is_some_and(|passed| passed < DATE_IS_FRESH));
        is_fresh.then_some(self.says)
    }
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(millis(since)),
            Err(before) => Timestamp(millis(before.duration()).saturating_neg()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn unset(&self) -> Option<Duration> {
        platform::unset(self.started)
    }

    fn boot(&self) -> Option<String> {
        boot()
    }
}

/// On Apple's systems and Windows the name of a run stands in no file, and the moment of its start moves when the clock is set.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn boot() -> Option<String> {
    None
}

/// The kernel's name for this run, and which of its clocks a container has.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let clocks = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    let name = format!("{}{}", id.trim_end(), clocks.display());
    // It becomes a word in a line of text.
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:[]".contains(c);
    (!name.is_empty() && name.chars().all(is_word)).then_some(name)
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "ios"))]
mod platform {
    use std::time::{Duration, Instant};

    use rustix::time::{ClockId, clock_gettime};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const UNSET: ClockId = ClockId::Boottime;
    /// Apple's goes on in a sleep; it is `CLOCK_UPTIME_RAW`, which std uses, that does not.
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    const UNSET: ClockId = ClockId::Monotonic;

    pub(super) fn unset(_: Instant) -> Option<Duration> {
        let time = clock_gettime(UNSET);
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }
}

#[cfg(windows)]
mod platform {
    use std::time::{Duration, Instant};

    /// The performance counter behind `Instant` goes on in a sleep.
    pub(super) fn unset(started: Instant) -> Option<Duration> {
        Some(started.elapsed())
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    windows
)))]
mod platform {
    use std::time::{Duration, Instant};

    pub(super) fn unset(_: Instant) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn c10_the_machine_has_a_clock_that_nobody_sets() {
        let clock = SystemClock::default();
        let (before, monotonic) = (clock.unset().expect("Linux has one"), clock.monotonic());
        let passed = loop {
            let passed = clock.monotonic() - monotonic;
            if passed > Duration::from_millis(20) {
                break passed;
            }
        };
        assert!(clock.unset().expect("Linux has one") - before >= passed, "it goes on");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn c9_all_processes_name_the_run_of_the_machine_alike() {
        let name = SystemClock::default().boot().expect("Linux has one");
        assert!(name.len() > 30 && !name.contains(' '), "{name}");
        assert_eq!(SystemClock::default().boot(), Some(name));
    }

    #[test]
    fn c9_arithmetic_at_the_ends_of_time_saturates() {
        assert_eq!(Timestamp(i64::MAX) + Duration::MAX, Timestamp(i64::MAX));
        assert_eq!(Timestamp(-5) - Duration::MAX, Timestamp(i64::MIN));
        assert_eq!(Timestamp::from_secs(i64::MAX), Timestamp(i64::MAX));
        assert_eq!(
            Timestamp(5).saturating_since(Timestamp(i64::MIN)),
            Duration::from_millis(i64::MAX as u64)
        );
        assert_eq!(Timestamp(5).saturating_since(Timestamp(9)), Duration::ZERO);
    }

    #[test]
    fn c10_a_process_stopped_between_two_clocks_takes_the_pause_for_no_jump() {
        /// Stopped right after it has read the wall clock for the first time.
        #[derive(Debug, Default)]
        struct Stopped(AtomicU64);
        impl Clock for Stopped {
            fn now(&self) -> Timestamp {
                let reads = self.0.fetch_add(1, Ordering::SeqCst);
                if reads == 0 { Timestamp(0) } else { Timestamp(0) + Duration::from_secs(3600) }
            }
            fn monotonic(&self) -> Duration {
                if self.0.load(Ordering::SeqCst) == 0 { Duration::ZERO } else { Duration::from_secs(3600) }
            }
        }
        let start = Now { wall: Timestamp(0), monotonic: Duration::ZERO, unset: None };
        assert_eq!(Now::read(&Stopped::default()).apart_from(start), 0);
    }

    #[test]
    fn c9_a_date_is_the_present_only_while_no_clock_has_gone_on() {
        let at = |wall: i64, monotonic, unset| Now {
            wall: Timestamp(1_000_000 + wall),
            monotonic: Duration::from_millis(monotonic),
            unset: Some(Duration::from_millis(unset)),
        };
        let heard = ServerDate::heard(Some(Timestamp(7)), at(0, 0, 0)).expect("a date");
        assert_eq!(heard.at(at(4_999, 4_999, 4_999)), Some(Timestamp(7)));
        for (what, now) in [
            ("a slow answer, or a process that was stopped", at(5_000, 5_000, 5_000)),
            ("a sleep that the monotonic clock does not know", at(3_600_000, 10, 3_600_000)),
            ("a sleep under a clock that was set back", at(10, 10, 3_600_000)),
            ("a clock that was set ahead", at(3_600_000, 10, 10)),
            ("a clock that was set back", at(-1, 10, 10)),
        ] {
            assert_eq!(heard.at(now), None, "{what}");
        }
        let without = |now: Now| Now { unset: None, ..now };
        let heard = ServerDate::heard(Some(Timestamp(7)), without(at(0, 0, 0))).expect("a date");
        assert_eq!(heard.at(without(at(10, 10, 10))), Some(Timestamp(7)), "a machine without such a clock");
    }
}
