//! Which session counts: a number that goes up with every sign-in and every end.
//!
//! Whatever takes time remembers the number it began with; if it has gone up meanwhile, the result belongs to a session
//! that is over and is dropped (rule 2).

use crate::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The number of the session under way, or of the last one.
///
/// It goes up under the lock of the state alone; it is atomic because the keychain's thread compares it.
#[derive(Debug, Default)]
pub(crate) struct Generation(Arc<AtomicU64>);

impl Generation {
    /// The generation now. Take it before the state it belongs to is read.
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Starts a new generation and answers it.
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// What a write that was decided on in generation `expected` takes along.
    pub(crate) fn guard(&self, expected: u64) -> GenerationGuard {
        GenerationGuard { current: self.0.clone(), expected }
    }
}

/// Drops a write whose session has ended since it was decided on (rule 2).
///
/// Ask it inside the store's critical section, and start a new generation before the erase waits for that section: then
/// a write either is dropped or comes before the erase.
#[derive(Clone, Debug)]
pub(crate) struct GenerationGuard {
    current: Arc<AtomicU64>,
    expected: u64,
}

impl GenerationGuard {
    pub(crate) fn holds(&self) -> bool {
        self.current.load(Ordering::SeqCst) == self.expected
    }
}
