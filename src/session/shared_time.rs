//! What a process has learned of the server's time is for the others, too, and for those that start later: one that starts
//! under a wrong clock knows what time it is before it has heard the server, unless the machine was started anew since.

use std::time::Duration;

use super::{manager::Inner, server_time::agree};
use crate::clock::{Now, Timestamp};

/// What somebody has learned, and what the machine's clocks showed then.
#[derive(Clone, Copy, Debug)]
struct Learned {
    skew_ms: i64,
    then: Now,
}

impl Learned {
    /// `None` if the machine has no clock that goes on in a sleep and that nobody can set.
    fn to_line(self, boot: &str) -> Option<String> {
        let Now { wall, unset, .. } = self.then;
        Some(format!("{boot} {} {} {}", unset?.as_millis(), wall.0, self.skew_ms))
    }

    /// What `line` says. `None` if it was written before the machine was started, by whose clocks it says nothing.
    fn from_line(line: &str, boot: &str) -> Option<Self> {
        let mut words = line.strip_prefix(boot)?.strip_prefix(' ')?.split(' ');
        let unset = Some(Duration::from_millis(words.next()?.parse().ok()?));
        let wall = Timestamp(words.next()?.parse().ok()?);
        let skew_ms = words.next()?.parse().ok()?;
        let then = Now { wall, monotonic: Duration::ZERO, unset };
        words.next().is_none().then_some(Self { skew_ms, then })
    }

    /// How far the machine's clock was set since.
    fn set_by(&self, now: Now) -> Option<i64> {
        (now.unset? >= self.then.unset?).then(|| now.set_since(self.then)).flatten()
    }
}

impl Inner {
    /// Tells the other processes what the server has said of the time, if they could not know it from what was told before.
    pub(super) fn tell_time(&self, skew_ms: i64, then: Now) {
        if let Some(told) = self.learned_by_anybody() {
            let says_so = told.set_by(then).is_some_and(|set| agree(told.skew_ms, skew_ms, set));
            // By somebody who has heard the server since, while this process stood still.
            let is_newer = told.then.unset > then.unset && told.set_by(self.now()).is_some();
            if says_so || is_newer {
                return;
            }
        }
        if let Some(line) = self.boot.as_ref().and_then(|boot| Learned { skew_ms, then }.to_line(boot)) {
            self.time.post(&line);
        }
    }

    /// Takes over what another process has learned of the time since this one has.
    pub(super) fn hear_time(&self) {
        let Some(learned) = self.learned_by_anybody() else { return };
        self.update_quietly(|state, now| {
            if let (Some(learned_at), Some(set)) = (learned.then.unset, learned.set_by(now)) {
                state.take_over_time(learned.skew_ms, learned_at, set, now);
            }
        });
    }

    fn learned_by_anybody(&self) -> Option<Learned> {
        let boot = self.boot.as_ref()?;
        Learned::from_line(&self.time.read()?, boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64, unset: u64) -> Now {
        Now { wall: Timestamp(wall), monotonic: Duration::ZERO, unset: Some(Duration::from_millis(unset)) }
    }

    #[test]
    fn c9_what_is_told_of_the_time_is_understood_until_the_machine_is_started_anew() {
        let line = Learned { skew_ms: -7_000, then: at(90_000, 400) }.to_line("boot").unwrap();
        let name = crate::clock::Clock::boot(&crate::clock::SystemClock::default()).unwrap_or_default();
        let longest = Learned { skew_ms: i64::MIN, then: at(i64::MIN, 1 << 40) }.to_line(&name).unwrap();
        assert!(longest.len() <= 170, "two thirds of what is read: {longest}");
        let learned = Learned::from_line(&line, "boot").unwrap();
        assert_eq!(learned.skew_ms, -7_000);
        assert_eq!(learned.set_by(at(90_500, 900)), Some(0));
        assert_eq!(learned.set_by(at(95_500, 900)), Some(5_000), "somebody has set the clock since");
        assert_eq!(learned.set_by(at(90_500, 399)), None, "it is not that clock");
        assert!(Learned::from_line(&line, "another").is_none());
        for junk in
            ["", "boot", "boot 1", "boot 1 2", "boot 1 2 3 4", "boot -1 2 3", "boot 1 x 3", "boots 1 2 3"]
        {
            assert!(Learned::from_line(junk, "boot").is_none(), "{junk}");
        }
        let extreme =
            Learned::from_line(&format!("boot {} {} {}", u64::MAX, i64::MIN, i64::MAX), "boot").unwrap();
        assert_eq!(extreme.set_by(at(i64::MAX, u64::MAX)), Some(i64::MAX), "and nothing panics");
    }

    #[test]
    fn a_machine_without_the_clock_tells_nothing() {
        let then = Now { unset: None, ..at(1, 1) };
        assert_eq!(Learned { skew_ms: 1, then }.to_line("boot"), None);
    }
}
