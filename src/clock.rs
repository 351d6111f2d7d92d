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
}
