//! The keychain, with points before and after every call that changes it.

use std::sync::Arc;

use tauri_plugin_otpless::engine::{KeychainStore, SessionStore, Slot, StoreError};
use zeroize::Zeroizing;

use crate::points::Points;

#[derive(Debug)]
pub(crate) struct WatchedStore {
    inner: KeychainStore,
    points: Arc<Points>,
    /// The next read of the session is the one that makes sure of what was written.
    wrote: bool,
}

impl WatchedStore {
    pub(crate) fn new(inner: KeychainStore, points: Arc<Points>) -> Self {
        Self { inner, points, wrote: false }
    }
}

impl SessionStore for WatchedStore {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        if slot != Slot::Session {
            return self.inner.read(slot);
        }
        let reads_back = std::mem::take(&mut self.wrote);
        if !reads_back {
            self.points.reach("re-read");
        }
        let value = self.inner.read(slot);
        if reads_back {
            self.points.reach("read-back");
        }
        value
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        let (before, after) = match slot {
            Slot::Session => ("before-write", "written"),
            Slot::Revocations => ("before-note", "noted"),
        };
        self.points.reach(before);
        let outcome = self.inner.write(slot, value);
        self.wrote = slot == Slot::Session && outcome.is_ok();
        self.points.reach(after);
        outcome
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        let (before, after) = match slot {
            Slot::Session => ("before-erase", "erased"),
            Slot::Revocations => ("before-settle", "settled"),
        };
        self.points.reach(before);
        let outcome = self.inner.erase(slot);
        self.points.reach(after);
        outcome
    }

    fn backend(&self) -> &'static str {
        self.inner.backend()
    }
}
