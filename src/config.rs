//! Settings: `plugins.otpless` of tauri.conf.json and the [`Builder`](crate::Builder), made into something valid or
//! refused with the name of the key.

mod fetch;
mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{
    api::relay_headers,
    error::{Error, Result},
    fetch::Attach,
    jwt::KeySource,
    session::activity::Policy,
};

pub use crate::api::RelayHeaders;
pub use fetch::{AttachMode, CookieConfig, FetchConfig};
pub(crate) use server::Server;

/// Where v4 lives.
pub const DEFAULT_API_URL: &str = "https://api.otpless.com";
/// Where OTPless publishes its keys.
pub const DEFAULT_JWKS_URL: &str = "https://otpless.com/.well-known/jwks";
/// Who issues the tokens.
pub const DEFAULT_ISSUER: &str = "https://otpless.com";

/// Deadlines beyond this are refused: ten years, which is a unit mistaken for another.
const MAX_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// Twice the interval at which pages report activity (guest-js, `trackActivity`): less would sign active users out.
const MIN_INACTIVITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Who the app talks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Mode {
    /// OTPless itself: v4, the client API, which needs no secret.
    #[default]
    Direct,
    /// The app's own backend, which adds its client id and secret and passes the calls on to OTPless's v1.
    Relay,
}

/// `plugins.otpless` in tauri.conf.json. An unknown key is refused, so that a misspelt timeout is not silently none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
// Derived as a function of its own, which the implementation below calls when it has looked for secrets.
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct Config {
    /// The app id of the OTPless dashboard. Required here or in the builder. Tokens that name another app in `aud` are
    /// refused: without that, a token stolen from any OTPless app would open this one.
    #[serde(default, deserialize_with = "fields::app_id")]
    pub app_id: Option<String>,
    /// Who the app talks to: `"direct"`, the default, or `"relay"`.
    #[serde(default, deserialize_with = "fields::mode")]
    pub mode: Option<Mode>,
    /// Base URL of the client API; `https://api.otpless.com`. Must be https, or http on a loopback address: tokens
    /// travel there. Not in relay mode.
    #[serde(default, deserialize_with = "fields::api_url")]
    pub api_url: Option<String>,
    /// Base URL of the relay, under which it answers `/v1/sessions/…`. Required in relay mode, and only there. Must be
    /// https, or http on a loopback address: tokens travel there.
    #[serde(default, deserialize_with = "fields::relay_url")]
    pub relay_url: Option<String>,
    /// Headers sent to the relay with every call, such as an API gateway's key; none. They are public like everything
    /// in an app: they keep strangers' mistakes out, not attackers. Only in relay mode.
    #[serde(default, deserialize_with = "fields::relay_headers")]
    pub relay_headers: Option<RelayHeaders>,
    /// URL of the key set; `https://otpless.com/.well-known/jwks`. Must be https, or http on a loopback address: who
    /// can change the keys can forge sessions.
    #[serde(default, deserialize_with = "fields::jwks_url")]
    pub jwks_url: Option<String>,
    /// URL of the issuer's `openid-configuration`, instead of `jwksUrl`: the key set is where its `jwks_uri` says; off.
    /// The same rules hold for it and for the `jwks_uri`, and its `issuer` must equal ours to the letter: whoever could
    /// put another document in its place could put other keys in the place of OTPless's.
    #[serde(default, deserialize_with = "fields::discovery_url")]
    pub discovery_url: Option<String>,
    /// The `iss` every token must carry, to the letter; `https://otpless.com`.
    #[serde(default, deserialize_with = "fields::issuer")]
    pub issuer: Option<String>,
    /// Seconds without activity after which the session ends; off. Keep it at the dashboard's Inactivity Timeout.
    #[serde(default, deserialize_with = "fields::inactivity_timeout")]
    pub inactivity_timeout: Option<u64>,
    /// Seconds before that end at which the app is warned; 60, or half the timeout where that is shorter.
    #[serde(default, deserialize_with = "fields::inactivity_warning")]
    pub inactivity_warning: Option<u64>,
    /// Seconds after sign-in at which the session ends whatever happens; off. Keep it at the dashboard's Maximum
    /// Lifetime.
    #[serde(default, deserialize_with = "fields::max_lifetime")]
    pub max_lifetime: Option<u64>,
    /// How calls to the app's own backend carry the session: `{"attach": "bearer"}`, the default, or as a cookie.
    #[serde(default, deserialize_with = "fetch::field")]
    pub fetch: Option<FetchConfig>,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error;

        let keys = Map::deserialize(deserializer)?;
        // "Unknown key" would be true of them too, and would send people looking for the right spelling.
        if let Some(key) = keys.keys().find(|key| relay_headers::is_clients(key)) {
            return Err(D::Error::custom(format!(
                "plugins.otpless.{key} cannot be configured here: everything in an app is public, and whoever unpacks \
                 it would have the secret that speaks for all of your users. Put the client id and secret into your \
                 backend and set mode to \"relay\" and relayUrl to its address; examples/relay is such a backend"
            )));
        }
        Self::deserialize(Value::Object(keys)).map_err(D::Error::custom)
    }
}

/// serde says what is wrong with a value but not where it stands.
mod fields {
    use serde::{Deserialize, Deserializer, de::Error};

    use super::{Mode, RelayHeaders};

    macro_rules! field {
        ($name:ident, $key:literal, $type:ty, $what:literal) => {
            pub(super) fn $name<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$type>, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                serde_json::from_value(value)
                    .map_err(|_| D::Error::custom(concat!("plugins.otpless.", $key, " is not ", $what)))
            }
        };
    }

    field!(app_id, "appId", String, "a string");
    field!(mode, "mode", Mode, "\"direct\" or \"relay\"");
    field!(api_url, "apiUrl", String, "a string");
    field!(relay_url, "relayUrl", String, "a string");
    field!(relay_headers, "relayHeaders", RelayHeaders, "an object of header names and string values");
    field!(jwks_url, "jwksUrl", String, "a string");
    field!(discovery_url, "discoveryUrl", String, "a string");
    field!(issuer, "issuer", String, "a string");
    field!(inactivity_timeout, "inactivityTimeout", u64, "a whole number of seconds");
    field!(inactivity_warning, "inactivityWarning", u64, "a whole number of seconds");
    field!(max_lifetime, "maxLifetime", u64, "a whole number of seconds");
}

impl Config {
    /// `over` wins where it says something.
    pub(crate) fn overridden_by(self, over: Self) -> Self {
        Self {
            app_id: over.app_id.or(self.app_id),
            mode: over.mode.or(self.mode),
            api_url: over.api_url.or(self.api_url),
            relay_url: over.relay_url.or(self.relay_url),
            relay_headers: over.relay_headers.or(self.relay_headers),
            jwks_url: over.jwks_url.or(self.jwks_url),
            discovery_url: over.discovery_url.or(self.discovery_url),
            issuer: over.issuer.or(self.issuer),
            inactivity_timeout: over.inactivity_timeout.or(self.inactivity_timeout),
            inactivity_warning: over.inactivity_warning.or(self.inactivity_warning),
            max_lifetime: over.max_lifetime.or(self.max_lifetime),
            fetch: over.fetch.or(self.fetch),
        }
    }
}

/// Settings that are known to make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) app_id: String,
    pub(crate) server: Server,
    pub(crate) keys: KeySource,
    pub(crate) issuer: String,
    pub(crate) policy: Policy,
    pub(crate) attach: Attach,
}

impl TryFrom<Config> for Settings {
    type Error = Error;

    fn try_from(config: Config) -> Result<Self> {
        let app_id = config.app_id.unwrap_or_default();
        if app_id.is_empty() {
            return Err(refused("appId", "is missing: copy the app id from the OTPless dashboard"));
        }
        if app_id.len() > 128
            || !app_id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        {
            return Err(refused("appId", "has characters that no OTPless app id has"));
        }
        let issuer = config.issuer.unwrap_or_else(|| DEFAULT_ISSUER.into());
        if issuer.is_empty() {
            return Err(refused("issuer", "is empty: every token would be from another issuer"));
        }
        let inactivity_timeout = seconds("inactivityTimeout", config.inactivity_timeout)?;
        if inactivity_timeout.is_some_and(|timeout| timeout < MIN_INACTIVITY_TIMEOUT) {
            return Err(refused(
                "inactivityTimeout",
                "is under 30 s: pages report activity every 15 s at the most",
            ));
        }
        let inactivity_warning = seconds("inactivityWarning", config.inactivity_warning)?;
        if inactivity_warning.is_some() && inactivity_timeout.is_none() {
            return Err(refused("inactivityWarning", "warns of nothing without inactivityTimeout"));
        }
        if inactivity_warning.zip(inactivity_timeout).is_some_and(|(warning, timeout)| warning >= timeout) {
            return Err(refused("inactivityWarning", "is not shorter than inactivityTimeout"));
        }
        let max_lifetime = seconds("maxLifetime", config.max_lifetime)?;
        Ok(Self {
            app_id,
            server: Server::from_config(
                config.mode,
                config.api_url.as_deref(),
                config.relay_url.as_deref(),
                config.relay_headers,
            )?,
            keys: key_source(config.jwks_url.as_deref(), config.discovery_url.as_deref())?,
            issuer,
            policy: Policy {
                inactivity_timeout,
                inactivity_warning: inactivity_warning.unwrap_or(Policy::default().inactivity_warning),
                max_lifetime,
            },
            attach: config.fetch.unwrap_or_default().attach()?,
        })
    }
}

fn refused(key: &str, why: &str) -> Error {
    Error::invalid_config(format!("plugins.otpless.{key} {why}"))
}

fn seconds(key: &str, value: Option<u64>) -> Result<Option<Duration>> {
    match value {
        Some(0) => Err(refused(
            key,
            "is 0 seconds, which would end every session at once; leave it out to turn it off",
        )),
        Some(value) if value > MAX_SECONDS => {
            Err(refused(key, "is more than ten years; it is given in seconds, not milliseconds"))
        }
        value => Ok(value.map(Duration::from_secs)),
    }
}

fn key_source(jwks_url: Option<&str>, discovery_url: Option<&str>) -> Result<KeySource> {
    match (jwks_url, discovery_url) {
        (Some(_), Some(_)) => Err(refused(
            "discoveryUrl",
            "and plugins.otpless.jwksUrl are both set, and only one can say where the keys are; leave one out",
        )),
        (None, Some(discovery)) => Ok(KeySource::Discovery(setting("discoveryUrl", discovery)?)),
        (key_set, None) => Ok(KeySource::KeySet(setting("jwksUrl", key_set.unwrap_or(DEFAULT_JWKS_URL))?)),
    }
}

fn setting(key: &str, value: &str) -> Result<Url> {
    url(&format!("plugins.otpless.{key}"), value)
}

/// The URL that goes by `name`, if it is one to which tokens and questions for keys may go (requirement E1).
pub(crate) fn url(name: &str, value: &str) -> Result<Url> {
    let refused = |why: &str| Error::invalid_config(format!("{name} {why}"));
    let url = Url::parse(value).map_err(|_| refused("is not a URL"))?;
    tokens_may_travel_to(&url).map_err(|why| refused(&why))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("carries a query or fragment, which no call would keep"));
    }
    Ok(url)
}

/// The one rule for every address that tokens are sent to: https, or http on this machine, and no password in it
/// (requirement E1). What is wrong with `url` otherwise, to be put after its name.
pub(crate) fn tokens_may_travel_to(url: &Url) -> std::result::Result<(), String> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("carries a user name or password, which would end up in logs".into());
    }
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err("names no host".into()),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if local => Ok(()),
        "http" => Err(format!(
            "is plain http to {:?}; tokens travel there, so only loopback addresses may be http",
            url.host_str().unwrap_or_default()
        )),
        scheme => Err(format!("has the scheme {scheme:?}; it must be https")),
    }
}
