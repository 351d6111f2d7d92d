//! Where the keys are to be had: at a URL of the settings, or where the issuer's `openid-configuration` says.
//!
//! Discovery moves the key set's URL from the settings of the app into a document of the issuer's, so the document is
//! held to what the settings are held to: it must be this issuer's own (OpenID Connect Discovery 1.0 §4.3), and the URL
//! it names must be one that a setting could name.

use reqwest::Url;
use serde_json::Value;

use super::strict_json;
use crate::{
    config,
    error::{Error, ErrorKind, Result},
};

/// Largest `openid-configuration` read, in bytes; OTPless's is under 2 KiB.
pub(super) const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// Longest `jwks_uri` accepted, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// Where the key set of the issuer is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// At this URL; the setting `jwksUrl`.
    KeySet(Url),
    /// Where the `openid-configuration` at this URL says; the setting `discoveryUrl`.
    Discovery(Url),
}

impl From<Url> for KeySource {
    fn from(key_set: Url) -> Self {
        Self::KeySet(key_set)
    }
}

impl KeySource {
    /// The URL of the setting.
    pub(super) fn url(&self) -> &Url {
        match self {
            Self::KeySet(url) | Self::Discovery(url) => url,
        }
    }

    /// The setting's name.
    pub(super) fn setting(&self) -> &'static str {
        match self {
            Self::KeySet(_) => "plugins.otpless.jwksUrl",
            Self::Discovery(_) => "plugins.otpless.discoveryUrl",
        }
    }
}

/// The key set's URL, from the document that was found at `source`.
///
/// # Errors
///
/// `InvalidConfig` if it is another issuer's document, `Server` if it cannot be used.
pub(super) fn jwks_uri(document: &[u8], source: &Url, issuer: &str) -> Result<Url> {
    let unusable = |what: &str| {
        Error::new(
            ErrorKind::Server,
            format!(
                "the document at plugins.otpless.discoveryUrl {what}; tokens are checked with the keys known so far. \
                 Check the setting if this stays"
            ),
        )
    };
    let document = strict_json::object(document).map_err(unusable)?;
    // To the letter: a document of another issuer, were it only another tenant's, leads to other people's keys.
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(Error::invalid_config(
            "the document at plugins.otpless.discoveryUrl is not that of the issuer in plugins.otpless.issuer, to the \
             letter; its keys were not fetched, tokens are checked with the keys known so far. Correct one of the two",
        ));
    }
    let named = document
        .get("jwks_uri")
        .and_then(Value::as_str)
        .filter(|url| url.len() <= MAX_URL_BYTES)
        .ok_or_else(|| unusable("names no jwks_uri"))?;
    let url = config::url("names a jwks_uri that", named).map_err(|why| unusable(why.message()))?;
    // What came over TLS must not send us to where anybody on this machine could answer.
    if source.scheme() == "https" && url.scheme() != "https" {
        return Err(unusable("came over https and names a jwks_uri that does not"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://otpless.com";

    fn found_at(source: &str, document: &Value) -> Result<String> {
        let document = serde_json::to_vec(document).expect("JSON");
        jwks_uri(&document, &source.parse().expect("a URL"), ISSUER).map(String::from)
    }

    fn found(document: &Value) -> Result<String> {
        found_at("https://otpless.com/.well-known/openid-configuration", document)
    }

    #[test]
    fn b11_discovery_takes_the_key_set_url_of_the_issuers_own_document() {
        let url = found(&json!({"issuer": ISSUER, "jwks_uri": "https://keys.otpless.com/set", "x": [1]}));
        assert_eq!(url.unwrap(), "https://keys.otpless.com/set");
    }

    #[test]
    fn b6_a_document_of_another_issuer_is_refused_to_the_letter() {
        for issuer in [
            json!("https://otpless.com/"),
            json!("https://OTPless.com"),
            json!("https://otpless.com.example"),
            json!(""),
            json!(["https://otpless.com"]),
            json!(7),
            Value::Null,
        ] {
            let error =
                found(&json!({"issuer": issuer, "jwks_uri": "https://otpless.com/keys"})).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{issuer}");
            assert!(error.message().contains("plugins.otpless.issuer"), "{issuer}: {error}");
        }
        assert!(found(&json!({"jwks_uri": "https://otpless.com/keys"})).is_err());
    }

    #[test]
    fn e1_a_key_set_url_that_no_setting_could_have_is_refused() {
        let refused = [
            json!("http://otpless.com/keys"),
            json!("file:///etc/passwd"),
            json!(format!("data:{}", "\u{1}".repeat(2000))),
            json!("https://user:pw@otpless.com/keys"),
            json!("https://otpless.com/keys?x=1"),
            json!("/keys"),
            json!(""),
            json!(7),
            Value::Null,
            json!(format!("https://otpless.com/{}", "x".repeat(MAX_URL_BYTES))),
        ];
        for url in refused {
            let error = found(&json!({"issuer": ISSUER, "jwks_uri": url})).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server, "{url}");
            assert!(error.message().contains("jwks_uri"), "{url}: {error}");
            assert!(error.message().len() < 4096, "{url}");
        }
        assert!(found(&json!({"issuer": ISSUER})).is_err());
    }

    #[test]
    fn e1_a_document_that_came_over_https_cannot_name_a_loopback_address() {
        let document = json!({"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:9/keys"});
        assert!(found(&document).unwrap_err().message().contains("https"));
        assert!(found_at("http://127.0.0.1:9/openid-configuration", &document).is_ok());
    }

    #[test]
    fn b10_a_document_that_is_not_one_object_without_repeated_keys_is_refused() {
        let source = "https://otpless.com".parse().expect("a URL");
        for document in
            ["", "[]", "<html>", r#"{"issuer":"https://otpless.com","issuer":"x","jwks_uri":"x"}"#]
        {
            let error = jwks_uri(document.as_bytes(), &source, ISSUER).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server, "{document}");
        }
    }
}
