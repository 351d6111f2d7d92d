//! The one place where a sign-in result, in either of OTPless's dialects, becomes our three values.
//!
//! The web SDK nests it (`response.sessionInfo`), the mobile SDKs do not; both call different things
//! `sessionToken`. What a field *is* decides, not only what it is called: a JWT has two dots, a session id has none.

use std::io::{self, Write};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    secret::{RefreshToken, SessionId, SessionToken, Tokens},
    wiped_json::{WipedObject, wipe},
};

/// Largest sign-in result that is looked at, as JSON.
pub const MAX_SIGN_IN_BYTES: usize = 16 * 1024;

/// Longest `state` kept from a mobile sign-in.
const MAX_STATE_BYTES: usize = 1024;

/// Longest session id; OTPless's have 32 characters.
const MAX_SESSION_ID_BYTES: usize = 256;

/// A sign-in result in our own names, not verified yet.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The three values.
    pub tokens: Tokens,
    /// The mobile SDKs' `state`, sent back with every v4 call.
    pub state: Option<String>,
    /// What the dialect calls the session JWT, for errors that name a field.
    pub(crate) session_token_field: &'static str,
}

impl SignIn {
    /// Reads a sign-in result in the web or the mobile dialect, nested or bare.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` with a message that names the field.
    pub fn from_json(result: Value) -> Result<Self> {
        // A refused one may hold good tokens, and an accepted one holds more than is taken out of it.
        let mut result = match result {
            Value::Object(fields) => WipedObject(fields),
            mut other => {
                wipe(&mut other);
                return Err(invalid(
                    "result",
                    "is not an object; pass what the OTPless SDK handed to your callback",
                ));
            }
        };
        if json_len(&result.0) > MAX_SIGN_IN_BYTES {
            return Err(invalid("result", "is larger than 16 KiB"));
        }
        Self::from_object(unnest(&mut result.0)?)
    }

    fn from_object(fields: &mut Map<String, Value>) -> Result<Self> {
        let (id_field, token_field) = if fields.contains_key("sessionTokenJWT") {
            ("sessionToken", "sessionTokenJWT")
        } else if fields.contains_key("sessionId") {
            ("sessionId", "sessionToken")
        } else if fields.contains_key("sessionToken") {
            // Without a second field the dialect shows in what the one value is.
            match fields.get("sessionToken").and_then(Value::as_str) {
                Some(value) if looks_like_jwt(value) => ("sessionId", "sessionToken"),
                _ => ("sessionToken", "sessionTokenJWT"),
            }
        } else {
            return Err(invalid(
                "result",
                "is in neither of OTPless's dialects: it has neither sessionId and sessionToken nor sessionToken \
                 and sessionTokenJWT. Is session management turned on in the OTPless dashboard?",
            ));
        };
        let session_id = take(fields, id_field)?;
        let session_token = take(fields, token_field)?;
        let refresh_token = take(fields, "refreshToken")?;
        if session_id.len() > MAX_SESSION_ID_BYTES
            || !session_id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Err(invalid(id_field, "is not a session id"));
        }
        if !looks_like_jwt(&session_token) {
            return Err(invalid(token_field, "is not a JWT"));
        }
        if !looks_like_jwt(&refresh_token) {
            return Err(invalid("refreshToken", "is not a JWT"));
        }
        Ok(Self {
            state: take_state(fields)?,
            tokens: Tokens {
                session_id: SessionId::new(session_id),
                session_token: SessionToken::new(session_token),
                refresh_token: RefreshToken::new(refresh_token),
            },
            session_token_field: token_field,
        })
    }
}

/// What has the tokens in it. Not if the sign-in has failed by what any level says.
fn unnest(mut result: &mut Map<String, Value>) -> Result<&mut Map<String, Value>> {
    succeeded(result)?;
    for outer in ["response", "sessionInfo"] {
        if matches!(result.get(outer), Some(Value::Null) | None) {
            continue;
        }
        let Some(Value::Object(inner)) = result.get_mut(outer) else {
            return Err(invalid(outer, "is not an object"));
        };
        succeeded(inner)?;
        result = inner;
    }
    Ok(result)
}

fn succeeded(fields: &Map<String, Value>) -> Result<()> {
    if fields.get("success") == Some(&Value::Bool(false)) {
        return Err(invalid("success", "is false: the sign-in failed and there is no session to start"));
    }
    Ok(())
}

fn take(fields: &mut Map<String, Value>, name: &'static str) -> Result<Zeroizing<String>> {
    match fields.get_mut(name) {
        Some(Value::String(value)) if !value.is_empty() => Ok(Zeroizing::new(std::mem::take(value))),
        Some(Value::String(_)) => Err(invalid(name, "is empty")),
        Some(Value::Null) | None => Err(invalid(name, "is missing")),
        Some(_) => Err(invalid(name, "is not a string")),
    }
}

fn take_state(fields: &mut Map<String, Value>) -> Result<Option<String>> {
    match fields.get_mut("state") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(state)) if state.is_empty() => Ok(None),
        Some(Value::String(state))
            if state.len() <= MAX_STATE_BYTES && state.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(Some(std::mem::take(state)))
        }
        Some(_) => Err(invalid("state", "is not a short string of printable characters")),
    }
}

fn looks_like_jwt(value: &str) -> bool {
    value.bytes().filter(|b| *b == b'.').count() == 2
}

fn invalid(field: &str, what: &str) -> Error {
    Error::invalid_argument(format!(
        "{field} {what}. Nothing was stored; a session that existed is unchanged"
    ))
}

fn json_len(fields: &Map<String, Value>) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            self.0 += part.len();
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Depth is bounded: it came out of a parser with a limit.
    match serde_json::to_writer(&mut counter, fields) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn web() -> Value {
        json!({"success": true, "sessionId": ID, "sessionToken": "h.p.s", "refreshToken": "h.r.s"})
    }

    fn mobile() -> Value {
        json!({"sessionToken": ID, "sessionTokenJWT": "h.p.s", "refreshToken": "h.r.s"})
    }

    #[test]
    fn both_dialects_bare_and_nested_give_the_same_values() {
        let expected = SignIn::from_json(web()).unwrap().tokens;
        assert_eq!(expected.session_id.expose(), ID);
        assert_eq!(expected.session_token.expose(), "h.p.s");
        let mut with_id_beside = mobile();
        with_id_beside["sessionId"] = ID.into();
        for other in [
            mobile(),
            with_id_beside,
            json!({"sessionInfo": web(), "token": "x"}),
            json!({"responseType": "ONETAP", "response": {"status": "SUCCESS", "sessionInfo": web()}}),
            json!({"response": {"sessionInfo": mobile()}}),
        ] {
            assert_eq!(SignIn::from_json(other.clone()).unwrap().tokens, expected, "{other}");
        }
    }

    #[test]
    fn every_missing_or_wrong_field_is_named() {
        let with = |mut base: Value, field: &str, value: Value| {
            base[field] = value;
            base
        };
        for (input, field) in [
            (json!(null), "result"),
            (json!([web()]), "result"),
            (json!({}), "result"),
            (json!({"sessionInfo": "x"}), "sessionInfo"),
            (with(web(), "success", false.into()), "success"),
            (json!({"success": false, "response": {"sessionInfo": web()}}), "success"),
            (json!({"response": {"success": false, "sessionInfo": mobile()}}), "success"),
            (with(web(), "sessionId", Value::Null), "sessionId"),
            (with(web(), "sessionId", "../x".into()), "sessionId"),
            (with(web(), "sessionToken", 1.into()), "sessionToken"),
            (with(web(), "sessionToken", ID.into()), "sessionToken"),
            (with(web(), "refreshToken", "".into()), "refreshToken"),
            (with(web(), "refreshToken", "opaque".into()), "refreshToken"),
            (with(mobile(), "sessionTokenJWT", Value::Null), "sessionTokenJWT"),
            (json!({"sessionToken": ID, "refreshToken": "h.r.s"}), "sessionTokenJWT"),
            (json!({"sessionToken": "h.p.s", "refreshToken": "h.r.s"}), "sessionId"),
            (with(web(), "state", "a\r\nb".into()), "state"),
            (with(web(), "padding", "x".repeat(MAX_SIGN_IN_BYTES).into()), "result"),
        ] {
            let error = SignIn::from_json(input.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.message().starts_with(&format!("{field} ")), "{input}: {error}");
            assert!(!error.message().contains(ID), "{error}");
        }
    }

    #[test]
    fn the_mobile_state_is_kept_for_the_header() {
        let mut result = mobile();
        result["state"] = "s-1".into();
        assert_eq!(SignIn::from_json(result).unwrap().state.as_deref(), Some("s-1"));
    }
}
