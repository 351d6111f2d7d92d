//! The keychain of the device, shared by its processes: it fails, hangs, lies about what it has done, and loses its process
//! before, in the midst of or after any of its steps.

use std::{
    collections::HashMap,
    fmt,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tauri_plugin_otpless::engine::{SessionRecord, SessionStore, Slot, StoreError};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    oracle::short,
    process::Process,
    world::{Sabotage, World},
};

/// What the keychain does at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    Locked,
    Absent,
    /// Calls do not come back until the mood changes.
    Hanging,
    /// Writes are refused.
    Full,
    /// Writes are reported as done and are not.
    Forgetful,
    /// Each call fails or not.
    Flaky,
    /// Writes and erases are done, and nobody hears that they are.
    Mute,
}

impl Mood {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Well => "keychain well",
            Self::Locked => "keychain locked",
            Self::Absent => "keychain absent",
            Self::Hanging => "keychain hanging",
            Self::Full => "keychain refusing writes",
            Self::Forgetful => "keychain forgetting writes",
            Self::Flaky => "keychain flaky",
            Self::Mute => "keychain mute after its work",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Moods {
    now: watch::Sender<Mood>,
    /// Since when it has been the present one, while the machine was awake.
    since: Mutex<Duration>,
}

impl Default for Moods {
    fn default() -> Self {
        Self { now: watch::channel(Mood::Well).0, since: Mutex::default() }
    }
}

impl Moods {
    pub(crate) fn now(&self) -> Mood {
        *self.now.borrow()
    }

    pub(crate) fn set(&self, mood: Mood, awake: Duration) {
        if self.now.send_replace(mood) != mood {
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = awake;
        }
    }

    /// Since when the keychain has worked, if it does.
    pub(crate) fn well_since(&self) -> Option<Duration> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        (self.now() == Mood::Well).then_some(since)
    }

    /// Comes back when calls do.
    pub(crate) async fn answering(&self) {
        // The sender lives as long as `self`.
        let _ = self.now.subscribe().wait_for(|mood| *mood != Mood::Hanging).await;
    }
}

/// What becomes of stored bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// One bit is turned over, in the byte with this number.
    Bit(usize),
    /// Nothing is left beyond this byte; of nothing, not even the first.
    Cut(usize),
}

type Values = HashMap<Slot, Zeroizing<Vec<u8>>>;

/// What the device's keychain holds.
#[derive(Clone, Default)]
pub(crate) struct Keychain(Arc<Mutex<Values>>);

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keychain")
    }
}

impl Keychain {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spoils what `slot` holds. Answers what that was, if there was something.
    pub(crate) fn damage(&self, slot: Slot, how: Damage) -> Option<Zeroizing<Vec<u8>>> {
        self.values().get_mut(&slot).map(|value| {
            let before = value.clone();
            let length = value.len().max(1);
            match how {
                Damage::Bit(at) => value.get_mut(at % length).into_iter().for_each(|byte| *byte ^= 1),
                Damage::Cut(at) => value.truncate(at % length),
            }
            before
        })
    }

    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.values().clone())))
    }

    pub(crate) fn become_like(&self, other: &Self) {
        let values = other.values().clone();
        *self.values() = values;
    }

    pub(crate) fn forget_everything(&self) {
        self.values().clear();
    }

    /// The keychain as `process` reaches it.
    pub(crate) fn reached_by(&self, process: &Arc<Process>, world: &Arc<World>) -> Box<dyn SessionStore> {
        Box::new(Reached { keychain: self.clone(), process: process.clone(), world: world.clone() })
    }
}

#[derive(Debug)]
struct Reached {
    keychain: Keychain,
    process: Arc<Process>,
    world: Arc<World>,
}

impl Reached {
    /// Whether a call gets through.
    fn begin(&self) -> Result<(), StoreError> {
        if !self.process.is_alive() {
            return Err(StoreError::Unavailable("its process is dead"));
        }
        self.world.report().store_calls += 1;
        match self.world.moods.now() {
            Mood::Locked => Err(StoreError::Locked),
            // A job that began before the hang goes on to its end.
            Mood::Absent | Mood::Hanging => Err(StoreError::Unavailable("it is not there")),
            Mood::Flaky if self.world.percent(40) => Err(StoreError::Unavailable("it is flaky")),
            _ => Ok(()),
        }
    }

    /// Nothing more is done by a process that has died: not in the call, and not in what it was made for.
    fn unless_dead(&self) {
        if !self.process.is_alive() {
            // No panic, of which the log would tell. Whoever runs the call goes by its end as by one.
            resume_unwind(Box::new("its process is dead"));
        }
    }

    /// What a call answers that has done its work.
    fn done(&self) -> Result<(), StoreError> {
        match self.world.moods.now() {
            Mood::Mute => Err(StoreError::Unavailable("it did not answer")),
            _ => Ok(()),
        }
    }

    /// Its process dies while it writes: where bytes can be damaged at all, that may leave a part of them.
    fn tear(&self, slot: Slot, value: &[u8]) {
        if self.process.is_alive() || !self.world.scenario.damage || self.world.percent(50) {
            return;
        }
        let part = self.world.draw(|rng| rng.usize(..value.len().max(1)));
        let before = self.keychain.values().insert(slot, Zeroizing::new(value[..part].to_vec()));
        self.world.oracle().damaged(slot, &before.unwrap_or_default());
        *self.world.report().faults.entry("a write torn").or_default() += 1;
        self.world.tell(|| format!("{} tore {slot:?} after {part} bytes", self.process.name()));
    }
}

impl SessionStore for Reached {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.begin()?;
        self.process.step("before a read");
        self.unless_dead();
        Ok(self.keychain.values().get(&slot).cloned())
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.begin()?;
        self.process.step("before a write");
        self.tear(slot, value);
        self.unless_dead();
        let record = SessionRecord::from_bytes(value).ok();
        let is_taken = match self.world.sabotage {
            Some(Sabotage::NeverStores) => false,
            Some(Sabotage::StoresOnlySignIns) => record.as_ref().is_none_or(|record| record.rotation == 0),
            Some(_) | None => true,
        };
        if !is_taken {
            return Err(StoreError::Failed("it is full"));
        }
        match self.world.moods.now() {
            Mood::Full => return Err(StoreError::Failed("it is full")),
            Mood::Forgetful => return Ok(()),
            _ => {}
        }
        self.keychain.values().insert(slot, Zeroizing::new(value.to_vec()));
        if slot == Slot::Session {
            self.world.oracle().wrote(value, &self.world);
        } else {
            self.world.oracle().noted(value);
        }
        self.world.tell(|| {
            let what = record.map(|record| format!("{} {}", short(&record.user_id), record.rotation));
            format!("{} wrote {slot:?} {}", self.process.name(), what.unwrap_or_default())
        });
        self.process.step("after a write");
        self.unless_dead();
        self.done()
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.begin()?;
        self.process.step("before an erase");
        self.unless_dead();
        if self.world.moods.now() == Mood::Full {
            return Err(StoreError::Failed("it is full"));
        }
        let erased = self.keychain.values().remove(&slot);
        if let (Slot::Session, Some(bytes)) = (slot, erased) {
            self.world.oracle().erased(self.process.name(), &bytes, &self.world);
        }
        self.world.tell(|| format!("{} erased {slot:?}", self.process.name()));
        self.process.step("after an erase");
        self.unless_dead();
        self.done()
    }

    fn backend(&self) -> &'static str {
        "simulated"
    }
}
