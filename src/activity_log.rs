//! What is remembered across restarts beside the secrets: when the user was last active, the public keys, which
//! sign-ins are over. Nothing in it is secret and nothing in it may not be lost; unreadable means absent.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

/// A small key-value file that may be lost. The real one is a store of tauri-plugin-store.
pub trait ActivityLog: fmt::Debug + Send + Sync + 'static {
    /// The value last put; `None` if there is none or it cannot be read.
    fn get(&self, key: &str) -> Option<Value>;

    /// Remembers `value`, written to disk soon. Failures are logged, never returned: nothing may depend on it.
    fn put(&self, key: &str, value: Value);
}

/// Remembers until the process ends.
#[derive(Debug, Default)]
pub struct MemoryActivityLog(Mutex<HashMap<String, Value>>);

impl ActivityLog for MemoryActivityLog {
    fn get(&self, key: &str) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: &str, value: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value);
    }
}
