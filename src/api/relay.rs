//! v1 through the app's own backend, for apps that may not talk to OTPless themselves.
//!
//! v1 wants a client id and secret with every call. Whatever an app holds is public, so neither is here, nor is there a
//! place to put them: the backend adds them (`examples/relay`) and passes OTPless's answer on. To the engine it is a server
//! like any other: only OTPless's own verdicts, 7414 and 7415, end a session, and none of the relay's own refusals do.

use reqwest::{Method, Url, header::HeaderMap};
use serde::Serialize;

use super::{
    Answer, ApiError, Credentials, Refreshed, RelayHeaders, SessionApi, SessionDetails,
    caller::{Call, Caller, body},
    http::MAX_ANSWER_BYTES,
    transport::{Response, Transport},
    wire::v1::{self, RefreshBody, SessionBody},
};
use crate::{
    BoxFuture,
    error::{Error, Result},
    secret::{RefreshToken, SessionId, SessionToken},
};

/// Ten times what OTPless documents as details of a session.
const MAX_DETAILS_BYTES: usize = 16 * 1024;

/// Speaks v1 to `relayUrl`.
#[derive(Debug)]
pub struct RelayApi {
    caller: Caller,
    headers: HeaderMap,
}

impl RelayApi {
    /// Speaks to the relay at `base`, with `headers` on every call.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if a header is not acceptable; the message names it.
    pub fn new(transport: impl Transport, base: Url, headers: RelayHeaders) -> Result<Self> {
        let headers = headers
            .to_map()
            .map_err(|why| Error::invalid_config(format!("plugins.otpless.relayHeaders {why}")))?;
        Ok(Self { caller: Caller::new(transport, base, "relayUrl"), headers })
    }

    async fn call<T>(
        &self,
        path: &str,
        fields: &impl Serialize,
        limit: usize,
        read: impl FnOnce(&Response) -> std::result::Result<T, ApiError>,
    ) -> Answer<T> {
        let (headers, body) = (Ok(self.headers.clone()), Some(body(fields)));
        let mut answer =
            self.caller.call(Call { method: Method::POST, path, headers, body, limit }, read).await;
        // What the relay says by itself is dated by its own clock, and tokens are dated by OTPless's.
        if answer.outcome.as_ref().is_err_and(|refused| refused.error.code().is_none()) {
            answer.server_date = None;
        }
        answer
    }
}

impl SessionApi for RelayApi {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Answer<Option<SessionToken>>> {
        Box::pin(async move {
            let fields = SessionBody { session: credentials.session_token.expose() };
            let path = "/v1/sessions/validate-session";
            let Answer { outcome, server_date } =
                self.call(path, &fields, MAX_ANSWER_BYTES, v1::read_validated).await;
            Answer { outcome: outcome.map(|()| None), server_date }
        })
    }

    fn refresh<'a>(
        &'a self,
        refresh_token: &'a RefreshToken,
        _state: Option<&'a str>,
    ) -> BoxFuture<'a, Answer<Refreshed>> {
        Box::pin(async move {
            let fields = RefreshBody { refresh_token: refresh_token.expose() };
            let path = "/v1/sessions/get-new-session-token";
            self.call(path, &fields, MAX_ANSWER_BYTES, v1::read_refreshed).await
        })
    }

    /// By the opaque id: after a logout nothing else is kept of a session, and it does not expire.
    fn revoke<'a>(&'a self, session_id: &'a SessionId) -> BoxFuture<'a, Answer<()>> {
        Box::pin(async move {
            let fields = SessionBody { session: session_id.expose() };
            self.call("/v1/sessions/revoke-session", &fields, MAX_ANSWER_BYTES, v1::read_revoked).await
        })
    }

    /// By the opaque id, which OTPless documents for this call and which answers as well when the JWT has expired.
    fn session_details<'a>(
        &'a self,
        session_id: &'a SessionId,
    ) -> Option<BoxFuture<'a, Answer<SessionDetails>>> {
        Some(Box::pin(async move {
            let fields = SessionBody { session: session_id.expose() };
            let path = "/v1/sessions/get-session-details";
            self.call(path, &fields, MAX_DETAILS_BYTES, v1::read_details).await
        }))
    }
}
