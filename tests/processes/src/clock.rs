//! The machine's clock, moved: hours of a session's life pass in a test of seconds.

use std::{fs::File, os::unix::fs::FileExt, path::Path, time::Duration};

use tauri_plugin_otpless::{
    Timestamp,
    engine::{Clock, SystemClock},
};

/// Wall and monotonic time move together, as on a machine that is awake, and in all its processes at once: how far they
/// are ahead stands in a file, in milliseconds, as eight bytes that are written and read in one piece.
#[derive(Debug)]
pub(crate) struct MovedClock {
    real: SystemClock,
    ahead: File,
    ahead_at_start: i64,
}

impl MovedClock {
    pub(crate) fn new(file: &Path) -> Self {
        let ahead = File::open(file).expect("the file of the machine's clock");
        Self { real: SystemClock::default(), ahead_at_start: ahead_ms(&ahead), ahead }
    }
}

impl MovedClock {
    fn passed(&self) -> Duration {
        let passed = ahead_ms(&self.ahead) - self.ahead_at_start;
        Duration::from_millis(u64::try_from(passed).unwrap_or(0))
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        self.real.now().shifted(ahead_ms(&self.ahead))
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic() + self.passed()
    }

    fn unset(&self) -> Option<Duration> {
        Some(self.real.unset()? + self.passed())
    }
}

fn ahead_ms(file: &File) -> i64 {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).expect("the machine's clock");
    i64::from_le_bytes(bytes)
}
