//! The operating system's keychain through keyring-core: Secret Service on Linux, Credential Manager on Windows,
//! Keychain on macOS and iOS, Keystore on Android.

use std::{collections::HashMap, fmt, sync::Arc};

use keyring_core::{CredentialStore, Entry, Error as KeyringError};
use zeroize::Zeroizing;

use super::{SessionStore, Slot, StoreError};
use crate::secret::wipe_stack;

/// How much of the stack is overwritten: an eighth of a thread's, several times what the keychains' libraries were seen to use.
const STACK_WIPED: usize = 256 * 1024;

/// The keychain entries of one app.
///
/// The connection is made on first use and again after any failure: a Secret Service that was restarted answers
/// an old connection with errors for ever.
pub struct KeychainStore {
    service: String,
    connection: Option<Connection>,
}

/// A store, and what it talks to.
struct Connection {
    store: Arc<CredentialStore>,
    instance: Instance,
}

impl fmt::Debug for KeychainStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeychainStore").field("service", &self.service).finish_non_exhaustive()
    }
}

impl KeychainStore {
    /// The entries stored under `service`; apps use their bundle identifier.
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), connection: None }
    }

    fn with_entry<T: Send + 'static>(
        &mut self,
        slot: Slot,
        operation: impl Fn(&Entry) -> Result<T, KeyringError> + Clone + Send + 'static,
    ) -> Result<T, KeyringError> {
        let kept = self.connection.is_some();
        let result = self.attempt(slot, operation.clone());
        match result {
            Err(KeyringError::PlatformFailure(_)) if kept => {
                // Perhaps only the connection is old: once more with a new one.
                self.connection = None;
                let result = self.attempt(slot, operation);
                if matches!(result, Err(KeyringError::PlatformFailure(_))) {
                    self.connection = None;
                }
                result
            }
            Err(KeyringError::PlatformFailure(_)) => {
                self.connection = None;
                result
            }
            result => result,
        }
    }

    fn attempt<T: Send + 'static>(
        &mut self,
        slot: Slot,
        operation: impl FnOnce(&Entry) -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection { store: connect()?, instance: Instance::running()? }),
        };
        let entry = connection.store.build(&self.service, slot.user(), Some(&modifiers()))?;
        connection.instance.attend(move || {
            let outcome = operation(&entry);
            wipe_stack::<STACK_WIPED>();
            outcome
        })
    }

    /// A keyring that was never unlocked says "no entry" for everything it keeps.
    fn sure_that_there_is_none(&mut self) -> Result<(), StoreError> {
        let answer = match &self.connection {
            Some(connection) => connection.instance.default_collection_is_open(),
            None => Err(StoreError::Failed("it is not connected")),
        };
        if matches!(answer, Err(StoreError::Unavailable(_))) {
            // The next call is made on a new one.
            self.connection = None;
        }
        answer
    }
}

impl Slot {
    /// The account name of the entry; seen by people in their keychain application.
    fn user(self) -> &'static str {
        match self {
            Self::Session => "otpless-session",
            Self::Revocations => "otpless-revocations",
        }
    }
}

impl SessionStore for KeychainStore {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.with_entry(slot, Entry::get_secret) {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(KeyringError::NoEntry) => {
                self.sure_that_there_is_none()?;
                // Once more: it may have been unlocked between the answer and the question whether to believe it.
                match self.with_entry(slot, Entry::get_secret) {
                    Ok(secret) => Ok(Some(Zeroizing::new(secret))),
                    Err(KeyringError::NoEntry) => Ok(None),
                    Err(error) => Err(translate(error)),
                }
            }
            Err(error) => Err(translate(error)),
        }
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        // A call that waits for a prompt may outlast this one's borrow.
        let value = Arc::new(Zeroizing::new(value.to_vec()));
        self.with_entry(slot, move |entry| entry.set_secret(&value)).map_err(translate)
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        match self.with_entry(slot, Entry::delete_credential) {
            Ok(()) | Err(KeyringError::NoEntry) => Ok(()),
            // Several entries of this name: none of them may stay.
            Err(KeyringError::Ambiguous(entries)) => {
                entries.iter().try_for_each(|entry| match entry.delete_credential() {
                    Ok(()) | Err(KeyringError::NoEntry) => Ok(()),
                    Err(error) => Err(translate(error)),
                })
            }
            Err(error) => Err(translate(error)),
        }
    }

    fn backend(&self) -> &'static str {
        BACKEND
    }
}

/// Never formats the error: `BadEncoding` and `BadDataFormat` carry the secret itself (requirement A2).
fn translate(error: KeyringError) -> StoreError {
    match error {
        KeyringError::PlatformFailure(error) => StoreError::Unavailable(explain(&*error)),
        KeyringError::NoStorageAccess(_) => StoreError::Locked,
        KeyringError::NoEntry => StoreError::Failed("the entry is gone"),
        KeyringError::BadEncoding(secret) => {
            drop(Zeroizing::new(secret));
            StoreError::Corrupt("it is not text")
        }
        KeyringError::BadDataFormat(secret, _) => {
            drop(Zeroizing::new(secret));
            StoreError::Corrupt("it cannot be decrypted any more")
        }
        KeyringError::BadStoreFormat(_) => StoreError::Corrupt("the keychain itself is damaged"),
        KeyringError::TooLong(_, limit) => StoreError::TooLong { limit },
        KeyringError::Ambiguous(_) => StoreError::Corrupt("there are several entries of the same name"),
        KeyringError::Invalid(..) => StoreError::Failed("it does not accept the app's identifier as a name"),
        _ => StoreError::Failed("it does not support the operation"),
    }
}

#[cfg(all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android"))))]
mod platform {
    use super::{Arc, CredentialStore, HashMap, KeyringError};

    pub(super) use crate::store::secret_service::{Instance, explain};

    pub(super) const BACKEND: &str = "Secret Service";

    pub(super) fn connect() -> Result<Arc<CredentialStore>, KeyringError> {
        Ok(zbus_secret_service_keyring_store::Store::new()?)
    }

    pub(super) fn modifiers() -> HashMap<&'static str, &'static str> {
        HashMap::from([("label", "OTPless session")])
    }
}

#[cfg(windows)]
mod platform {
    use super::{Arc, CredentialStore, HashMap, KeyringError};

    pub(super) const BACKEND: &str = "Windows Credential Manager";

    pub(super) fn connect() -> Result<Arc<CredentialStore>, KeyringError> {
        Ok(windows_native_keyring_store::Store::new()?)
    }

    /// The default, `Enterprise`, roams with the user to other machines (requirement A10).
    pub(super) fn modifiers() -> HashMap<&'static str, &'static str> {
        HashMap::from([("persistence", "Local")])
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use super::{Arc, CredentialStore, HashMap, KeyringError};

    pub(super) const BACKEND: &str = "macOS login keychain";

    /// The login keychain: it never leaves the machine, and unlike the protected store it works in apps that carry no
    /// provisioning profile, which is how most Tauri apps are built while they are developed.
    pub(super) fn connect() -> Result<Arc<CredentialStore>, KeyringError> {
        Ok(apple_native_keyring_store::keychain::Store::new()?)
    }

    pub(super) fn modifiers() -> HashMap<&'static str, &'static str> {
        HashMap::new()
    }
}

#[cfg(target_os = "ios")]
mod platform {
    use super::{Arc, CredentialStore, HashMap, KeyringError};

    pub(super) const BACKEND: &str = "iOS keychain";

    pub(super) fn connect() -> Result<Arc<CredentialStore>, KeyringError> {
        Ok(apple_native_keyring_store::protected::Store::new()?)
    }

    /// Readable by a refresh in the background, never in a backup for another device (requirement A10).
    pub(super) fn modifiers() -> HashMap<&'static str, &'static str> {
        HashMap::from([("access-policy", "after-first-unlock-this-device-only")])
    }
}

#[cfg(target_os = "android")]
mod platform {
    use super::{Arc, CredentialStore, HashMap, KeyringError};

    pub(super) const BACKEND: &str = "Android Keystore";

    /// tao has set the `ndk_context` up before plugins start; doing it again would panic.
    pub(super) fn connect() -> Result<Arc<CredentialStore>, KeyringError> {
        Ok(android_native_keyring_store::Store::new()?)
    }

    pub(super) fn modifiers() -> HashMap<&'static str, &'static str> {
        HashMap::new()
    }
}

/// Elsewhere the system itself answers, and does not go away.
#[cfg(any(windows, target_os = "macos", target_os = "ios", target_os = "android"))]
mod system {
    use super::{KeyringError, StoreError};

    pub(super) struct Instance;

    pub(super) fn explain(_: &(dyn std::error::Error + 'static)) -> &'static str {
        "the system's keychain failed"
    }

    impl Instance {
        pub(super) fn running() -> Result<Self, KeyringError> {
            Ok(Self)
        }

        pub(super) fn attend<T>(
            &self,
            call: impl FnOnce() -> Result<T, KeyringError>,
        ) -> Result<T, KeyringError> {
            call()
        }

        pub(super) fn default_collection_is_open(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }
}

#[cfg(any(windows, target_os = "macos", target_os = "ios", target_os = "android"))]
use system::{Instance, explain};

use platform::{BACKEND, connect, modifiers};
#[cfg(all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android"))))]
use platform::{Instance, explain};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_no_keyring_error_leaks_the_secret_it_carries() {
        let platform = || Box::new(std::io::Error::other("canary"));
        let canary = || b"canary".to_vec();
        for error in [
            KeyringError::PlatformFailure(platform()),
            KeyringError::NoStorageAccess(platform()),
            KeyringError::NoEntry,
            KeyringError::BadEncoding(canary()),
            KeyringError::BadDataFormat(canary(), platform()),
            KeyringError::BadStoreFormat("canary".into()),
            KeyringError::TooLong("canary".into(), 2560),
            KeyringError::Invalid("canary".into(), "canary".into()),
            KeyringError::Ambiguous(Vec::new()),
            KeyringError::NoDefaultStore,
            KeyringError::NotSupportedByStore("canary".into()),
        ] {
            let translated = translate(error);
            let shown = format!("{translated} {translated:?}");
            assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"), "{shown}");
        }
    }
}
