//! Work under way: marked while it lives, however it ends.

use std::sync::Arc;

use super::{
    manager::Inner,
    schedule::{Job, Pace},
};

/// Marks work that must not be lost with the process, while it lives.
pub(super) struct Essential(Arc<Inner>);

impl Essential {
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        inner.essential.send_modify(|under_way| *under_way += 1);
        Self(inner.clone())
    }
}

impl Drop for Essential {
    fn drop(&mut self) {
        self.0.essential.send_modify(|under_way| *under_way -= 1);
    }
}

/// Marks a job as running while it lives, and wakes the background task when it ends, however it ends.
pub(super) struct Running {
    inner: Arc<Inner>,
    job: Job,
}

impl Running {
    /// `None` if it runs already.
    pub(super) fn start(inner: &Arc<Inner>, job: Job) -> Option<Self> {
        inner.update_quietly(|state, _| state.running.insert(job)).then(|| Self { inner: inner.clone(), job })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        self.inner.update_quietly(|state, now| {
            state.running.remove(&self.job);
            if panicked {
                // Due again at once it would panic again at once.
                state.retries.of(self.job).failed(Pace::Exchange, now, None, 0);
            }
        });
        self.inner.wake.notify_one();
    }
}
