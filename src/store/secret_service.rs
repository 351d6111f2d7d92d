//! What the keyring store does not tell: whether the collection is open at all, and whether the service it waits for
//! still lives.

use std::{fmt, io, panic, sync::mpsc, thread, time::Duration};

use keyring_core::Error as KeyringError;
use secret_service::{EncryptionType, Error, blocking::SecretService};
use zbus::{
    blocking::{Connection, fdo::DBusProxy},
    names::{OwnedUniqueName, WellKnownName},
};

use super::StoreError;

const NAME: WellKnownName<'static> = WellKnownName::from_static_str_unchecked("org.freedesktop.secrets");

/// How often somebody who waits looks whether there is anybody to wait for. Only a prompt takes so long.
const LOOK: Duration = Duration::from_secs(1);

/// The service as it is since a connection to it was made: a restarted one is another.
pub(super) struct Instance {
    bus: Connection,
    owner: OwnedUniqueName,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Instance {
    pub(super) fn running() -> Result<Self, KeyringError> {
        let bus = Connection::session().map_err(failed)?;
        let owner = owner(&bus).map_err(failed)?;
        Ok(Self { bus, owner })
    }

    /// Runs `call`, which may wait for a person at a prompt, for as long as the service lives. The client library waits
    /// on when the service dies under its prompt, for an answer that cannot come; its thread is left behind then.
    pub(super) fn attend<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        let (reply, answer) = mpsc::channel();
        // Nobody listens any more if the service went away first.
        let thread = thread::Builder::new().name("otpless-keychain-call".into());
        let caller = thread.spawn(move || drop(reply.send(call()))).map_err(failed)?;
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(outcome) => return outcome,
                Err(mpsc::RecvTimeoutError::Disconnected) => match caller.join() {
                    Err(panicked) => panic::resume_unwind(panicked),
                    Ok(()) => return Err(failed(io::Error::other("the call ended without a result"))),
                },
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if owner(&self.bus).ok().as_ref() != Some(&self.owner) {
                        return Err(failed(io::Error::other("the Secret Service went away")));
                    }
                }
            }
        }
    }
}

fn owner(bus: &Connection) -> zbus::Result<OwnedUniqueName> {
    Ok(DBusProxy::new(bus)?.get_name_owner(NAME.into())?)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> KeyringError {
    KeyringError::PlatformFailure(Box::new(error))
}

/// Succeeds if "no such entry" can be believed.
pub(super) fn default_collection_is_open() -> Result<(), StoreError> {
    // No secret crosses this connection, so it needs no encrypted session.
    let service = SecretService::connect(EncryptionType::Plain).map_err(unavailable)?;
    match service.get_default_collection() {
        Ok(collection) => match collection.is_locked() {
            Ok(false) => Ok(()),
            Ok(true) => Err(StoreError::Locked),
            Err(error) => Err(unavailable(error)),
        },
        // No collection was ever made, so nothing was ever stored.
        Err(Error::NoResult) => Ok(()),
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(_: Error) -> StoreError {
    StoreError::Unavailable("there is no Secret Service, or it does not work")
}
