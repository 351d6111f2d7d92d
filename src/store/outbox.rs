//! Revocations that could not be delivered yet: the session id, which names the session to OTPless, and when it
//! stops to matter. Nothing else of an ended session is kept.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::text::{self, Unreadable};
use crate::{clock::Timestamp, secret::SessionId};

const NAME: &str = "revocations";
const VERSION: u32 = 1;

/// Most revocations kept; beyond it the oldest is dropped. More means sign-ins without a network, again and again.
pub(crate) const MAX_REVOCATIONS: usize = 16;

/// The longest list that is kept, in bytes: what Windows' Credential Manager takes (`CRED_MAX_CREDENTIAL_BLOB_SIZE`). Ids as long as
/// those that OTPless gives leave room for all; with longer ones the oldest go earlier.
const MAX_BYTES: usize = 2560;

/// A session that is over here and may not be over on the server yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// The session to end.
    pub session_id: SessionId,
    /// When every refresh token that it can have has expired, and it is over by itself.
    pub expires_at: Timestamp,
    /// Noted before another session took its place: it is over only if that has come to pass.
    pub if_replaced: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<T> {
    session_id: T,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    if_replaced: bool,
}

pub(crate) fn to_bytes(revocations: &[Revocation]) -> Zeroizing<Vec<u8>> {
    let entries: Vec<_> = revocations
        .iter()
        .map(|r| Entry {
            session_id: r.session_id.expose(),
            expires_at: r.expires_at,
            if_replaced: r.if_replaced,
        })
        .collect();
    text::seal(NAME, VERSION, 64 + entries.len() * 512, &entries)
}

pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Vec<Revocation>, Unreadable> {
    let entries: Vec<Entry<Zeroizing<String>>> = text::open(NAME, VERSION, bytes)?;
    Ok(entries
        .into_iter()
        .take(MAX_REVOCATIONS)
        .map(|e| Revocation {
            session_id: SessionId::new(e.session_id),
            expires_at: e.expires_at,
            if_replaced: e.if_replaced,
        })
        .collect())
}

/// Adds `new` unless it stands there as surely, dropping the oldest beyond [`MAX_REVOCATIONS`] and what no keychain would take.
/// Answers whether that changed anything.
pub(crate) fn add(revocations: &mut Vec<Revocation>, new: Revocation) -> bool {
    if let Some(known) = revocations.iter_mut().find(|r| r.session_id == new.session_id) {
        let before = known.clone();
        known.if_replaced &= new.if_replaced;
        // It may have been refreshed since.
        known.expires_at = known.expires_at.max(new.expires_at);
        return *known != before;
    }
    if revocations.len() >= MAX_REVOCATIONS {
        revocations.remove(0);
    }
    revocations.push(new);
    shorten(revocations);
    true
}

fn shorten(revocations: &mut Vec<Revocation>) {
    while revocations.len() > 1 && to_bytes(revocations).len() > MAX_BYTES {
        revocations.remove(0);
    }
}

/// Somebody has signed in to a session again: what is noted of its end is from here on for the case that its entry comes to
/// nothing. Answers whether that changed anything.
pub(crate) fn doubt(revocations: &mut Vec<Revocation>, again: &SessionId) -> bool {
    let sure = revocations.iter().position(|noted| noted.session_id == *again && !noted.if_replaced);
    let Some(sure) = sure else { return false };
    let noted = revocations.remove(sure);
    revocations.push(Revocation { if_replaced: true, ..noted });
    shorten(revocations);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(n: usize) -> Revocation {
        Revocation {
            session_id: format!("{n:032x}").as_str().into(),
            expires_at: Timestamp(n as i64),
            if_replaced: true,
        }
    }

    #[test]
    fn revocations_survive_the_keychain_once_each_and_bounded() {
        let mut list = Vec::new();
        for n in 0..MAX_REVOCATIONS + 2 {
            assert!(add(&mut list, revocation(n)));
            assert!(!add(&mut list, revocation(n)));
        }
        assert_eq!(list.len(), MAX_REVOCATIONS);
        assert_eq!(list[0], revocation(2));
        let bytes = to_bytes(&list);
        assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
        assert_eq!(from_bytes(&bytes), Ok(list));
        assert_eq!(from_bytes(&bytes[..40]), Err(Unreadable::Corrupt));
    }

    #[test]
    fn ids_of_any_length_leave_the_latest_that_a_keychain_takes() {
        let long =
            |n: usize| Revocation { session_id: format!("{n:0256x}").as_str().into(), ..revocation(n) };
        let mut list = Vec::new();
        for n in 0..MAX_REVOCATIONS {
            assert!(add(&mut list, long(n)));
            assert!(to_bytes(&list).len() <= MAX_BYTES);
            let mut doubted = vec![Revocation { if_replaced: false, ..long(n) }];
            doubted.extend(list.iter().filter(|noted| **noted != long(n)).cloned());
            assert!(doubt(&mut doubted, &long(n).session_id) && to_bytes(&doubted).len() <= MAX_BYTES);
            assert_eq!(doubted.last(), Some(&long(n)));
            assert_eq!(list.last(), Some(&long(n)));
        }
        assert!(list.len() >= 5, "{} of them", list.len());
    }

    #[test]
    fn what_was_only_planned_gives_way_to_what_has_come_to_pass() {
        let sure = Revocation { if_replaced: false, expires_at: Timestamp(9), ..revocation(1) };
        let mut list = vec![revocation(1)];
        assert!(add(&mut list, sure.clone()));
        assert!(!add(&mut list, revocation(1)));
        assert_eq!(list, std::slice::from_ref(&sure), "with the later end: it was refreshed in between");
        assert!(!doubt(&mut list, &revocation(2).session_id));
        assert!(doubt(&mut list, &sure.session_id) && !doubt(&mut list, &sure.session_id));
        assert!(add(&mut list, sure.clone()), "ended once more");
        assert_eq!(list, [sure]);
    }
}
