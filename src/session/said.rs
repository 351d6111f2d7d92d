//! What is to be logged, until the state lock is let go: whoever listens to log lines may ask for the session in turn (rule
//! 12).

use std::{fmt, mem};

/// Log lines that wait. Dropped without having been said they are lost, which is why only [`Inner`](super::manager::Inner)'s
/// two ways of changing the state hand them out.
#[derive(Default)]
pub(super) struct Said(Vec<Box<dyn FnOnce() + Send>>);

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Said").field(&self.0.len()).finish()
    }
}

impl Said {
    /// `line` logs it.
    pub(super) fn later(&mut self, line: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(line));
    }

    /// Logs them. Never with the state lock held.
    pub(super) fn aloud(mut self) {
        for line in mem::take(&mut self.0) {
            line();
        }
    }
}
