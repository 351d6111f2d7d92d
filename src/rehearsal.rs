//! Hours of a session in minutes, for people who develop an app: a machine that sleeps, a keychain that gets locked.
//!
//! Only in builds with debug assertions, which a release build does not have: nothing that moves the clock or keeps
//! the keychain shut may be in an app that people use (requirement E5). Both parts stand around the real ones, so what
//! an app shows in a rehearsal comes from the same engine, keychain and network as always.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Timestamp},
    session::{MakeStore, SessionManager},
    store::{SessionStore, Slot, StoreError},
};

/// Plays what takes hours, or a second person, to happen: see how an app reacts to it without waiting for it.
///
/// Handed to [`Builder::dangerous_rehearsal`](crate::Builder::dangerous_rehearsal). Clones are the same rehearsal, so
/// keep one to act on it, in a command of your app for instance. It knows nothing of the server: against a test server
/// whose clock can be moved, move it along.
///
/// In builds with debug assertions only, so code that uses it is under `#[cfg(debug_assertions)]`.
///
/// ```
/// use std::time::Duration;
/// use tauri_plugin_otpless::{Builder, Rehearsal};
///
/// let rehearsal = Rehearsal::new();
/// let plugin = Builder::new().app_id("YOUR_APP_ID").dangerous_rehearsal(rehearsal.clone());
/// // … and once the app runs:
/// rehearsal.sleep(Duration::from_secs(8 * 60 * 60));
/// rehearsal.set_keychain_locked(true);
/// # drop(plugin);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rehearsal(Arc<watch::Sender<Situation>>);

#[derive(Clone, Copy, Debug, Default)]
struct Situation {
    slept: Duration,
    keychain_locked: bool,
}

impl Rehearsal {
    /// A rehearsal in which nothing has happened yet: the machine's own clock, the keychain as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine sleeps for `duration` and wakes up: wall time has moved on, monotonic time has not, and the plugin
    /// looks around at once. Sleeps add up; a restart of the app forgets them.
    pub fn sleep(&self, duration: Duration) {
        self.0.send_modify(|situation| situation.slept = situation.slept.saturating_add(duration));
    }

    /// How far the plugin's wall clock is ahead of the machine's: all sleeps together.
    pub fn slept(&self) -> Duration {
        self.0.borrow().slept
    }

    /// Locks the keychain or unlocks it. While it is locked nothing is read from it, written to it or erased in it, and
    /// the plugin is answered what a locked keychain answers. What is in the keychain stays there.
    ///
    /// An unlocked keychain is tried again when the plugin's own patience says so: at once, or within about a minute
    /// if it was tried just before.
    pub fn set_keychain_locked(&self, locked: bool) {
        self.0.send_modify(|situation| situation.keychain_locked = locked);
    }

    /// Whether the keychain is locked in this rehearsal; what the machine's own is, is not asked.
    pub fn is_keychain_locked(&self) -> bool {
        self.0.borrow().keychain_locked
    }

    pub(crate) fn clock(&self, real: Arc<dyn Clock>) -> Arc<dyn Clock> {
        Arc::new(RehearsedClock { real, rehearsal: self.clone() })
    }

    pub(crate) fn store(&self, make: MakeStore) -> MakeStore {
        let rehearsal = self.clone();
        Box::new(move || Box::new(RehearsedStore { real: make(), rehearsal: rehearsal.clone() }))
    }

    /// Lets `manager` look whenever something happens: a machine that wakes up tells its programs, and whoever unlocks
    /// a keychain comes back to the app.
    pub(crate) async fn announce_to(self, manager: SessionManager) {
        let mut happened = self.0.subscribe();
        while happened.changed().await.is_ok() {
            manager.look();
        }
    }
}

/// The real clock, ahead by all sleeps.
#[derive(Debug)]
struct RehearsedClock {
    real: Arc<dyn Clock>,
    rehearsal: Rehearsal,
}

impl Clock for RehearsedClock {
    fn now(&self) -> Timestamp {
        self.real.now() + self.rehearsal.slept()
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic()
    }

    fn unset(&self) -> Option<Duration> {
        Some(self.real.unset()?.saturating_add(self.rehearsal.slept()))
    }
}

/// The real keychain, behind a lock.
#[derive(Debug)]
struct RehearsedStore {
    real: Box<dyn SessionStore>,
    rehearsal: Rehearsal,
}

impl RehearsedStore {
    fn unlocked(&mut self) -> Result<&mut dyn SessionStore, StoreError> {
        if self.rehearsal.is_keychain_locked() { Err(StoreError::Locked) } else { Ok(&mut *self.real) }
    }
}

impl SessionStore for RehearsedStore {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.unlocked()?.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.unlocked()?.write(slot, value)
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.unlocked()?.erase(slot)
    }

    fn backend(&self) -> &'static str {
        self.real.backend()
    }

    fn may_block(&self) -> bool {
        self.real.may_block()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, store::MemoryStore};

    const HOURS: Duration = Duration::from_secs(8 * 60 * 60);

    #[test]
    fn c10_a_sleep_moves_wall_time_and_leaves_monotonic_time_and_sleeps_add_up() {
        let rehearsal = Rehearsal::new();
        let real: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let clock = rehearsal.clock(real.clone());
        let (wall, monotonic) = (real.now(), real.monotonic());
        rehearsal.sleep(HOURS);
        rehearsal.clone().sleep(HOURS);
        assert_eq!(rehearsal.slept(), 2 * HOURS);
        let passed = clock.now().saturating_since(wall);
        assert!((2 * HOURS..2 * HOURS + HOURS).contains(&passed), "{passed:?}");
        assert!(clock.monotonic() - monotonic < HOURS);
    }

    #[test]
    fn c9_a_sleep_without_end_saturates() {
        let rehearsal = Rehearsal::new();
        let clock = rehearsal.clock(Arc::new(SystemClock::default()));
        rehearsal.sleep(Duration::MAX);
        rehearsal.sleep(Duration::MAX);
        assert_eq!(clock.now(), Timestamp(i64::MAX));
    }

    #[test]
    fn a8_a_locked_keychain_answers_locked_to_everything_and_keeps_what_it_has() {
        let rehearsal = Rehearsal::new();
        let kept = MemoryStore::new();
        let real = kept.clone();
        let mut store = rehearsal.store(Box::new(move || Box::new(real.clone())))();
        store.write(Slot::Session, b"before").unwrap();

        rehearsal.set_keychain_locked(true);
        assert_eq!(store.read(Slot::Session), Err(StoreError::Locked));
        assert_eq!(store.read(Slot::Revocations), Err(StoreError::Locked), "also of what it does not have");
        assert_eq!(store.write(Slot::Session, b"meanwhile"), Err(StoreError::Locked));
        assert_eq!(store.erase(Slot::Session), Err(StoreError::Locked));
        assert_eq!(kept.peek(Slot::Session).unwrap().as_slice(), b"before");

        rehearsal.set_keychain_locked(false);
        assert_eq!(store.read(Slot::Session).unwrap().unwrap().as_slice(), b"before");
        store.erase(Slot::Session).unwrap();
        assert_eq!(store.read(Slot::Session), Ok(None));
    }

    #[test]
    fn a_rehearsed_store_is_called_as_the_real_one_wants_to_be() {
        let rehearsal = Rehearsal::new();
        let memory = rehearsal.store(Box::new(|| Box::new(MemoryStore::new())))();
        assert_eq!((memory.backend(), memory.may_block()), ("memory", false));
    }
}
