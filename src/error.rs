//! The one error type of the plugin.
//!
//! An [`Error`] is made to cross IPC: it says what happened, what is still true and what to do, and it never
//! carries a token, a session id or a library error's own text that might (requirement A2). It is one struct with
//! a [`kind`](Error::kind) instead of an enum with payloads so that kinds can gain detail without breaking anyone,
//! and so that Rust and TypeScript switch on the same words.

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// The plugin's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What sort of thing went wrong; what a caller switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nobody is signed in. Show the sign-in page.
    NotSignedIn,
    /// OTPless said that this session is over (7414, 7415). It has been ended here too.
    Rejected,
    /// The server could not be reached. The session is kept; the code is one of OTPless's 91xx.
    Network,
    /// The server was reached and did not work. The session is kept.
    Server,
    /// The server asked for fewer requests, or too many calls of `fetch` are open. The session is kept.
    RateLimited,
    /// A token did not pass verification. Nothing was stored.
    InvalidToken,
    /// The operating system's keychain did not answer or is locked. Nothing was lost.
    StorageUnavailable,
    /// A newer version of the app has taken the stored session over: restart to use that version.
    Storage,
    /// The session changed while the call was under way (a logout or another sign-in won).
    SessionChanged,
    /// The app is configured wrongly; the message names the setting.
    InvalidConfig,
    /// An argument is not acceptable; the message names the field.
    InvalidArgument,
    /// The caller may not do this.
    NotPermitted,
    /// A defect in this plugin, or an answer nobody foresaw.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed later with nothing else changed.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Network | Self::Server | Self::RateLimited | Self::StorageUnavailable)
    }
}

/// An error of this plugin; serialises as `{kind, message, retryable, code?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    code: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Error {
    /// `message` must be free of secrets: it is shown, logged and sent to the page.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), code: None, retry_after: None }
    }

    pub(crate) fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    pub(crate) fn not_signed_in() -> Self {
        Self::new(ErrorKind::NotSignedIn, "nobody is signed in; show the sign-in page")
    }

    pub(crate) fn session_changed() -> Self {
        Self::new(
            ErrorKind::SessionChanged,
            "the session ended or was replaced while this call was under way; its result was dropped. \
             Ask for the session again",
        )
    }

    pub(crate) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn invalid_config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidConfig, message)
    }

    pub(crate) fn invalid_token(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidToken, message)
    }

    pub(crate) fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What sort of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, what is still true and what to do; for people, never to be matched on.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// OTPless's own code where there is one: `7414`, `7020`, or a 91xx for transport failures.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether the same call may succeed later with nothing else changed.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// How long the server asked to be left alone (`Retry-After`), where it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} ({code})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Error", 3 + usize::from(self.code.is_some()))?;
        out.serialize_field("kind", &self.kind)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("retryable", &self.is_retryable())?;
        if let Some(code) = &self.code {
            out.serialize_field("code", code)?;
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_serialises_as_kind_message_retryable_and_code() {
        let error = Error::new(ErrorKind::Network, "offline").with_code("9104");
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            serde_json::json!({"kind": "network", "message": "offline", "retryable": true, "code": "9104"})
        );
        let error = Error::not_signed_in();
        let value = serde_json::to_value(&error).unwrap();
        assert_eq!(value["kind"], "notSignedIn");
        assert_eq!(value["retryable"], false);
        assert!(value.get("code").is_none());
    }
}
