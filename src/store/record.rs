//! The session as it stands in the keychain.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use super::text::Unreadable;
use super::{outbox::Revocation, text};
use crate::{
    clock::Timestamp,
    digest::short_digest,
    secret::{RefreshToken, SessionId, SessionToken, Tokens},
};

const NAME: &str = "session";

/// Version of the layout. A newer one is reported, kept and not touched.
pub const RECORD_VERSION: u32 = 1;

/// The life of a refresh token in OTPless's documentation, for one that was never verified.
const REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Names one sign-in for as long as it lasts, through every rotation. Not a secret: it tells two records apart
/// where a session id, which is a credential, must not stand.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignInId(String);

impl SignInId {
    /// The name of the sign-in with `session_id` that was accepted at `at`: half a digest, from which the session id
    /// cannot be had back. The time tells apart a session that is brought again after its end.
    pub(crate) fn new(session_id: &SessionId, at: Timestamp) -> Self {
        Self(short_digest(&[&at.0.to_be_bytes(), session_id.expose().as_bytes()], 16))
    }

    /// The one that is called so, by the word of another process.
    pub(crate) fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignInId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

/// Everything that must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Which sign-in this is.
    pub sign_in: SignInId,
    /// Counts the changes of the tokens; a writer that read an older count has lost the race.
    pub rotation: u64,
    /// Counts the exchanges alone, of which each spends the refresh token before: the tokens of a later one are newer, also
    /// where none of them could be verified yet.
    pub refreshes: u64,
    /// The three values.
    pub tokens: Tokens,
    /// Whose session it is, as verified at sign-in.
    pub user_id: String,
    /// When the user signed in; maximum lifetime counts from here.
    pub started_at: Timestamp,
    /// When the session token expires; `None` if it has not been verified yet.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token expires; `None` if it has not been verified yet.
    pub refresh_expires_at: Option<Timestamp>,
    /// Activity as known when this was written; the activity log may know of later.
    pub last_active_at: Timestamp,
    /// The mobile SDKs' `state`.
    pub state: Option<String>,
    /// The tokens before, if those that came in their place could not be verified then: they may turn out to be nobody's. Until
    /// the next exchange, which shows whose they are.
    pub proven: Option<Proven>,
}

/// The last tokens of the session that were used without a doubt, and that the server may still take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The session JWT.
    pub session_token: SessionToken,
    /// The refresh JWT.
    pub refresh_token: RefreshToken,
    /// When the session token expires.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token expires.
    pub refresh_expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProvenBody<T> {
    session_token: T,
    refresh_token: T,
    expires_at: Option<Timestamp>,
    refresh_expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<T> {
    sign_in: SignInId,
    rotation: u64,
    #[serde(default)]
    refreshes: u64,
    session_id: T,
    session_token: T,
    refresh_token: T,
    user_id: String,
    started_at: Timestamp,
    expires_at: Option<Timestamp>,
    refresh_expires_at: Option<Timestamp>,
    last_active_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<ProvenBody<T>>,
}

impl SessionRecord {
    /// Its tokens, or those before if these could not be verified so far.
    pub(crate) fn last_proven(&self) -> Proven {
        let is_verified = self.expires_at.is_some() && self.refresh_expires_at.is_some();
        self.proven.clone().filter(|_| !is_verified).unwrap_or_else(|| Proven {
            session_token: self.tokens.session_token.clone(),
            refresh_token: self.tokens.refresh_token.clone(),
            expires_at: self.expires_at,
            refresh_expires_at: self.refresh_expires_at,
        })
    }

    /// When the last refresh token expires that the server may still take; `None` if that is not known.
    pub(crate) fn last_expires_at(&self) -> Option<Timestamp> {
        match &self.proven {
            None => self.refresh_expires_at,
            Some(proven) => self.refresh_expires_at.map(|at| at.max(proven.refresh_expires_at.unwrap_or(at))),
        }
    }

    /// The record with the tokens before, counted on; `None` if there are none.
    pub(crate) fn with_proven(&self) -> Option<Self> {
        let Proven { session_token, refresh_token, expires_at, refresh_expires_at } = self.proven.clone()?;
        let session_id = self.tokens.session_id.clone();
        Some(Self {
            rotation: self.rotation.saturating_add(1),
            tokens: Tokens { session_id, session_token, refresh_token },
            expires_at,
            refresh_expires_at,
            proven: None,
            ..self.clone()
        })
    }

    /// Whether these tokens were issued after `other`'s: by a later exchange, or after the same one, in which case those that
    /// live longer are later. The rotation count does not tell, because a process that could not store counts on by
    /// itself.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        let age = |record: &Self| (record.refreshes, record.refresh_expires_at, record.expires_at);
        age(self) > age(other)
    }

    /// What tells the server that this session is over. It matters for longer than the refresh token lives: just before
    /// its end a process may have bought the next one, and died before it was stored.
    pub(crate) fn revocation(&self) -> Revocation {
        let expires_at = self.refresh_expires_at.unwrap_or(self.last_active_at + REFRESH_TOKEN_LIFE);
        // No token of a sign-in can live longer than from the sign-in to its own end.
        let life = expires_at.saturating_since(self.started_at);
        Revocation {
            session_id: self.tokens.session_id.clone(),
            expires_at: expires_at + life,
            if_replaced: false,
        }
    }

    /// The bytes for the keychain.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let Tokens { session_id, session_token, refresh_token } = &self.tokens;
        let body = Body {
            sign_in: self.sign_in.clone(),
            rotation: self.rotation,
            refreshes: self.refreshes,
            session_id: session_id.expose(),
            session_token: session_token.expose(),
            refresh_token: refresh_token.expose(),
            user_id: self.user_id.clone(),
            started_at: self.started_at,
            expires_at: self.expires_at,
            refresh_expires_at: self.refresh_expires_at,
            last_active_at: self.last_active_at,
            state: self.state.clone(),
            proven: self.proven.as_ref().map(|proven| ProvenBody {
                session_token: proven.session_token.expose(),
                refresh_token: proven.refresh_token.expose(),
                expires_at: proven.expires_at,
                refresh_expires_at: proven.refresh_expires_at,
            }),
        };
        let proven =
            body.proven.as_ref().map_or(0, |proven| proven.session_token.len() + proven.refresh_token.len());
        let capacity = 1024
            + body.session_id.len()
            + body.session_token.len()
            + body.refresh_token.len()
            + proven
            + 6 * (self.user_id.len() + self.state.as_ref().map_or(0, String::len));
        text::seal(NAME, RECORD_VERSION, capacity, &body)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`Unreadable`], for any other bytes whatsoever.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let body: Body<Zeroizing<String>> = text::open(NAME, RECORD_VERSION, bytes)?;
        // Nobody counts that far, and from there no writer could count on.
        if body.rotation == u64::MAX || body.refreshes == u64::MAX {
            return Err(Unreadable::Corrupt);
        }
        Ok(Self {
            sign_in: body.sign_in,
            rotation: body.rotation,
            refreshes: body.refreshes,
            tokens: Tokens {
                session_id: SessionId::new(body.session_id),
                session_token: SessionToken::new(body.session_token),
                refresh_token: RefreshToken::new(body.refresh_token),
            },
            user_id: body.user_id,
            started_at: body.started_at,
            expires_at: body.expires_at,
            refresh_expires_at: body.refresh_expires_at,
            last_active_at: body.last_active_at,
            state: body.state,
            proven: body.proven.map(|proven| Proven {
                session_token: SessionToken::new(proven.session_token),
                refresh_token: RefreshToken::new(proven.refresh_token),
                expires_at: proven.expires_at,
                refresh_expires_at: proven.refresh_expires_at,
            }),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> SessionRecord {
        SessionRecord {
            sign_in: SignInId::new(&"0123456789abcdef0123456789abcdef".into(), Timestamp(1)),
            rotation: 3,
            refreshes: 2,
            tokens: Tokens {
                session_id: "0123456789abcdef0123456789abcdef".into(),
                session_token: format!("h.{}.s", "p".repeat(740)).as_str().into(),
                refresh_token: format!("h.{}.r", "q".repeat(740)).as_str().into(),
            },
            user_id: "MO-fedcba9876543210fedcba9876543210".into(),
            started_at: Timestamp(1),
            expires_at: Some(Timestamp(2)),
            refresh_expires_at: None,
            last_active_at: Timestamp(4),
            state: Some("s\"\\".into()),
            proven: None,
        }
    }

    #[test]
    fn a_record_survives_the_keychain_and_fits_into_windows_credential_manager() {
        let record = sample();
        let bytes = record.to_bytes();
        assert_eq!(SessionRecord::from_bytes(&bytes), Ok(record));
        assert!(bytes.len() <= 2560, "{} bytes with tokens of the documented size", bytes.len());
        assert!(std::str::from_utf8(&bytes).is_ok(), "KWallet keeps only UTF-8");
    }

    #[test]
    fn c1_a_record_keeps_the_tokens_before_and_gives_them_back_as_newer() {
        let (before, came) = (sample(), "h.came.r");
        let tokens =
            Tokens { session_token: "h.came.s".into(), refresh_token: came.into(), ..sample().tokens };
        let unverified = SessionRecord {
            rotation: before.rotation + 1,
            refreshes: before.refreshes + 1,
            tokens,
            expires_at: None,
            refresh_expires_at: None,
            proven: Some(before.last_proven()),
            ..before.clone()
        };
        assert_eq!(SessionRecord::from_bytes(&unverified.to_bytes()).as_ref(), Ok(&unverified));
        assert_eq!(unverified.last_proven(), before.last_proven(), "not what was never verified");
        let (token, refresh) = (Some(Timestamp(5)), Some(Timestamp(6)));
        let verified = SessionRecord { expires_at: token, refresh_expires_at: refresh, ..unverified.clone() };
        assert_eq!(verified.last_proven().refresh_token.expose(), came);
        let again = unverified.with_proven().expect("they are there");
        assert_eq!((&again.tokens, again.expires_at), (&before.tokens, before.expires_at));
        assert!(again.rotation > unverified.rotation && !unverified.is_newer_than(&again));
        assert_eq!(before.with_proven(), None);
    }

    #[test]
    fn c4_of_two_records_that_were_never_verified_the_one_of_the_later_exchange_is_newer() {
        let unverified = SessionRecord { expires_at: None, refresh_expires_at: None, ..sample() };
        let later = SessionRecord { refreshes: 3, ..unverified.clone() };
        assert!(later.is_newer_than(&unverified) && !unverified.is_newer_than(&later));
        assert!(later.is_newer_than(&sample()), "also if the older one could be verified");
        let renewed = SessionRecord { expires_at: Some(Timestamp(3)), ..sample() };
        assert!(renewed.is_newer_than(&sample()) && later.is_newer_than(&renewed));
        assert!(
            !sample().is_newer_than(&SessionRecord { rotation: 1, ..sample() }),
            "not by what it counts alone"
        );
    }

    #[test]
    fn a4_every_cut_and_every_changed_byte_is_noticed() {
        let bytes = sample().to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(SessionRecord::from_bytes(&bytes[..end]), Err(Unreadable::Corrupt), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            // A changed version digit may read as a future one; it is never taken for a session.
            assert!(SessionRecord::from_bytes(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a4_a_newer_version_is_told_from_damage() {
        let newer = text::seal(NAME, RECORD_VERSION + 1, 64, &serde_json::json!({"anything": true}));
        assert_eq!(SessionRecord::from_bytes(&newer), Err(Unreadable::FromTheFuture));
        assert_eq!(
            SessionRecord::from_bytes(b"otpless-session/2 4 0000000000000000\n{}{}"),
            Err(Unreadable::Corrupt)
        );
    }

    /// A process that dies just after it bought a refresh token leaves a record whose own ends up to a life earlier.
    #[test]
    fn a9_a_revocation_matters_for_as_long_as_a_token_that_was_never_stored_can_live() {
        let day = |n: i64| Timestamp(n * 24 * 60 * 60 * 1000);
        let record = SessionRecord { started_at: day(100), refresh_expires_at: Some(day(107)), ..sample() };
        let bought_last = day(107) + Duration::from_secs(7 * 24 * 60 * 60);
        assert!(record.revocation().expires_at >= bought_last);
        let unverified = SessionRecord { refresh_expires_at: None, last_active_at: day(100), ..record };
        assert!(unverified.revocation().expires_at >= bought_last);
    }

    #[test]
    fn a2_debug_of_a_record_holds_no_token() {
        let record = sample();
        let record = SessionRecord { proven: Some(record.last_proven()), ..record };
        let printed = format!("{record:?}");
        let Tokens { session_id, session_token, refresh_token } = &record.tokens;
        for secret in [session_id.expose(), session_token.expose(), refresh_token.expose()] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
