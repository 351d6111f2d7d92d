//! The frame around every stored value: `otpless-NAME/VERSION LENGTH DIGEST` on a line, then JSON of that length.
//!
//! Text and not binary because KWallet keeps only UTF-8; a length and a digest because stored bytes are untrusted
//! input (requirement A4) and a value that was cut short or half overwritten must not be taken for a session.

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::digest::short_digest;

/// Bytes of SHA-256 that stand in the header, in hex: enough against accidents. Against forgery nothing helps here: who can
/// write the keychain can compute any digest.
const DIGEST_BYTES: usize = 8;

/// Why stored bytes are not what we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Cut short, half overwritten, or something else altogether.
    Corrupt,
    /// Written by a newer version of the plugin.
    FromTheFuture,
}

pub(super) fn seal(name: &str, version: u32, capacity: usize, body: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // Big enough from the start: growing would leave unwiped copies behind.
    let mut json = Zeroizing::new(Vec::with_capacity(capacity));
    serde_json::to_writer(&mut *json, body)
        .unwrap_or_else(|_| unreachable!("strings and numbers always serialise"));
    let header =
        format!("otpless-{name}/{version} {} {}\n", json.len(), short_digest(&[&json], DIGEST_BYTES));
    let mut sealed = Zeroizing::new(Vec::with_capacity(header.len() + json.len()));
    sealed.extend_from_slice(header.as_bytes());
    sealed.extend_from_slice(&json);
    sealed
}

pub(super) fn open<T: DeserializeOwned>(name: &str, version: u32, bytes: &[u8]) -> Result<T, Unreadable> {
    let end = bytes.iter().take(128).position(|b| *b == b'\n').ok_or(Unreadable::Corrupt)?;
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| Unreadable::Corrupt)?;
    let body = &bytes[end + 1..];
    let mut parts = header.split(' ');
    let (Some(kind), Some(length), Some(digest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unreadable::Corrupt);
    };
    let found: u32 = kind
        .strip_prefix("otpless-")
        .and_then(|kind| kind.strip_prefix(name))
        .and_then(|kind| kind.strip_prefix('/'))
        .and_then(|found| found.parse().ok())
        .filter(|found| *found > 0)
        .ok_or(Unreadable::Corrupt)?;
    // Length and digest hold for every version, so a future one is told from a damaged one.
    if length.parse() != Ok(body.len()) || digest != short_digest(&[body], DIGEST_BYTES) {
        return Err(Unreadable::Corrupt);
    }
    if found > version {
        return Err(Unreadable::FromTheFuture);
    }
    serde_json::from_slice(body).map_err(|_| Unreadable::Corrupt)
}
