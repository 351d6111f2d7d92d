//! What can be set: the app, its policy as on OTPless's dashboard, and how strictly refresh tokens rotate.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The app id that is known when [`Settings::app_id`] is left alone.
pub const DEMO_APP_ID: &str = "DEMOAPP00000000000001";

/// The issuer of OTPless's real tokens, and of the ones made here unless set otherwise.
pub const ISSUER: &str = "https://otpless.com";

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// It is spent: a second use is refused with 7414 and counted by [`Control::replays`](crate::Control::replays).
    Strict,
    /// It is replaced, but for [`Settings::grace_seconds`] a second use is answered with the tokens it bought.
    Grace,
    /// It stays valid until it expires.
    None,
}

/// Everything that can be set, at the start or while it runs. Durations are whole seconds of the server's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The port on 127.0.0.1; 0, the default, takes a free one. Cannot be changed while it runs.
    pub port: u16,
    /// The only app that is known; every other one is answered 401. Default: [`DEMO_APP_ID`].
    pub app_id: String,
    /// The `iss` of the tokens. Default: [`ISSUER`].
    pub issuer: String,
    /// The `aud` of the tokens. Default: none, as in OTPless's documented session tokens.
    pub aud: Option<String>,
    /// What v1 wants in its `clientId` header. Default: `LOCALCLIENTID`.
    pub client_id: String,
    /// What v1 wants in its `clientSecret` header. Default: `local-client-secret`.
    pub client_secret: String,
    /// The dashboard's Session Duration: how long a session token is valid. Default: 86400 (24 hours).
    pub session_token_seconds: u64,
    /// How long a refresh token is valid; a session whose refresh token has expired is over. Default: 604800 (7 days).
    pub refresh_token_seconds: u64,
    /// The dashboard's Maximum Lifetime: the longest a session may exist at all. Default: no limit.
    pub max_lifetime_seconds: Option<u64>,
    /// The dashboard's Inactivity Timeout: a session without a call for this long is over. Default: no limit.
    pub inactivity_seconds: Option<u64>,
    /// Whether buying a new session token counts as activity, as authenticating always does. Default: true.
    pub refresh_is_activity: bool,
    /// What happens to a used refresh token. Default: [`Rotation::Strict`], the hardest on a client.
    pub rotation: Rotation,
    /// How long a used refresh token is still answered under [`Rotation::Grace`]. Default: 30.
    pub grace_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            app_id: DEMO_APP_ID.to_owned(),
            issuer: ISSUER.to_owned(),
            aud: None,
            client_id: "LOCALCLIENTID".to_owned(),
            client_secret: "local-client-secret".to_owned(),
            session_token_seconds: 24 * 60 * 60,
            refresh_token_seconds: 7 * 24 * 60 * 60,
            max_lifetime_seconds: None,
            inactivity_seconds: None,
            refresh_is_activity: true,
            rotation: Rotation::Strict,
            grace_seconds: 30,
        }
    }
}

impl Settings {
    /// These settings with some of them replaced: `changes` is a JSON object with the names in camel case.
    ///
    /// # Errors
    ///
    /// When `changes` is not an object, has a name that does not exist, or a value that is impossible.
    pub fn with(&self, changes: &Value) -> Result<Self, SettingsError> {
        let changes = changes
            .as_object()
            .ok_or_else(|| SettingsError("settings are a JSON object of names and values".to_owned()))?;
        let mut all = serde_json::to_value(self).map_err(|error| SettingsError(error.to_string()))?;
        for (name, value) in changes {
            let Some(slot) = all.get_mut(name) else {
                return Err(SettingsError(format!(
                    "there is no setting \"{name}\"; there are {}",
                    names(&all)
                )));
            };
            let before = slot.clone();
            *slot = value.clone();
            // One at a time, so that the message can say which one it was.
            if let Err(error) = serde_json::from_value::<Self>(all.clone()) {
                return Err(SettingsError(format!("{name} cannot be {value} (it is {before}): {error}")));
            }
        }
        let settings: Self = serde_json::from_value(all).map_err(|error| SettingsError(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let at_least_one = [
            ("sessionTokenSeconds", Some(self.session_token_seconds)),
            ("refreshTokenSeconds", Some(self.refresh_token_seconds)),
            ("maxLifetimeSeconds", self.max_lifetime_seconds),
            ("inactivitySeconds", self.inactivity_seconds),
        ];
        // A century: beyond it sums of milliseconds would be no dates any more.
        const LONGEST: u64 = 100 * 366 * 24 * 60 * 60;
        for (name, value) in
            at_least_one.into_iter().chain([("graceSeconds", Some(self.grace_seconds.max(1)))])
        {
            if value.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
                return Err(SettingsError(format!("{name} must be between 1 and {LONGEST} seconds")));
            }
        }
        for (name, value) in
            [("appId", &self.app_id), ("clientId", &self.client_id), ("clientSecret", &self.client_secret)]
        {
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(SettingsError(format!(
                    "{name} must be visible ASCII without spaces, as headers are"
                )));
            }
        }
        Ok(())
    }
}

fn names(all: &Value) -> String {
    all.as_object().into_iter().flat_map(|all| all.keys()).cloned().collect::<Vec<_>>().join(", ")
}

/// Why settings were refused; the message names the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub(crate) String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}
