//! Many callers, one piece of work, one result for all.

use std::fmt;

use crate::{
    runtime::Runtime,
    sync::{Mutex, PoisonError, watch},
};

/// Runs a piece of work detached from whoever asked for it; those who ask while it runs get its result.
///
/// Detached, because a caller may go away at any moment (a closed window drops its command) while the server may
/// already have spent the refresh token: the work must finish and be stored (requirements C2, C3).
pub(crate) struct SingleFlight<T> {
    current: Mutex<Option<watch::Receiver<Option<T>>>>,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { current: Mutex::new(None) }
    }
}

impl<T> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SingleFlight")
    }
}

/// The work ended without a result: it panicked, or the runtime is shutting down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Joins the work under way, or starts `work` on `runtime`; either way waits for the result.
    ///
    /// The work is started before this returns its future, so dropping the future does not undo it.
    pub(crate) fn run<W, F>(
        &self,
        runtime: &dyn Runtime,
        work: W,
    ) -> impl Future<Output = Result<T, Lost>> + Send + use<T, W, F>
    where
        W: FnOnce() -> F,
        F: Future<Output = T> + Send + 'static,
    {
        let mut receiver = self.join_or_start(runtime, work);
        async move {
            match receiver.wait_for(Option::is_some).await {
                Ok(result) => result.clone().ok_or(Lost),
                Err(_) => Err(Lost),
            }
        }
    }

    fn join_or_start<F>(&self, runtime: &dyn Runtime, work: impl FnOnce() -> F) -> watch::Receiver<Option<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = current.as_ref().filter(|r| r.borrow().is_none() && r.has_changed().is_ok()) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        *current = Some(receiver.clone());
        let work = work();
        runtime.spawn(Box::pin(async move {
            let result = work.await;
            sender.send_replace(Some(result));
        }));
        receiver
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{runtime::Handle, sync::Notify};

    use super::*;

    #[tokio::test]
    async fn c3_callers_during_a_flight_share_it_and_the_next_starts_anew() {
        let flight = Arc::new(SingleFlight::default());
        let started = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let call = || {
            let (started, gate) = (started.clone(), gate.clone());
            flight.run(&Handle::current(), move || async move {
                gate.notified().await;
                started.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        let callers: Vec<_> = (0..20).map(|_| call()).collect();
        gate.notify_one();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 1);
        }
        gate.notify_one();
        assert_eq!(call().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn c2_work_finishes_although_its_caller_went_away() {
        let flight = SingleFlight::default();
        let gate = Arc::new(Notify::new());
        let done = Arc::new(Notify::new());
        let caller = flight.run(&Handle::current(), {
            let (gate, done) = (gate.clone(), done.clone());
            move || async move {
                gate.notified().await;
                done.notify_one();
            }
        });
        drop(caller);
        gate.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn a_panic_in_the_work_is_reported_and_the_next_caller_starts_anew() {
        let flight = SingleFlight::<u8>::default();
        let lost = flight.run(&Handle::current(), || async { panic!("the work panics on purpose") });
        assert!(lost.await.is_err());
        assert_eq!(flight.run(&Handle::current(), || async { 7 }).await.unwrap(), 7);
    }
}
