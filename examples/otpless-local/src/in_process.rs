//! The service without a network, for simulations: the same sessions, keys and answers, by function call and on a clock
//! that stands where it is put.

use std::{collections::BTreeMap, sync::OnceLock};

use axum::http::Method;

use crate::{
    answer::{Answer, Refusal},
    call::Call,
    control::Control,
    keys::Key,
    operation::Operation,
    settings::{Settings, SettingsError},
};

/// What a client would read from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InProcessAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Control {
    /// A service that listens nowhere. All those of a process sign with the same key: making one takes a tenth of a
    /// second, and a simulation has thousands of services.
    ///
    /// # Errors
    ///
    /// When the settings are impossible; the error names the setting.
    pub fn without_network(settings: Settings) -> Result<Self, SettingsError> {
        static KEY: OnceLock<Key> = OnceLock::new();
        let settings = settings.with(&serde_json::json!({}))?;
        Ok(Self::new(settings, KEY.get_or_init(Key::generate).clone()))
    }

    /// From now on the server's clock stands at `ms` milliseconds since the epoch, until this is called again.
    pub fn set_time(&self, ms: i64) {
        self.lock().stands_at = Some(ms);
    }

    /// Answers a call of v4 or for the key set as the server on the wire would. Planned faults and gates are a matter of
    /// the wire and have no part in it; calls are not logged.
    #[must_use]
    pub fn answer(
        &self,
        method: &str,
        path: &str,
        headers: BTreeMap<String, String>,
        body: &[u8],
    ) -> InProcessAnswer {
        let operation = match (method, path) {
            ("POST", "/v4/session/authenticate") => Operation::Authenticate,
            ("POST", "/v4/session/refresh") => Operation::Refresh,
            ("DELETE", path) if path.starts_with("/v4/session/") => Operation::Delete,
            ("GET", "/.well-known/jwks") => Operation::Jwks,
            _ => Operation::Unknown,
        };
        let answer: Answer = match Method::from_bytes(method.as_bytes()) {
            Ok(method) => self.work(
                operation,
                &Call {
                    method,
                    path: path.to_owned(),
                    query: String::new(),
                    headers,
                    body: serde_json::from_slice(body).unwrap_or_default(),
                    body_bytes: body.len(),
                },
            ),
            Err(_) => Refusal::NoSuchCall.into(),
        };
        InProcessAnswer { status: answer.status, body: answer.body }
    }
}
