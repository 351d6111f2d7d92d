//! Extra headers for a relay: what an API gateway in front of it wants to see.

use std::{collections::BTreeMap, fmt};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

/// More than any gateway asks for.
const MAX_HEADERS: usize = 32;

/// Longest value; servers refuse the whole head at about twice as much.
const MAX_VALUE_BYTES: usize = 4096;

/// What is about one connection (RFC 9110 §7.6.1), about the body, or about where the call goes: all decided elsewhere.
const NOT_OURS_TO_SET: [&str; 12] = [
    "accept-encoding",
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `plugins.otpless.relayHeaders`: names and values. `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RelayHeaders(BTreeMap<String, String>);

impl RelayHeaders {
    /// These and one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// As they are sent, or what is wrong with them.
    pub(super) fn to_map(&self) -> Result<HeaderMap, String> {
        if self.0.len() > MAX_HEADERS {
            return Err(format!("has more than {MAX_HEADERS} headers"));
        }
        let mut headers = HeaderMap::with_capacity(self.0.len() + 1);
        for (name, value) in &self.0 {
            if is_clients(name) {
                return Err(format!(
                    "has {name:?}: everything in an app is public, so the relay must add OTPless's client id and \
                     secret itself"
                ));
            }
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
                return Err(format!("has {name:?}, which is no header name"));
            };
            if parsed.as_str().starts_with("content-") || NOT_OURS_TO_SET.contains(&parsed.as_str()) {
                return Err(format!(
                    "has {name:?}, which belongs to the connection or the body and is set for each call"
                ));
            }
            // The value itself stays out of the message: it may be a key.
            let printable = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            let good =
                !value.is_empty() && value.trim() == value && value.len() <= MAX_VALUE_BYTES && printable;
            let mut value = HeaderValue::from_str(value)
                .ok()
                .filter(|_| good)
                .ok_or_else(|| format!("has a value for {name:?} that cannot stand in a header"))?;
            value.set_sensitive(true);
            if headers.insert(parsed, value).is_some() {
                return Err(format!("has {name:?} twice, in different cases"));
            }
        }
        Ok(headers)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.to_map().map(drop)
    }
}

impl fmt::Debug for RelayHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether `name` is a spelling of OTPless's client id, or has one of a client secret in it, whatever stands around it.
pub(crate) fn is_clients(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    // API gateways have ids of clients as well (`X-IBM-Client-Id`, `CF-Access-Client-Id`); those are theirs.
    ["clientsecret", "otplesssecret"].iter().any(|secret| plain.contains(secret))
        || matches!(&*plain, "clientid" | "xclientid")
        || plain.contains("otpless") && plain.ends_with("clientid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{RelayApi, http::HttpClient},
        error::ErrorKind,
    };

    #[test]
    fn headers_a_gateway_wants_are_sent_as_they_are_and_marked_sensitive() {
        let headers = RelayHeaders::default().with("X-Api-Key", "k 1").with("authorization", "Bearer x");
        let map = headers.to_map().unwrap();
        assert_eq!(map.get("x-api-key").unwrap(), "k 1");
        assert!(map.values().all(HeaderValue::is_sensitive));
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn headers_that_are_not_the_apps_to_set_are_refused_by_name() {
        for name in [
            "clientId",
            "clientSecret",
            "client-secret",
            "X-Client-Id",
            "Connection",
            "Transfer-Encoding",
            "Content-Length",
            "content-type",
            "Host",
            "TE",
            "a b",
            "",
            "x:y",
        ] {
            let why = RelayHeaders::default().with(name, "v").to_map().unwrap_err();
            assert!(why.contains(&format!("{name:?}")), "{name}: {why}");
        }
    }

    #[test]
    fn a_client_secret_is_refused_under_every_name_and_the_error_says_why() {
        let relay = |name: &str| {
            let headers = RelayHeaders::default().with(name, "canary");
            let url = "https://backend.example".parse().unwrap();
            RelayApi::new(HttpClient::new().unwrap(), url, headers).map(drop)
        };
        for name in [
            "clientSecret",
            "CLIENTSECRET",
            "client_secret",
            "Client-Secret",
            "X-Client-Secret-Key",
            "x-otpless-client-secret-v2",
            "my_client_secret_header",
            "c-l-i-e-n-t-secret",
            "otplessSecret",
            "OTPLESS_SECRET",
            "x-otpless-secret-key",
            "X-Otpless-Client-Id",
        ] {
            let error = relay(name).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{name}");
            for said in [&*format!("{name:?}"), "relayHeaders", "public", "the relay must add"] {
                assert!(error.message().contains(said), "{name}: {error}");
            }
            assert!(!error.message().contains("canary"), "{error}");
        }
        for name in [
            "x-api-key",
            "x-client-identifier",
            "x-client-version",
            "x-secret-of-the-gateway",
            "X-IBM-Client-Id",
            "CF-Access-Client-Id",
            "x-otpless-app",
        ] {
            assert_eq!(relay(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn values_that_cannot_stand_in_a_header_are_refused_unseen() {
        for value in ["", " canary", "canary\r\nclientId: x", "canary\u{e9}", &"canary".repeat(1000)] {
            let why = RelayHeaders::default().with("x-key", value).to_map().unwrap_err();
            assert!(why.contains("x-key") && !why.contains("canary"), "{why}");
        }
        let why = RelayHeaders::default().with("x-key", "a").with("X-Key", "b").to_map().unwrap_err();
        assert!(why.contains("twice"), "{why}");
        let many = (0..=MAX_HEADERS).fold(RelayHeaders::default(), |all, n| all.with(format!("x-{n}"), "v"));
        assert!(many.to_map().unwrap_err().contains("more than"));
    }
}
