//! How calls to the app's own backend carry the session: `plugins.otpless.fetch`.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::refused;
use crate::{
    error::Result,
    fetch::{Attach, CookieValue},
};

/// Longest name of a cookie: far more than any has, and far less than a server takes.
const MAX_COOKIE_NAME: usize = 128;

/// `plugins.otpless.fetch`. An unknown key is refused, so that a misspelt cookie is not silently a header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct FetchConfig {
    /// Where the session stands in a request; `"bearer"`.
    #[serde(default)]
    pub attach: AttachMode,
    /// Which cookie. Required with `"attach": "cookie"`, and only there.
    #[serde(default)]
    pub cookie: Option<CookieConfig>,
}

/// Where the session stands in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum AttachMode {
    /// `Authorization: Bearer <session token>`.
    #[default]
    Bearer,
    /// A cookie.
    Cookie,
}

/// The cookie that a backend reads the session from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct CookieConfig {
    /// Its name, as the backend knows it.
    pub name: String,
    /// What it holds: `"sessionId"` or `"sessionToken"`.
    pub value: CookieValue,
}

impl FetchConfig {
    /// `Authorization: Bearer <session token>`, the default.
    #[must_use]
    pub fn bearer() -> Self {
        Self::default()
    }

    /// A cookie of that name with that value of the session.
    #[must_use]
    pub fn cookie(name: impl Into<String>, value: CookieValue) -> Self {
        Self { attach: AttachMode::Cookie, cookie: Some(CookieConfig { name: name.into(), value }) }
    }

    /// What it means, if it means something.
    pub(super) fn attach(self) -> Result<Attach> {
        match (self.attach, self.cookie) {
            (AttachMode::Bearer, None) => Ok(Attach::Bearer),
            (AttachMode::Bearer, Some(_)) => {
                Err(refused("fetch.cookie", "is of no use without \"attach\": \"cookie\""))
            }
            (AttachMode::Cookie, None) => Err(refused(
                "fetch.cookie",
                "is missing: with \"attach\": \"cookie\" it says which cookie your backend reads, such as \
                 {\"name\": \"session\", \"value\": \"sessionToken\"}",
            )),
            (AttachMode::Cookie, Some(CookieConfig { name, value })) => {
                if name.is_empty() || name.len() > MAX_COOKIE_NAME || !name.bytes().all(is_token) {
                    return Err(refused(
                        "fetch.cookie.name",
                        "is no name of a cookie: letters, digits and - _ . are safe",
                    ));
                }
                Ok(Attach::Cookie { name, value })
            }
        }
    }
}

/// What a cookie's name is made of (RFC 6265 §4.1.1, RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// serde says what is wrong with a value but not where it stands.
pub(super) fn field<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<FetchConfig>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value.is_null() {
        return Ok(None);
    }
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| D::Error::custom(format!("plugins.otpless.fetch is not what it should be: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Config, Settings};

    fn attach(fetch: Value) -> std::result::Result<Attach, String> {
        let config: Config =
            serde_json::from_value(json!({"appId": "A", "fetch": fetch})).map_err(|e| e.to_string())?;
        Settings::try_from(config).map(|settings| settings.attach).map_err(|e| e.to_string())
    }

    #[test]
    fn the_session_is_a_bearer_token_unless_it_is_said_to_be_a_cookie() {
        for bearer in [json!(null), json!({}), json!({"attach": "bearer"})] {
            assert_eq!(attach(bearer.clone()), Ok(Attach::Bearer), "{bearer}");
        }
        for (spelt, value) in
            [("sessionId", CookieValue::SessionId), ("sessionToken", CookieValue::SessionToken)]
        {
            let config = json!({"attach": "cookie", "cookie": {"name": "__Host-session", "value": spelt}});
            assert_eq!(attach(config), Ok(Attach::Cookie { name: "__Host-session".into(), value }));
            let built = FetchConfig::cookie("__Host-session", value).attach();
            assert_eq!(built, Ok(Attach::Cookie { name: "__Host-session".into(), value }));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_key() {
        for (config, named) in [
            (json!(5), "plugins.otpless.fetch "),
            (json!("bearer"), "plugins.otpless.fetch "),
            (json!({"atach": "bearer"}), "atach"),
            (json!({"attach": "basic"}), "basic"),
            (json!({"attach": "cookie"}), "plugins.otpless.fetch.cookie is missing"),
            (json!({"cookie": {"name": "s", "value": "sessionId"}}), "plugins.otpless.fetch.cookie "),
            (json!({"attach": "cookie", "cookie": {"name": "s"}}), "value"),
            (json!({"attach": "cookie", "cookie": {"value": "sessionId"}}), "name"),
            (json!({"attach": "cookie", "cookie": {"name": "s", "value": "refreshToken"}}), "refreshToken"),
            (json!({"attach": "cookie", "cookie": {"name": "s", "value": "sessionId", "path": "/"}}), "path"),
        ] {
            let error = attach(config.clone()).unwrap_err();
            assert!(error.contains("plugins.otpless.fetch") && error.contains(named), "{config}: {error}");
        }
        for name in ["", "a b", "a=b", "a;b", "a\r\nb", "é", "a,b", "\"a\"", &"a".repeat(129)] {
            let error = attach(json!({"attach": "cookie", "cookie": {"name": name, "value": "sessionId"}}))
                .unwrap_err();
            assert!(error.starts_with("plugins.otpless.fetch.cookie.name "), "{name:?}: {error}");
        }
    }
}
