//! The four calls, and what of a client's request is passed on: one field, if it can be what it should be.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Longest token; the plugin takes none that is longer.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Longest body: the longest token in its JSON, and nothing beside it.
pub(crate) const MAX_BODY_BYTES: usize = MAX_TOKEN_BYTES + 256;

/// Longest opaque session id; OTPless's have 32 characters.
const MAX_ID_BYTES: usize = 256;

/// A call of v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Is the session good?
    ValidateSession,
    /// A new session token for a refresh token.
    GetNewSessionToken,
    /// Who, from where, since when.
    GetSessionDetails,
    /// End the session.
    RevokeSession,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ValidateSession, Self::GetNewSessionToken, Self::GetSessionDetails, Self::RevokeSession];

    /// Its path, here as at OTPless.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::ValidateSession => "/v1/sessions/validate-session",
            Self::GetNewSessionToken => "/v1/sessions/get-new-session-token",
            Self::GetSessionDetails => "/v1/sessions/get-session-details",
            Self::RevokeSession => "/v1/sessions/revoke-session",
        }
    }

    fn field(self) -> &'static str {
        if self == Self::GetNewSessionToken { "refreshToken" } else { "sessionToken" }
    }

    /// The body for OTPless, made anew from the one field of `body` that belongs there.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without quoting it.
    pub(crate) fn body(self, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| "the body is not a JSON object")?;
        // Every text taken over, so that it is wiped like the body it came from, also that of a field which does not belong here.
        let texts: Vec<_> = fields
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, Some(Zeroizing::new(text))),
                _ => (name, None),
            })
            .collect();
        let token = match &*texts {
            [(name, Some(token))] if name == self.field() => token,
            _ => return Err("the body has other fields than the one of this call"),
        };
        if !(is_jwt(token) || self != Self::GetNewSessionToken && is_session_id(token)) {
            return Err("the value cannot be a token of OTPless");
        }
        // Nothing of it needs escaping.
        let mut out = Zeroizing::new(Vec::with_capacity(token.len() + 32));
        for part in ["{\"", self.field(), "\":\"", token, "\"}"] {
            out.extend_from_slice(part.as_bytes());
        }
        Ok(out)
    }
}

fn is_base64url(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_jwt(text: &str) -> bool {
    text.len() <= MAX_TOKEN_BYTES
        && text.split('.').count() == 3
        && text.split('.').all(|segment| !segment.is_empty() && is_base64url(segment))
}

fn is_session_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES && is_base64url(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_field_with_a_token_is_passed_on_and_nothing_else() {
        let id = "0123456789abcdef0123456789abcdef";
        for (call, body) in [
            (Call::ValidateSession, r#"{"sessionToken":"h.p.s"}"#.to_owned()),
            (Call::RevokeSession, format!(r#"{{"sessionToken":"{id}"}}"#)),
            (Call::GetSessionDetails, format!(r#"{{"sessionToken":"{id}"}}"#)),
            (Call::GetNewSessionToken, r#"{"refreshToken":"h.p.s"}"#.to_owned()),
        ] {
            assert_eq!(&**call.body(body.as_bytes()).unwrap(), body.as_bytes(), "{call:?}");
        }
        let spaced = br#" { "sessionToken" : "h.p.s" } "#;
        assert_eq!(&**Call::ValidateSession.body(spaced).unwrap(), br#"{"sessionToken":"h.p.s"}"#);
    }

    #[test]
    fn whatever_cannot_be_a_call_is_refused_and_not_quoted() {
        let long_jwt = format!(r#"{{"sessionToken":"h.p.{}"}}"#, "s".repeat(MAX_TOKEN_BYTES));
        let long_id = format!(r#"{{"sessionToken":"{}"}}"#, "a".repeat(MAX_ID_BYTES + 1));
        for body in [
            "",
            "canary",
            "[]",
            "\"canary\"",
            "{}",
            r#"{"refreshToken":"h.p.s"}"#,
            r#"{"sessionToken":""}"#,
            r#"{"sessionToken":"canary canary"}"#,
            r#"{"sessionToken":"h.p"}"#,
            r#"{"sessionToken":"h..s"}"#,
            r#"{"sessionToken":"h.p.s.x"}"#,
            r#"{"sessionToken":"h.p.\u00e9"}"#,
            r#"{"sessionToken":"a\"b"}"#,
            r#"{"sessionToken":1}"#,
            r#"{"sessionToken":null}"#,
            r#"{"sessionToken":["h.p.s"]}"#,
            r#"{"sessionToken":"h.p.s","clientSecret":"canary"}"#,
            r#"{"sessionToken":"h.p.s","token":"canary"}"#,
            &long_jwt,
            &long_id,
        ] {
            let why = Call::ValidateSession.body(body.as_bytes()).unwrap_err();
            assert!(!why.contains("canary"), "{why}");
        }
        for body in [r#"{"sessionToken":"h.p.s"}"#, r#"{"refreshToken":"0123456789abcdef"}"#] {
            assert!(Call::GetNewSessionToken.body(body.as_bytes()).is_err(), "{body}");
        }
    }
}
