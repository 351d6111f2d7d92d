//! A keychain that refuses some calls of one process, and none of the others'.

use std::sync::{Arc, Mutex};

use tauri_plugin_otpless::engine::{MemoryStore, SessionStore, Slot, StoreError};
use zeroize::Zeroizing;

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Read(Slot),
    Write(Slot),
    Erase(Slot),
}

/// Of a read-only keychain, which erases all the same.
pub(crate) const WRITES: [Refused; 2] = [Refused::Write(Slot::Session), Refused::Write(Slot::Revocations)];

/// The keychain as one process has it.
#[derive(Clone, Debug)]
pub(crate) struct Refusing {
    store: MemoryStore,
    refused: Arc<Mutex<Vec<Refused>>>,
}

impl Refusing {
    pub(crate) fn new(store: &MemoryStore, refused: impl Into<Vec<Refused>>) -> Self {
        Self { store: store.clone(), refused: Arc::new(Mutex::new(refused.into())) }
    }

    pub(crate) fn maker(&self) -> impl Fn() -> Box<dyn SessionStore> + Send + Sync + 'static {
        let store = self.clone();
        move || Box::new(store.clone())
    }

    /// From now on it refuses `refused` and nothing else.
    pub(crate) fn refuses(&self, refused: impl Into<Vec<Refused>>) {
        *self.refused.lock().expect("no panic") = refused.into();
    }

    fn allows(&self, call: Refused) -> Result<(), StoreError> {
        match self.refused.lock().expect("no panic").contains(&call) {
            true => Err(StoreError::Failed("it is full")),
            false => Ok(()),
        }
    }
}

impl SessionStore for Refusing {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.allows(Refused::Read(slot))?;
        self.store.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.allows(Refused::Write(slot))?;
        self.store.write(slot, value)
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.allows(Refused::Erase(slot))?;
        self.store.erase(slot)
    }

    fn backend(&self) -> &'static str {
        "refusing"
    }
}
