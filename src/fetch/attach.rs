//! The session in a request, and the secrets that must not come back in an answer.

use std::fmt;

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    api::http::bytes_of,
    error::{Error, Result},
    session::credential::Credential,
};

/// How a request carries the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attach {
    /// `Authorization: Bearer <session token>`.
    #[default]
    Bearer,
    /// A cookie.
    Cookie {
        /// Its name.
        name: String,
        /// What it holds.
        value: CookieValue,
    },
}

/// Which value of the session a cookie holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum CookieValue {
    /// The opaque id. A backend asks OTPless about it.
    SessionId,
    /// The session JWT. A backend can verify it by itself.
    SessionToken,
}

impl Attach {
    /// Whether a request carries something else once the token has been renewed.
    pub(crate) fn changes_with_the_token(&self) -> bool {
        !matches!(self, Self::Cookie { value: CookieValue::SessionId, .. })
    }

    /// Puts the session into `headers`, and notes in `secrets` what was put there. Another `Authorization` is replaced,
    /// so is a cookie of the same name; other cookies stay.
    ///
    /// # Errors
    ///
    /// `Internal` if the value cannot stand in a header, which no value that OTPless issues does.
    pub(crate) fn put(
        &self,
        credential: &Credential,
        headers: &mut HeaderMap,
        secrets: &mut Secrets,
    ) -> Result<()> {
        match self {
            Self::Bearer => {
                let token = credential.token.expose();
                headers.insert(AUTHORIZATION, sensitive(&["Bearer ", token])?);
                secrets.note(token);
            }
            Self::Cookie { name, value } => {
                let value = match value {
                    CookieValue::SessionId => credential.session_id.expose(),
                    CookieValue::SessionToken => credential.token.expose(),
                };
                if !value.bytes().all(is_cookie_octet) {
                    return Err(unfit());
                }
                let others = other_cookies(headers, name);
                let others = others.as_deref().map_or("", String::as_str);
                let between = if others.is_empty() { "" } else { "; " };
                headers.insert(COOKIE, sensitive(&[others, between, name, "=", value])?);
                secrets.note(value);
            }
        }
        Ok(())
    }
}

/// The cookies of `headers` but for the one of that name.
fn other_cookies(headers: &HeaderMap, name: &str) -> Option<Zeroizing<String>> {
    let mut others = Zeroizing::new(String::new());
    for line in headers.get_all(COOKIE) {
        for cookie in line.to_str().ok()?.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()) {
            if cookie.split('=').next().is_some_and(|other| other.trim() != name) {
                if !others.is_empty() {
                    others.push_str("; ");
                }
                others.push_str(cookie);
            }
        }
    }
    Some(others)
}

/// A value that is neither printed nor put into HTTP/2's table of known headers, and wiped when it is dropped.
fn sensitive(parts: &[&str]) -> Result<HeaderValue> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    let mut value = HeaderValue::from_maybe_shared(bytes_of(bytes)).map_err(|_| unfit())?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 6265 §4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn unfit() -> Error {
    Error::internal(
        "the session cannot stand in a header of a request; nothing was sent. The session is kept",
    )
}

/// What the requests of one call have carried.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Zeroizing<String>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    fn note(&mut self, secret: &str) {
        if !self.0.iter().any(|known| known.as_str() == secret) {
            self.0.push(Zeroizing::new(secret.to_owned()));
        }
    }

    /// Whether one of them stands in `text`, as it is or percent-encoded.
    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        let decoded: Zeroizing<Vec<u8>> = Zeroizing::new(percent_encoding::percent_decode(text).collect());
        self.0.iter().any(|secret| {
            let secret = secret.as_bytes();
            !secret.is_empty()
                && [text, &decoded].iter().any(|text| text.windows(secret.len()).any(|part| part == secret))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(attach: &Attach, mut headers: HeaderMap) -> (HeaderMap, Secrets) {
        let credential = Credential::for_tests("0123abcd", "canary.token.sig");
        let mut secrets = Secrets::default();
        attach.put(&credential, &mut headers, &mut secrets).expect("fit for a header");
        (headers, secrets)
    }

    fn cookie(name: &str, value: CookieValue) -> Attach {
        Attach::Cookie { name: name.into(), value }
    }

    fn with(name: reqwest::header::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a2_the_session_is_a_bearer_token_or_a_cookie_and_marked_sensitive() {
        for (attach, name, value) in [
            (Attach::Bearer, AUTHORIZATION, "Bearer canary.token.sig"),
            (cookie("s", CookieValue::SessionToken), COOKIE, "s=canary.token.sig"),
            (cookie("s", CookieValue::SessionId), COOKIE, "s=0123abcd"),
        ] {
            let (headers, secrets) = put(&attach, HeaderMap::new());
            assert_eq!(headers.len(), 1);
            assert_eq!(headers[&name], value);
            assert!(headers[&name].is_sensitive());
            assert!(!format!("{headers:?} {secrets:?}").contains("canary"));
        }
    }

    #[test]
    fn what_stood_in_its_place_is_replaced_and_other_cookies_stay() {
        let (headers, _) = put(&Attach::Bearer, with(AUTHORIZATION, &["Basic x", "Bearer y"]));
        let values: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        assert_eq!(values, ["Bearer canary.token.sig"]);
        let before = with(COOKIE, &["a=1; s=old; b=2", "s =older;ss=3"]);
        let attach = cookie("s", CookieValue::SessionId);
        let (headers, _) = put(&attach, before);
        let values: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(values, ["a=1; b=2; ss=3; s=0123abcd"]);
    }

    #[test]
    fn a_secret_is_known_again_as_it_is_and_percent_encoded() {
        let (_, secrets) = put(&Attach::Bearer, HeaderMap::new());
        for text in ["canary.token.sig", "x=canary%2Etoken%2esig&y", "Bearer canary.token.sig"] {
            assert!(secrets.are_in(text.as_bytes()), "{text}");
        }
        for text in ["", "canary.token", "0123abcd", "CANARY"] {
            assert!(!secrets.are_in(text.as_bytes()), "{text}");
        }
        assert!(!Secrets::default().are_in(b"anything"));
    }

    #[test]
    fn a_value_that_would_be_two_cookies_is_not_sent() {
        let credential = Credential::for_tests("id; admin=1", "t\r\nx: y");
        for attach in
            [cookie("s", CookieValue::SessionId), cookie("s", CookieValue::SessionToken), Attach::Bearer]
        {
            let mut headers = HeaderMap::new();
            let error = attach.put(&credential, &mut headers, &mut Secrets::default()).unwrap_err();
            assert!(!error.message().contains("admin") && headers.is_empty(), "{error}");
        }
    }
}
