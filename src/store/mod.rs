//! Where the three values live between runs: the operating system's keychain.
//!
//! [`SessionStore`] is the blocking store itself, [`worker`] runs it on a thread of its own within a time bound,
//! [`record`] and [`outbox`] are the bytes, [`vault`] is what the engine calls, [`kept`] and [`bulletin`] are what other processes
//! are told of it.

pub(crate) mod bulletin;
pub(crate) mod kept;
pub(crate) mod keychain;
mod lock;
pub(crate) mod memory;
pub(crate) mod outbox;
pub(crate) mod record;
#[cfg(all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android"))))]
mod secret_service;
pub(crate) mod step;
mod text;
pub(crate) mod vault;
pub(crate) mod worker;

use std::fmt;

use zeroize::Zeroizing;

pub use keychain::KeychainStore;
pub use memory::MemoryStore;

/// One of the two values the plugin keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The session: one `record`.
    Session,
    /// Revocations that have not been delivered yet: one `outbox`.
    Revocations,
}

/// A secure place for two small values. Called from one thread at a time, and may block.
///
/// What an answer means, for whoever writes another:
///
/// - [`read`](Self::read): the value; `None` only if the store is sure that there is none. A store that is locked,
///   absent or does not know says [`StoreError::Unavailable`] or [`StoreError::Locked`]: "cannot say" taken for "no" signs people out.
/// - [`write`](Self::write): all or nothing; the old value stays if it fails.
/// - [`erase`](Self::erase): succeeds if there is nothing afterwards, whether or not there was something before.
pub trait SessionStore: fmt::Debug + Send + 'static {
    /// The value in `slot`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store cannot say; [`StoreError::Corrupt`] if what is there can never be
    /// read again.
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Puts `value` into `slot`, replacing what was there. `value` is UTF-8, because KWallet keeps nothing else.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::TooLong`] or [`StoreError::Failed`]; the old value stays.
    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError>;

    /// Makes `slot` empty.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] or [`StoreError::Failed`].
    fn erase(&mut self, slot: Slot) -> Result<(), StoreError>;

    /// What it is, for `diagnostics`.
    fn backend(&self) -> &'static str;

    /// Whether a call may take long. A store that never blocks is called without a thread of its own.
    fn may_block(&self) -> bool {
        true
    }
}

/// Why the store did not do it. Messages are ours: a keyring error's own `Debug` may hold the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Absent, hung or not answering in time. Nothing is known about the value, nothing was lost.
    #[error("the keychain is not available: {0}")]
    Unavailable(&'static str),
    /// Locked, or somebody dismissed the question to unlock it. Nothing is known about the value, nothing was lost.
    #[error("the keychain is locked, or access to it was refused")]
    Locked,
    /// The value is too large for this store.
    #[error("the session is larger than this keychain takes ({limit} bytes)")]
    TooLong {
        /// The store's limit in bytes.
        limit: u32,
    },
    /// There is a value and it can never be read again (its key is gone, or it is ambiguous).
    #[error("what the keychain holds cannot be read: {0}")]
    Corrupt(&'static str),
    /// Refused for another reason.
    #[error("the keychain refused: {0}")]
    Failed(&'static str),
}
