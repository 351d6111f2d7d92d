//! Where the engine's work runs, injected: on a tokio runtime in an app, under a scheduler that can stop a process at
//! any await point in the simulation.

use std::{fmt, sync::mpsc, thread};

use tokio::runtime::Handle;

use crate::BoxFuture;

/// A blocking piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs work that nobody waits for.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` to its end, whatever becomes of whoever asked for it.
    fn spawn(&self, work: BoxFuture<'static, ()>);

    /// A place where jobs may block, which runs them one at a time in the order in which they are submitted. `None` if
    /// there is none to be had.
    fn serial(&self, name: &str) -> Option<Box<dyn Serial>>;
}

/// See [`Runtime::serial`].
pub trait Serial: fmt::Debug + Send + Sync {
    /// Queues `job`; `false` if it will never run.
    fn submit(&self, job: Job) -> bool;
}

impl Runtime for Handle {
    fn spawn(&self, work: BoxFuture<'static, ()>) {
        drop(Self::spawn(self, work));
    }

    /// A plain thread and not `spawn_blocking`, because the Secret Service client starts a runtime of its own and
    /// panics inside another.
    fn serial(&self, name: &str) -> Option<Box<dyn Serial>> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in queue {
                job();
            }
        });
        match spawned {
            Ok(_) => Some(Box::new(Thread(jobs))),
            Err(error) => {
                tracing::error!(%error, name, "a thread could not be started");
                None
            }
        }
    }
}

#[derive(Debug)]
struct Thread(mpsc::Sender<Job>);

impl Serial for Thread {
    fn submit(&self, job: Job) -> bool {
        self.0.send(job).is_ok()
    }
}
