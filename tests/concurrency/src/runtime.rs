//! Stands where the plugin has a tokio runtime.

use std::{
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use shuttle::future::{self, AbortHandle, JoinHandle};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the single flight knows of a runtime.
pub(crate) trait Runtime {
    fn spawn(&self, work: BoxFuture<()>);
}

/// shuttle's executor; keeps account of what it runs. The account is the test's own: a plain mutex, which is never held
/// while another thread can get its turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executor(Arc<Mutex<Account>>);

#[derive(Debug, Default)]
struct Account {
    running: Vec<JoinHandle<()>>,
    first: Option<AbortHandle>,
}

impl Executor {
    fn account<T>(&self, look: impl FnOnce(&mut Account) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drops the first work that was ever spawned, wherever it is, if there is any by now.
    pub(crate) fn drop_the_first(&self) {
        if let Some(first) = self.account(|account| account.first.clone()) {
            first.abort();
        }
    }

    /// Waits until all work is over.
    pub(crate) fn join(&self) {
        while let Some(work) = self.account(|account| account.running.pop()) {
            // Cancelled is over, too.
            drop(future::block_on(work));
        }
    }
}

impl Runtime for Executor {
    fn spawn(&self, work: BoxFuture<()>) {
        let mut work = Some(work);
        // Like tokio: a panic ends the work and nothing else.
        let contained = poll_fn(move |context| {
            let Some(running) = &mut work else { return Poll::Ready(()) };
            let polled = panic::catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)));
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => Poll::Ready(()),
                Err(payload) if payload.is::<OnPurpose>() => {
                    work = None;
                    Poll::Ready(())
                }
                Err(payload) => panic::resume_unwind(payload),
            }
        });
        let running = future::spawn(contained);
        self.account(|account| {
            account.first.get_or_insert(running.abort_handle());
            account.running.push(running);
        });
    }
}

/// What work panics with that is meant to; past the panic hook, which would report a failed test.
pub(crate) struct OnPurpose;

impl OnPurpose {
    pub(crate) fn panic() -> ! {
        panic::resume_unwind(Box::new(Self))
    }
}
