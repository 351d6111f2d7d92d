//! Runs the tasks of all processes one step at a time, in an order that is drawn from the seed: tokio's own order would
//! depend on chance of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
};

use tauri_plugin_otpless::BoxFuture;

use crate::{process::Process, world::World};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    process: Arc<Process>,
    /// Absent while it is being polled.
    work: Option<Work>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    tasks: BTreeMap<u64, Task>,
    ready: BTreeSet<u64>,
    /// Wakes the executor itself.
    waker: Option<Waker>,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Executor(Arc<Mutex<Inner>>);

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}

struct TaskWaker {
    id: u64,
    inner: Weak<Mutex<Inner>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(inner) = self.inner.upgrade() {
            Executor(inner).make_ready(self.id);
        }
    }
}

impl Executor {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_ready(&self, id: u64) {
        let waker = {
            let mut inner = self.inner();
            inner.ready.insert(id);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn spawn(&self, process: &Arc<Process>, work: BoxFuture<'static, ()>) {
        let id = {
            let mut inner = self.inner();
            inner.next += 1;
            let id = inner.next;
            inner.tasks.insert(id, Task { process: process.clone(), work: Some(work) });
            id
        };
        self.make_ready(id);
    }

    /// All tasks of `process` are gone when this returns, but for the one that asks for it.
    pub(crate) fn drop_tasks_of(&self, process: &Process) {
        let dropped: Vec<_> = {
            let mut inner = self.inner();
            let ids: Vec<_> = (inner.tasks.iter())
                .filter(|(_, task)| std::ptr::eq(&*task.process, process))
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| inner.tasks.remove(id)).collect()
        };
        drop(dropped);
    }

    /// The tasks of a process that was frozen go on.
    pub(crate) fn thaw(&self, process: &Process) {
        let ids: Vec<_> = (self.inner().tasks.iter())
            .filter(|(_, task)| std::ptr::eq(&*task.process, process))
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().for_each(|id| self.make_ready(id));
    }

    /// Runs for as long as the simulation does.
    pub(crate) async fn run(self, world: Arc<World>) {
        std::future::poll_fn(|context| {
            self.inner().waker = Some(context.waker().clone());
            while self.step(&world) {}
            Poll::<()>::Pending
        })
        .await;
    }

    /// Polls one of the tasks that are ready. `false` if none is.
    fn step(&self, world: &World) -> bool {
        let ready = self.inner().ready.len();
        if ready == 0 {
            return false;
        }
        let nth = if ready == 1 { 0 } else { world.draw(|rng| rng.usize(..ready)) };
        let (id, process, work) = {
            let mut inner = self.inner();
            let Some(id) = inner.ready.iter().nth(nth).copied() else { return true };
            inner.ready.remove(&id);
            let Some(task) = inner.tasks.get_mut(&id) else { return true };
            if task.process.is_frozen() {
                return true;
            }
            (id, task.process.clone(), task.work.take())
        };
        let Some(mut work) = work else { return true };
        let waker = Waker::from(Arc::new(TaskWaker { id, inner: Arc::downgrade(&self.0) }));
        let polled = process.poll(&mut work, &mut Context::from_waker(&waker));
        let done = {
            let mut inner = self.inner();
            if polled.is_ready() {
                inner.tasks.remove(&id);
                Some(work)
            } else if let Some(task) = inner.tasks.get_mut(&id) {
                task.work = Some(work);
                None
            } else {
                Some(work)
            }
        };
        // Not with the lock held: what is dropped may wake others.
        drop(done);
        true
    }
}
