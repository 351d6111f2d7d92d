//! Runs the blocking store on a plain thread, in order, within a bound.
//!
//! One thread and a queue, because order is a guarantee: an erase asked for after a write happens after it, even if
//! the write hung for a minute behind an unlock prompt (requirement C11).

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{SessionStore, StoreError};
use crate::runtime::{Runtime, Serial};

/// How long a caller waits for the keychain: idle it answers in milliseconds, so whatever takes longer waits for a
/// person at an unlock prompt or does not work.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

type MakeStore = Box<dyn Fn() -> Box<dyn SessionStore> + Send + Sync>;

/// What to do while an earlier call hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Give up at once; the engine asks again later.
    CanWait,
    /// Queue it: it must happen as soon as the store moves again.
    MustHappen,
}

pub(crate) struct StoreWorker {
    mode: Mode,
    backend: &'static str,
}

enum Mode {
    /// On a thread; `None` if it could not be started.
    Queue {
        queue: Option<Box<dyn Serial>>,
        on_thread: Arc<OnThread>,
    },
    Inline(Mutex<Box<dyn SessionStore>>),
}

struct OnThread {
    store: Mutex<Box<dyn SessionStore>>,
    make: MakeStore,
    progress: Progress,
}

/// Whether the thread moves.
#[derive(Default)]
struct Progress {
    /// A caller gave up waiting, and no job has ended since.
    stuck: AtomicBool,
    /// Jobs queued or running. With none there is nothing to be stuck on.
    queued: AtomicUsize,
}

impl fmt::Debug for StoreWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreWorker").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl StoreWorker {
    /// `make` is called again after a store panicked: the Secret Service client poisons a mutex then.
    pub(crate) fn start(make: MakeStore, runtime: &dyn Runtime) -> Self {
        let store = make();
        let backend = store.backend();
        let mode = if store.may_block() {
            Mode::Queue {
                // Without a thread every call reports the store as unavailable, which is the truth.
                queue: runtime.serial("otpless-keychain"),
                on_thread: Arc::new(OnThread {
                    store: Mutex::new(store),
                    make,
                    progress: Progress::default(),
                }),
            }
        } else {
            Mode::Inline(Mutex::new(store))
        };
        Self { mode, backend }
    }

    pub(crate) fn backend(&self) -> &'static str {
        self.backend
    }

    /// Runs `call` on the store.
    ///
    /// # Errors
    ///
    /// What `call` says, or [`StoreError::Unavailable`] after [`STORE_TIMEOUT`]; the call may still happen then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        call: impl FnOnce(&mut dyn SessionStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (queue, on_thread) = match &self.mode {
            Mode::Queue { queue, on_thread } => (queue, on_thread),
            Mode::Inline(store) => {
                return call(&mut **store.lock().unwrap_or_else(PoisonError::into_inner));
            }
        };
        let Some(queue) = queue else { return Err(NO_THREAD) };
        let progress = &on_thread.progress;
        let busy = progress.queued.load(Ordering::Acquire) > 0;
        if urgency == Urgency::CanWait && busy && progress.stuck.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("an earlier call has not come back yet"));
        }
        let (reply, answer) = oneshot::channel();
        let job = on_thread.clone();
        progress.queued.fetch_add(1, Ordering::AcqRel);
        let submitted = queue.submit(Box::new(move || {
            job.perform(|store| {
                // Nobody may be waiting any more; the work was done all the same.
                let _ = reply.send(call(store));
            });
        }));
        if !submitted {
            progress.queued.fetch_sub(1, Ordering::AcqRel);
            return Err(NO_THREAD);
        }
        match tokio::time::timeout(STORE_TIMEOUT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Unavailable("its client failed")),
            Err(_) => {
                progress.stuck.store(true, Ordering::Release);
                Err(StoreError::Unavailable("it did not answer within 5 s; it may be waiting to be unlocked"))
            }
        }
    }
}

const NO_THREAD: StoreError = StoreError::Unavailable("its thread could not be started");

impl OnThread {
    fn perform(&self, call: impl FnOnce(&mut dyn SessionStore)) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if catch_unwind(AssertUnwindSafe(|| call(&mut **store))).is_err() {
            *store = (self.make)();
        }
        drop(store);
        self.progress.queued.fetch_sub(1, Ordering::AcqRel);
        self.progress.stuck.store(false, Ordering::Release);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::store::{MemoryStore, Slot};

    pub(crate) fn worker(make: MakeStore) -> StoreWorker {
        StoreWorker::start(make, &tokio::runtime::Handle::current())
    }

    /// A store whose calls wait until the test opens the gate: what an unlock prompt does.
    #[derive(Debug)]
    pub(crate) struct GatedStore {
        inner: MemoryStore,
        gate: Gate,
    }

    /// Opened by setting it to true.
    pub(crate) type Gate = Arc<(Mutex<bool>, std::sync::Condvar)>;

    impl GatedStore {
        pub(crate) fn maker(inner: &MemoryStore, gate: &Gate) -> MakeStore {
            let (inner, gate) = (inner.clone(), gate.clone());
            Box::new(move || Box::new(Self { inner: inner.clone(), gate: gate.clone() }))
        }

        pub(crate) fn open(gate: &Gate) {
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
        }

        fn wait(&self) {
            let (open, changed) = &*self.gate;
            drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        }
    }

    impl SessionStore for GatedStore {
        fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
            self.wait();
            self.inner.read(slot)
        }

        fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
            self.wait();
            self.inner.write(slot, value)
        }

        fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
            self.wait();
            self.inner.erase(slot)
        }

        fn backend(&self) -> &'static str {
            "gated"
        }
    }

    // Time is paused, so the bound passes at once while the thread stands at the gate.
    #[tokio::test(start_paused = true)]
    async fn a8_a_hung_store_is_unavailable_within_the_bound_and_order_survives_the_hang() {
        let inner = MemoryStore::new();
        let gate = Gate::default();
        let worker = worker(GatedStore::maker(&inner, &gate));
        let write = worker.run(Urgency::CanWait, |s| s.write(Slot::Session, b"late")).await;
        assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
        let read = worker.run(Urgency::CanWait, |s| s.read(Slot::Session)).await;
        assert_eq!(read, Err(StoreError::Unavailable("an earlier call has not come back yet")));
        let erase = worker.run(Urgency::MustHappen, |s| s.erase(Slot::Session)).await;
        assert!(matches!(erase, Err(StoreError::Unavailable(_))), "{erase:?}");

        GatedStore::open(&gate);
        tokio::time::resume();
        let last = worker.run(Urgency::MustHappen, |s| s.read(Slot::Session)).await;
        assert_eq!(last, Ok(None), "the erase came after the write that hung before it");
    }

    #[tokio::test]
    async fn a_store_that_panics_is_replaced() {
        #[derive(Debug)]
        struct Panicking;
        impl SessionStore for Panicking {
            fn read(&mut self, _: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
                panic!("the store panics on purpose")
            }
            fn write(&mut self, _: Slot, _: &[u8]) -> Result<(), StoreError> {
                Ok(())
            }
            fn erase(&mut self, _: Slot) -> Result<(), StoreError> {
                Ok(())
            }
            fn backend(&self) -> &'static str {
                "panicking"
            }
        }
        let worker = worker(Box::new(|| Box::new(Panicking)));
        let read = worker.run(Urgency::CanWait, |s| s.read(Slot::Session)).await;
        assert_eq!(read, Err(StoreError::Unavailable("its client failed")));
        assert_eq!(worker.run(Urgency::CanWait, |s| s.erase(Slot::Session)).await, Ok(()));
    }
}
