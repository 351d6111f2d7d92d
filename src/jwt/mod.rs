//! Whether a token is genuine: RS256 with a key of OTPless's own, and nothing else.
//!
//! [`verify`] decides, in numbered steps, the first five of them in [`jws`]; [`jwk`] says what a key must be like,
//! [`jwks`] keeps the keys, and [`discovery`] says where they are to be had. The split in [`TokenVerifier`] follows the
//! network: checking a token with the keys at hand is a pure function, fetching keys is not.

mod discovery;
mod jwk;
pub(crate) mod jwks;
mod jws;
pub(crate) mod strict_json;
#[cfg(test)]
mod vectors;
pub(crate) mod verify;

use std::{fmt, time::Duration};

pub use discovery::KeySource;
pub use jwks::JwksVerifier;
pub(crate) use jws::MAX_TOKEN_BYTES;
pub use verify::{Claims, Expected};

use crate::{BoxFuture, clock::ServerDate, error::Error};

/// Checks tokens. The real one is [`JwksVerifier`].
pub trait TokenVerifier: fmt::Debug + Send + Sync + 'static {
    /// Checks `token` with the keys at hand; never touches the network.
    ///
    /// Everything but time is decided here; whether the token is valid *now* is asked of the [`Claims`], each time
    /// they are looked at, with the injected clock.
    ///
    /// # Errors
    ///
    /// [`Unverified::UnknownKey`] if a newer key set might settle it, [`Unverified::Invalid`] if nothing can.
    fn verify(&self, token: &str) -> Result<Claims, Unverified>;

    /// Fetches the key set, at most once per cooldown whatever the number of callers.
    ///
    /// # Errors
    ///
    /// `Network` or `Server` if there is no newer set to be had now, `InvalidConfig` if the setting that says where
    /// leads to another issuer's; the old keys stay usable.
    fn fetch_keys(&self) -> BoxFuture<'_, Result<Fetched, Error>>;

    /// Whether the keys at hand are due for a routine renewal.
    fn keys_are_due(&self) -> bool;

    /// Whether the keys at hand came from the issuer in this run. Kept ones come from a file that other programs, and
    /// pages with a permission for tauri-plugin-store, can write: enough to show a stored session again without a
    /// network, not enough to begin a session or to end one.
    fn keys_are_first_hand(&self) -> bool;
}

/// What a key fetch brought beside the keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fetched {
    /// Whether a request was made; not within the cooldown of the one before.
    pub fetched: bool,
    /// The server's `Date`, from which clock skew is learned. `None` if no request was made or it had none.
    pub server_date: Option<ServerDate>,
    /// If no request was made: how long the next one has to wait.
    pub held_for: Option<Duration>,
}

/// Why a token did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It names a key that is not at hand.
    UnknownKey,
    /// It is not genuine, or not for us. The reason names the check, never the content.
    Invalid(&'static str),
}

impl Unverified {
    /// It has the shape of a token and another signature than its key's: what a wrong key makes of a genuine one.
    pub(crate) const BAD_SIGNATURE: Self = Self::Invalid("has a signature that does not match");
}
