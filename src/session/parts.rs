//! What a session manager is made of.

use std::{fmt, path::PathBuf, sync::Arc};

use super::activity::Policy;
use crate::{
    activity_log::ActivityLog, api::SessionApi, clock::Clock, fetch::Attach, jwt::TokenVerifier,
    runtime::Runtime, store::SessionStore,
};

/// Makes the store; called again after a store panicked.
pub type MakeStore = Box<dyn Fn() -> Box<dyn SessionStore> + Send + Sync>;

/// Everything a [`SessionManager`](super::SessionManager) works with.
pub struct Parts {
    /// The app's deadlines.
    pub policy: Policy,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The server.
    pub api: Arc<dyn SessionApi>,
    /// The judge of tokens.
    pub verifier: Arc<dyn TokenVerifier>,
    /// The keychain.
    pub make_store: MakeStore,
    /// What may be lost.
    pub activity_log: Arc<dyn ActivityLog>,
    /// A directory shared by the app's processes, for lock files and what they tell each other. `None`: there is only this process.
    pub lock_directory: Option<PathBuf>,
    /// Uniform random numbers for jitter.
    pub random: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// Where detached work and the keychain run.
    pub runtime: Arc<dyn Runtime>,
    /// How calls to the app's own backend carry the session.
    pub attach: Attach,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("policy", &self.policy).finish_non_exhaustive()
    }
}
