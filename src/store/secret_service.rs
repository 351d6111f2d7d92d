//! What the keyring store does not tell: whether the collection is open at all, whether the service it waits for still
//! lives, and why it failed.

use std::{fmt, io, panic, sync::mpsc, thread, time::Duration};

use keyring_core::Error as KeyringError;
use secret_service::Error;
use serde::Serialize;
use zbus::{
    DBusError as _, Message,
    blocking::{Connection, fdo::DBusProxy},
    names::{OwnedUniqueName, WellKnownName},
    zvariant::{DynamicType, ObjectPath, Value},
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
                        return Err(failed(io::Error::from(io::ErrorKind::TimedOut)));
                    }
                }
            }
        }
    }

    /// Succeeds if "no such entry" can be believed.
    ///
    /// Asked without a session of the Secret Service, as no secret is. GNOME Keyring up to 50 dies with all its clients'
    /// sessions if the first thing that it hears from a new connection is `OpenSession` and it has not yet noted the
    /// connection (its issues 190, 196 and 199); so there is one such moment when an app starts, and no others.
    pub(super) fn default_collection_is_open(&self) -> Result<(), StoreError> {
        const COLLECTION: &str = "org.freedesktop.Secret.Collection";
        let path = ObjectPath::from_static_str_unchecked("/org/freedesktop/secrets");
        let alias = self.ask(&path, "org.freedesktop.Secret.Service", "ReadAlias", &("default",))?.body();
        let collection: ObjectPath<'_> = alias.deserialize().map_err(unavailable)?;
        if collection.as_str() == "/" {
            // No collection was ever made, so nothing was ever stored.
            return Ok(());
        }
        let properties = "org.freedesktop.DBus.Properties";
        let locked = self.ask(&collection, properties, "Get", &(COLLECTION, "Locked"))?.body();
        match locked.deserialize().map_err(unavailable)? {
            Value::Bool(false) => Ok(()),
            Value::Bool(true) => Err(StoreError::Locked),
            _ => Err(StoreError::Unavailable(DOES_NOT_WORK)),
        }
    }

    fn ask(
        &self,
        path: &ObjectPath<'_>,
        interface: &str,
        method: &str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<Message, StoreError> {
        self.bus.call_method(Some(NAME), path, Some(interface), method, arguments).map_err(unavailable)
    }
}

/// Why the service or the way to it failed, in our words: what others put into their errors is not ours to show.
pub(super) fn explain(error: &(dyn std::error::Error + 'static)) -> &'static str {
    if let Some(error) = error.downcast_ref::<Error>() {
        return match error {
            Error::Zbus(error) => of_the_bus(error),
            Error::ZbusFdo(error) => named(error.name().as_str()),
            Error::Crypto(_) => "what the Secret Service sent cannot be decrypted",
            Error::Unavailable => NO_SERVICE,
            _ => DOES_NOT_WORK,
        };
    }
    if let Some(error) = error.downcast_ref() {
        return of_the_bus(error);
    }
    error.downcast_ref().map_or(DOES_NOT_WORK, of_the_system)
}

const NO_SERVICE: &str =
    "nothing on this desktop provides the Secret Service, as GNOME Keyring and KWallet do";
const NO_BUS: &str = "the session bus cannot be reached";
const WENT_AWAY: &str = "the Secret Service went away";
const DOES_NOT_WORK: &str = "the Secret Service does not work";

fn of_the_bus(error: &zbus::Error) -> &'static str {
    match error {
        zbus::Error::MethodError(name, ..) => named(name.as_str()),
        zbus::Error::FDO(error) => named(error.name().as_str()),
        zbus::Error::InputOutput(error) => of_the_system(error),
        zbus::Error::Connection(..) | zbus::Error::Address(_) | zbus::Error::Handshake(_) => NO_BUS,
        _ => DOES_NOT_WORK,
    }
}

fn named(name: &str) -> &'static str {
    let of_the_bus = name.strip_prefix("org.freedesktop.DBus.Error.");
    match of_the_bus.or_else(|| name.strip_prefix("org.freedesktop.Secret.Error.")) {
        Some("ServiceUnknown" | "NameHasNoOwner") => NO_SERVICE,
        Some("NoReply" | "Timeout" | "TimedOut" | "Disconnected" | "NoSession") => WENT_AWAY,
        Some("LimitsExceeded" | "NoMemory") => "the session bus is overloaded",
        Some("AccessDenied") => "the app may not use the Secret Service",
        Some("UnknownObject" | "UnknownMethod" | "NoSuchObject") => "the entry went away while it was used",
        _ => "the Secret Service refused",
    }
}

fn of_the_system(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => "the system is out of threads or memory",
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NO_BUS,
        io::ErrorKind::TimedOut => WENT_AWAY,
        _ => "the connection to the session bus broke",
    }
}

fn owner(bus: &Connection) -> zbus::Result<OwnedUniqueName> {
    Ok(DBusProxy::new(bus)?.get_name_owner(NAME.into())?)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> KeyringError {
    KeyringError::PlatformFailure(Box::new(error))
}

fn unavailable(error: zbus::Error) -> StoreError {
    StoreError::Unavailable(of_the_bus(&error))
}
