//! The one question the keyring store does not answer: is the collection open at all?

use secret_service::{EncryptionType, Error, blocking::SecretService};

use super::StoreError;

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
