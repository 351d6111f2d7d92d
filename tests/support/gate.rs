//! A keychain that answers when the test lets it.

use std::sync::{Arc, Condvar, Mutex};

use tauri_plugin_otpless::engine::{SessionStore, Slot, StoreError};
use zeroize::Zeroizing;

/// Whether calls to the keychain are held up, and how many are.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<(bool, usize)>, Condvar);

impl Gate {
    pub(crate) fn set(&self, closed: bool) {
        self.0.lock().expect("no panic").0 = closed;
        self.1.notify_all();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().expect("no panic").1
    }

    fn pass(&self) {
        let mut state = self.0.lock().expect("no panic");
        state.1 += 1;
        drop(self.1.wait_while(state, |(closed, _)| *closed).map(|mut state| state.1 -= 1));
    }
}

/// A store behind a gate.
#[derive(Debug)]
pub(crate) struct Gated<S>(pub(crate) S, pub(crate) Arc<Gate>);

impl<S: SessionStore> SessionStore for Gated<S> {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.1.pass();
        self.0.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.1.pass();
        self.0.write(slot, value)
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.1.pass();
        self.0.erase(slot)
    }

    fn backend(&self) -> &'static str {
        self.0.backend()
    }
}
