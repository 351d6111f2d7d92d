//! The checks a token must pass, numbered in the order they are made: steps 1 to 5, the signature, in [`jws`], steps 6 to
//! 10, the claims, here.
//!
//! Shape comes before meaning and the signature before every claim (requirement B4): [`Claims`] has no public
//! constructor, so holding one *is* the proof. The claims are checked here and not by jsonwebtoken, whose checks accept a
//! missing issuer and `exp = u64::MAX`, and panic on a clock before 1970.

use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Unverified, jwk::RsaKey, jws, strict_json};
use crate::{clock::Timestamp, wiped_json::WipedObject};

/// Tolerated difference between our clock and the issuer's for `exp` and `nbf`: 60 s, as OTPless documents.
pub(crate) const LEEWAY: Duration = Duration::from_secs(60);

/// Largest acceptable `NumericDate`, 31 December 9999 in seconds; anything beyond is not a date but an attack.
const MAX_NUMERIC_DATE: i64 = 253_402_300_799;

/// Whom tokens must come from and be for.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The `iss` every token must carry, to the letter.
    pub issuer: String,
    /// The app id that `aud`, where present, must equal without case.
    pub app_id: String,
}

/// What a verified token says. Only [`TokenVerifier`](super::TokenVerifier)s make these (requirement B4): nobody else can
/// name the fields, and there is no other way to one.
///
/// ```compile_fail
/// # use tauri_plugin_otpless::engine::Claims;
/// fn forged(genuine: Claims) -> Claims {
///     Claims { ..genuine }
/// }
/// ```
///
/// The same with what is allowed:
///
/// ```
/// # use tauri_plugin_otpless::engine::Claims;
/// fn handed_on(genuine: Claims) -> Claims {
///     genuine.clone()
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    session_id: Zeroizing<String>,
    user_id: String,
    issued_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    expires_at: Timestamp,
    name: Option<String>,
    email: Option<String>,
    phone_number: Option<String>,
}

// Who somebody is does not belong into a log either.
impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Claims {
    /// The opaque session id the token belongs to (`sub`). A credential: see [`SessionId`](crate::secret::SessionId).
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// OTPless's id of the user (`MO-` and 32 hex characters).
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// When the token was issued, where it says so.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// When the token expires.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The user's name, where known.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The user's e-mail address, where known.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The user's phone number, where known.
    pub fn phone_number(&self) -> Option<&str> {
        self.phone_number.as_deref()
    }

    /// Whether the token is inside its time at `now`, without tolerance: what "active" means.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        now < self.expires_at && self.not_before.is_none_or(|from| now + LEEWAY >= from)
    }

    /// Whether a token just received is acceptable at `now`, with 60 s of tolerance.
    pub fn is_acceptable_at(&self, now: Timestamp) -> bool {
        self.is_valid_at(now - LEEWAY) || self.is_valid_at(now)
    }

    /// Whether both belong to one user and one session (requirement B9).
    pub fn same_session(&self, other: &Self) -> bool {
        self.user_id == other.user_id && self.session_id == other.session_id
    }
}

/// Steps 1 to 10. `key` finds a key by `kid`.
pub(crate) fn verify(
    token: &str,
    expected: &Expected,
    key: impl FnOnce(&str) -> Option<RsaKey>,
) -> Result<Claims, Unverified> {
    // 1 to 5. The signature.
    let payload = jws::payload(token, key)?;

    // 6. The payload. It names the session, which is a credential: nothing of it is left in memory but what `Claims` takes over.
    let payload = strict_json::object(&payload)
        .map(WipedObject)
        .map_err(|_| Unverified::Invalid("has a payload that is not one JSON object"))?;
    let payload = &payload.0;

    // 7. The issuer, exactly.
    if payload.get("iss").and_then(Value::as_str) != Some(&expected.issuer) {
        return Err(Unverified::Invalid("is from another issuer"));
    }

    // 8. The times: right types always, `exp` required.
    let expires_at = numeric_date(payload, "exp")?.ok_or(Unverified::Invalid("has no exp"))?;
    let not_before = numeric_date(payload, "nbf")?;
    let issued_at = numeric_date(payload, "iat")?;

    // 9. The audience, where there is one: OTPless's session tokens carry none, its SDKs compare without case.
    check_audience(payload.get("aud"), &expected.app_id)?;

    // 10. Whose it is.
    let session_id = string(payload, "sub")?.ok_or(Unverified::Invalid("has no sub"))?;
    if string(payload, "sessionId")?.is_some_and(|id| id != session_id) {
        return Err(Unverified::Invalid("names two sessions"));
    }
    let user_id = string(payload, "userId")?.ok_or(Unverified::Invalid("has no userId"))?;

    Ok(Claims {
        session_id: Zeroizing::new(session_id.to_owned()),
        user_id: user_id.to_owned(),
        issued_at,
        not_before,
        expires_at,
        name: string(payload, "name")?.map(str::to_owned),
        email: string(payload, "email")?.map(str::to_owned),
        phone_number: string(payload, "phone_number")?.map(str::to_owned),
    })
}

fn numeric_date(payload: &Map<String, Value>, claim: &str) -> Result<Option<Timestamp>, Unverified> {
    let Some(value) = payload.get(claim) else { return Ok(None) };
    // RFC 7519 allows fractions; OTPless sends whole seconds and nothing else is accepted.
    match value.as_i64() {
        Some(seconds) if (0..=MAX_NUMERIC_DATE).contains(&seconds) => Ok(Some(Timestamp::from_secs(seconds))),
        _ => Err(Unverified::Invalid("has a time that is not a whole number of seconds")),
    }
}

fn string<'a>(payload: &'a Map<String, Value>, claim: &str) -> Result<Option<&'a str>, Unverified> {
    match payload.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) if !value.is_empty() => Ok(Some(value)),
        Some(Value::String(_)) => Ok(None),
        Some(_) => Err(Unverified::Invalid("has a claim of the wrong type")),
    }
}

fn check_audience(aud: Option<&Value>, app_id: &str) -> Result<(), Unverified> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|aud| aud.eq_ignore_ascii_case(app_id));
    let accepted = match aud {
        None => true,
        Some(Value::Array(list)) => list.iter().any(is_ours),
        Some(value) => is_ours(value),
    };
    if accepted { Ok(()) } else { Err(Unverified::Invalid("is for another app")) }
}
