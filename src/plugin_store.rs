//! The [`ActivityLog`] in a file of tauri-plugin-store, in the app's data directory.

use std::{fmt, sync::Arc};

use serde_json::Value;
use tauri::{AppHandle, Runtime};
use tauri_plugin_store::{Store, StoreExt};

use crate::{
    activity_log::ActivityLog,
    error::{Error, Result},
};

/// The file's name. It is world-readable and holds nothing secret.
pub(crate) const FILE_NAME: &str = "otpless.json";

pub(crate) struct PluginStore<R: Runtime>(Arc<Store<R>>);

impl<R: Runtime> fmt::Debug for PluginStore<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PluginStore")
    }
}

impl<R: Runtime> PluginStore<R> {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the app has not registered tauri-plugin-store, or not before this plugin.
    pub(crate) fn open(app: &AppHandle<R>) -> Result<Self> {
        let opened = quietly(|| app.store_builder(FILE_NAME).build());
        match opened {
            Some(Ok(store)) => Ok(Self(store)),
            Some(Err(_)) => Err(Error::invalid_config(
                "the app's data directory cannot be determined, which tauri-plugin-otpless needs for its activity log",
            )),
            None => Err(Error::invalid_config(NOT_REGISTERED)),
        }
    }
}

const NOT_REGISTERED: &str = "tauri-plugin-otpless needs tauri-plugin-store, registered before it: \
     add .plugin(tauri_plugin_store::Builder::default().build()) above .plugin(tauri_plugin_otpless::init())";

/// Runs `open`, which panics inside tauri if the plugin's state is missing. There is no way to ask first: the state's
/// type is private. The hook says what to do instead of where in tauri it happened, which is all that an app built
/// with `panic = "abort"` would see.
fn quietly<T>(open: impl FnOnce() -> T) -> Option<T> {
    use std::{
        panic::{self, AssertUnwindSafe},
        thread,
    };

    let before = Arc::new(panic::take_hook());
    let (ours, others) = (thread::current().id(), before.clone());
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == ours {
            eprintln!("{NOT_REGISTERED}");
        } else {
            others(info);
        }
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(open));
    drop(panic::take_hook());
    if let Ok(before) = Arc::try_unwrap(before) {
        panic::set_hook(before);
    }
    result.ok()
}

impl<R: Runtime> ActivityLog for PluginStore<R> {
    fn get(&self, key: &str) -> Option<Value> {
        self.0.get(key)
    }

    fn put(&self, key: &str, value: Value) {
        self.0.set(key, value);
        // Not debounced: what is put here is rare, and matters most just before a crash.
        if let Err(error) = self.0.save() {
            tracing::warn!(%error, "the activity log could not be written");
        }
    }
}
