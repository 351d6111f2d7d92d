//! The v4 client API: no secret, what OTPless's mobile SDKs use.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use zeroize::Zeroizing;

use super::{
    Answer, ApiError, Credentials, Refreshed, SessionApi,
    caller::{Call, Caller, body},
    http::MAX_ANSWER_BYTES,
    transport::{Response, Transport},
    wire::{self, AuthenticateBody, CommonFields, RefreshBody},
};
use crate::{
    BoxFuture,
    error::{Error, Result},
    secret::{RefreshToken, SessionId, SessionToken},
};

/// What may stand unescaped in a path segment (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The site all OTPless apps belong to, sent as `origin` and as the root of `loginUri`.
const ORIGIN: &str = "https://otpless.com";

/// Speaks v4 to `apiUrl`.
#[derive(Debug)]
pub struct ClientApi {
    caller: Caller,
    app_id: String,
    login_uri: String,
}

impl ClientApi {
    /// Speaks for the app `app_id` to the server at `base`.
    pub fn new(transport: impl Transport, base: Url, app_id: &str) -> Self {
        Self {
            caller: Caller::new(transport, base, "apiUrl"),
            app_id: app_id.to_owned(),
            login_uri: format!("{ORIGIN}/rc5/appid/{app_id}"),
        }
    }

    fn common(&self) -> CommonFields<'_> {
        CommonFields { app_id: &self.app_id, origin: ORIGIN, login_uri: &self.login_uri }
    }

    async fn call<T>(
        &self,
        method: Method,
        path: &str,
        state: Option<&str>,
        body: Option<Zeroizing<Vec<u8>>>,
        read: impl FnOnce(&Response) -> std::result::Result<T, ApiError>,
    ) -> Answer<T> {
        let call = Call { method, path, headers: self.headers(state), body, limit: MAX_ANSWER_BYTES };
        self.caller.call(call, read).await
    }

    fn headers(&self, state: Option<&str>) -> Result<HeaderMap> {
        let value = |text: &str, name: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Error::invalid_argument(format!("{name} cannot stand in an HTTP header")))
        };
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(HeaderName::from_static("appid"), value(&self.app_id, "the app id")?);
        headers.insert(
            HeaderName::from_static("state"),
            value(state.unwrap_or_default(), "the sign-in's state")?,
        );
        Ok(headers)
    }
}

impl SessionApi for ClientApi {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Answer<Option<SessionToken>>> {
        Box::pin(async move {
            let body = body(&AuthenticateBody {
                common: self.common(),
                session_id: credentials.session_id.expose(),
                session_token: credentials.session_token.expose(),
            });
            let path = "/v4/session/authenticate";
            self.call(Method::POST, path, credentials.state, Some(body), wire::read_authenticate).await
        })
    }

    fn refresh<'a>(
        &'a self,
        refresh_token: &'a RefreshToken,
        state: Option<&'a str>,
    ) -> BoxFuture<'a, Answer<Refreshed>> {
        Box::pin(async move {
            let body = body(&RefreshBody { common: self.common(), refresh_token: refresh_token.expose() });
            self.call(Method::POST, "/v4/session/refresh", state, Some(body), wire::read_refresh).await
        })
    }

    fn revoke<'a>(&'a self, session_id: &'a SessionId) -> BoxFuture<'a, Answer<()>> {
        Box::pin(async move {
            // Percent-encoded, a byte takes three at the most.
            let mut path = Zeroizing::new(String::with_capacity(12 + 3 * session_id.expose().len()));
            path.push_str("/v4/session/");
            path.extend(utf8_percent_encode(session_id.expose(), SEGMENT));
            self.call(Method::DELETE, &path, None, None, wire::read_delete).await
        })
    }
}
