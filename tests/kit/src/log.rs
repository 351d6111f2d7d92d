//! Everything that anything in this process logs, at TRACE: what the libraries below say included.

use std::{
    io,
    sync::{Mutex, Once, PoisonError},
};

use tracing_subscriber::util::SubscriberInitExt;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Catch;

impl io::Write for Catch {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on everything is caught. Tests of one process share what is: whoever looks sees what the others did, too.
///
/// # Panics
///
/// When somebody else catches it already.
pub fn catch_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(|| Catch)
            .finish()
            .init();
    });
}

/// What was logged so far.
#[must_use]
pub fn caught() -> Vec<u8> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
