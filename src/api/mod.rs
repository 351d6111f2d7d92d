//! Talking to OTPless. [`SessionApi`] is what the engine needs of a server; [`client_api`] speaks v4 directly, [`relay`]
//! speaks v1 to the app's own backend.
//!
//! Spelling lives in [`wire`] alone: inside, the three values have the web dialect's names.

mod caller;
pub(crate) mod client_api;
pub(crate) mod details;
pub(crate) mod http;
pub(crate) mod relay;
pub(crate) mod relay_headers;
pub(crate) mod sign_in;
pub(crate) mod transport;
pub(crate) mod wire;

use std::{fmt, time::Duration};

pub use client_api::ClientApi;
pub use details::{Identity, SessionDetails};
pub use relay::RelayApi;
pub use relay_headers::RelayHeaders;

use crate::{
    BoxFuture,
    clock::Timestamp,
    error::Error,
    secret::{RefreshToken, SessionId, SessionToken},
};

/// The calls that keep a session alive and end it, and one that tells of it.
pub trait SessionApi: fmt::Debug + Send + Sync + 'static {
    /// Asks whether the session is still good; counts as activity on the server.
    /// The answer may bring a newer session token; `None` confirms the session and renews nothing.
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Answer<Option<SessionToken>>>;

    /// Buys a new session token. Assume that `refresh_token` is spent afterwards, answer or not.
    fn refresh<'a>(
        &'a self,
        refresh_token: &'a RefreshToken,
        state: Option<&'a str>,
    ) -> BoxFuture<'a, Answer<Refreshed>>;

    /// Ends the session on the server. A session that is gone already counts as success.
    fn revoke<'a>(&'a self, session_id: &'a SessionId) -> BoxFuture<'a, Answer<()>>;

    /// Asks what the server knows of the session. `None`, without a call, where the API has no such question: v4.
    fn session_details<'a>(
        &'a self,
        session_id: &'a SessionId,
    ) -> Option<BoxFuture<'a, Answer<SessionDetails>>> {
        let _ = session_id;
        None
    }
}

/// What proves the session in a call.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The opaque handle.
    pub session_id: &'a SessionId,
    /// The session JWT.
    pub session_token: &'a SessionToken,
    /// The `state` of a mobile sign-in, sent back as a header.
    pub state: Option<&'a str>,
}

/// What a refresh brings.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The opaque handle, if it was sent.
    pub session_id: Option<SessionId>,
    /// The new session JWT.
    pub session_token: SessionToken,
    /// The new refresh JWT; `None` (absent or empty) keeps the old one.
    pub refresh_token: Option<RefreshToken>,
}

/// A server's answer, or why there is none, with the time the server says it is.
#[derive(Debug)]
pub struct Answer<T> {
    /// What came of the call.
    pub outcome: Result<T, ApiError>,
    /// The `Date` header: what clock skew is learned from.
    pub server_date: Option<Timestamp>,
}

impl<T> Answer<T> {
    pub(crate) fn err(error: ApiError) -> Self {
        Self { outcome: Err(error), server_date: None }
    }
}

/// What a failed call means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 7414 or 7415: the session is over. Nothing else ends a session (requirement C5).
    Over,
    /// Keep the session and try again later.
    Transient,
    /// Keep the session; trying again will not help until somebody changes something.
    Permanent,
}

/// A failed call: what it means for the session, and the error to show.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// What it means for the session.
    pub verdict: Verdict,
    /// The error to show.
    pub error: Error,
}

impl ApiError {
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after()
    }
}
