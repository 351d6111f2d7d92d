//! What the server knows of a session, as far as a page may see it.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// What OTPless knows of a session. `Debug` leaves out the person: names, numbers and addresses do not belong in a log.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionDetails {
    /// OTPless's id of the user.
    pub user_id: String,
    /// When the session began, milliseconds since the Unix epoch by OTPless's clock.
    pub started_at: Timestamp,
    /// When OTPless last heard of it, milliseconds since the Unix epoch by its clock.
    pub last_active_at: Timestamp,
    /// What the user signed in with.
    pub identities: Vec<Identity>,
    /// The device of the sign-in: those of the fields OTPless documents that it sent, such as `browser` and `platform`.
    pub device_info: Map<String, Value>,
    /// The network of the sign-in: `ip`, `timezone`, `ipLocation`, as far as OTPless sent them.
    pub network: Map<String, Value>,
}

/// Something the user has shown to be theirs.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `MOBILE`, `EMAIL`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_type: Option<String>,
    /// The number or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_value: Option<String>,
    /// How it was shown: `OTP`, `EMAIL_LOGIN`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// With which methods.
    pub methods: Vec<String>,
    /// The name that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was shown, milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
}

impl SessionDetails {
    /// Whether `secret` stands anywhere in what would be shown.
    pub(crate) fn holds(&self, secret: &str) -> bool {
        fn value_holds(value: &Value, secret: &str) -> bool {
            match value {
                Value::String(text) => text.contains(secret),
                Value::Array(values) => values.iter().any(|value| value_holds(value, secret)),
                Value::Object(fields) => {
                    fields.iter().any(|(key, value)| key.contains(secret) || value_holds(value, secret))
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => false,
            }
        }
        let of_identity = |identity: &Identity| {
            let Identity { identity_type, identity_value, channel, methods, name, verified_at: _ } = identity;
            [identity_type, identity_value, channel, name]
                .into_iter()
                .flatten()
                .chain(methods)
                .any(|text| text.contains(secret))
        };
        self.user_id.contains(secret)
            || self.identities.iter().any(of_identity)
            || self.device_info.values().chain(self.network.values()).any(|value| value_holds(value, secret))
    }
}

impl fmt::Debug for SessionDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionDetails")
            .field("user_id", &self.user_id)
            .field("started_at", &self.started_at)
            .field("last_active_at", &self.last_active_at)
            .field("identities", &self.identities.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("identity_type", &self.identity_type).finish_non_exhaustive()
    }
}
