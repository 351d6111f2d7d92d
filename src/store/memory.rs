//! A store that forgets, for tests and for apps that want a session to end with the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zeroize::Zeroizing;

use super::{SessionStore, Slot, StoreError};

/// Keeps values until the last clone is dropped. Clones share the values, as processes share a keychain.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    values: HashMap<Slot, Zeroizing<Vec<u8>>>,
    failures: VecDeque<StoreError>,
    broken: Option<StoreError>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("slots", &self.values.len()).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next call fails with `error`; calls queue.
    pub fn fail_next(&self, error: StoreError) {
        self.lock().failures.push_back(error);
    }

    /// Every call fails with `error` until this is called with `None`.
    pub fn fail_all(&self, error: Option<StoreError>) {
        self.lock().broken = error;
    }

    /// The bytes in `slot`, as somebody with another keychain application would see them.
    pub fn peek(&self, slot: Slot) -> Option<Zeroizing<Vec<u8>>> {
        self.lock().values.get(&slot).cloned()
    }

    /// Puts bytes into `slot` behind the engine's back.
    pub fn plant(&self, slot: Slot, value: &[u8]) {
        self.lock().values.insert(slot, Zeroizing::new(value.to_vec()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checked(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let mut inner = self.lock();
        match inner.failures.pop_front().or_else(|| inner.broken.clone()) {
            Some(error) => Err(error),
            None => Ok(inner),
        }
    }
}

impl SessionStore for MemoryStore {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.checked()?.values.get(&slot).cloned())
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.checked()?.values.insert(slot, Zeroizing::new(value.to_vec()));
        Ok(())
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.checked()?.values.remove(&slot);
        Ok(())
    }

    fn backend(&self) -> &'static str {
        "memory"
    }

    fn may_block(&self) -> bool {
        false
    }
}
