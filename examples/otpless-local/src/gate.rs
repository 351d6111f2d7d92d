//! Gates hold calls back until a test lets them go: the way to order what happens at the same time, without sleeping.

use std::{fmt, sync::Arc};

use tokio::sync::{Semaphore, watch};

use crate::{control::Control, operation::Operation};

/// Where a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    BeforeWork,
    AfterWork,
}

#[derive(Debug)]
pub(crate) struct Barrier {
    operation: Operation,
    place: Place,
    held: watch::Sender<usize>,
    passes: Semaphore,
}

impl Barrier {
    pub(crate) fn stands_for(&self, operation: Operation, place: Place) -> bool {
        self.place == place && self.operation.matches(operation)
    }

    /// Returns when the call may go on.
    pub(crate) async fn pass(&self) {
        struct Held<'a>(&'a watch::Sender<usize>);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.send_modify(|held| *held -= 1);
            }
        }

        self.held.send_modify(|held| *held += 1);
        // A client that gives up drops this future, and then it is not held any more.
        let _held = Held(&self.held);
        if let Ok(pass) = self.passes.acquire().await {
            pass.forget();
        }
    }

    pub(crate) fn open(&self) {
        self.passes.close();
    }
}

/// Holds the calls of an operation until it is released or dropped. Made by [`Control::pause`] and
/// [`Control::pause_before`].
#[must_use = "a dropped gate holds nothing"]
pub struct Gate {
    barrier: Arc<Barrier>,
    control: Control,
}

impl Gate {
    pub(crate) fn new(control: Control, operation: Operation, place: Place) -> Self {
        let (held, _) = watch::channel(0);
        let barrier = Arc::new(Barrier { operation, place, held, passes: Semaphore::new(0) });
        Self { barrier, control }
    }

    pub(crate) fn barrier(&self) -> Arc<Barrier> {
        Arc::clone(&self.barrier)
    }

    /// How many calls are held at this moment.
    #[must_use]
    pub fn holding(&self) -> usize {
        *self.barrier.held.borrow()
    }

    /// Returns as soon as at least `n` calls are held; without a bound of its own.
    pub async fn held(&self, n: usize) {
        // The sender lives in the barrier, which `self` keeps.
        let _ = self.barrier.held.subscribe().wait_for(|held| *held >= n).await;
    }

    /// Lets one call go: the one held longest or, if none is held, the next that comes.
    pub fn release_one(&self) {
        self.barrier.passes.add_permits(1);
    }

    /// Lets all calls go and holds none any more. Dropping the gate does the same.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.control.remove(&self.barrier);
        self.barrier.open();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("barrier", &self.barrier).finish_non_exhaustive()
    }
}
