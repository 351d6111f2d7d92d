//! What an app's process is to the engine: a place where work runs until the process dies, and none of it after.

use std::sync::{Arc, Mutex, PoisonError};

use tauri_plugin_otpless::{
    BoxFuture,
    engine::{Job, Runtime, Serial},
};
use tokio::{runtime::Handle, task::JoinSet};

/// A process, as the test's own runtime plays it.
#[derive(Debug)]
pub(crate) struct Process {
    runtime: Handle,
    /// `None` once it is dead.
    work: Arc<Mutex<Option<JoinSet<()>>>>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self { runtime: Handle::current(), work: Arc::new(Mutex::new(Some(JoinSet::new()))) }
    }

    /// Starts nothing from now on, and answers what was under way: to be waited for or dropped, which ends it soon.
    pub(crate) fn killed(&self) -> JoinSet<()> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

impl Runtime for Process {
    fn spawn(&self, work: BoxFuture<'static, ()>) {
        if let Some(alive) = self.work.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            alive.spawn_on(work, &self.runtime);
        }
    }

    fn serial(&self, name: &str) -> Option<Box<dyn Serial>> {
        let thread = self.runtime.serial(name)?;
        Some(Box::new(Mortal { thread, work: self.work.clone() }))
    }
}

/// A thread of the process: what waits there when the process dies is not carried out.
#[derive(Debug)]
struct Mortal {
    thread: Box<dyn Serial>,
    work: Arc<Mutex<Option<JoinSet<()>>>>,
}

impl Serial for Mortal {
    fn submit(&self, job: Job) -> bool {
        let work = self.work.clone();
        self.thread.submit(Box::new(move || {
            if work.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                job();
            }
        }))
    }
}
