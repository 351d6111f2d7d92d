//! The machine's clock, moved: hours of a session's life pass in a test of seconds.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tauri_plugin_otpless::{
    Timestamp,
    engine::{Clock, SystemClock},
};

/// Wall and monotonic time move together, as on a machine that is awake.
#[derive(Debug)]
pub(crate) struct MovedClock {
    real: SystemClock,
    offset_ms: AtomicI64,
    awake_ms: AtomicI64,
}

impl MovedClock {
    pub(crate) fn new(offset_ms: i64) -> Self {
        Self {
            real: SystemClock::default(),
            offset_ms: AtomicI64::new(offset_ms),
            awake_ms: AtomicI64::default(),
        }
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.awake_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        let passed = self.awake_ms.load(Ordering::SeqCst);
        self.real.now().shifted(self.offset_ms.load(Ordering::SeqCst) + passed)
    }

    fn monotonic(&self) -> Duration {
        let passed = u64::try_from(self.awake_ms.load(Ordering::SeqCst)).unwrap_or(0);
        self.real.monotonic() + Duration::from_millis(passed)
    }
}
