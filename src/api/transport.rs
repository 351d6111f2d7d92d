//! How a call gets to a server and its answer back. [`HttpClient`] is the real one.

use std::{fmt, time::Duration};

use reqwest::{Method, StatusCode, Url, header::HeaderMap};
use zeroize::Zeroizing;

use super::http::HttpClient;
use crate::{
    BoxFuture,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
};

/// One HTTP call.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to. May contain a session id: not for logs.
    pub url: Url,
    /// The headers, beside those that every call has.
    pub headers: HeaderMap,
    /// The body, if there is one.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// The most that is read of an answer's body, in bytes.
    pub limit: usize,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// An answer read to its end.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// The server's time, if it said it and the answer came fast enough for it to be the present.
    pub date: Option<Timestamp>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Response {
    pub(crate) fn is_redirect(&self) -> bool {
        StatusCode::from_u16(self.status).is_ok_and(|status| status.is_redirection())
    }
}

/// Carries calls. A call is made once: the first try may have spent a refresh token.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Makes the call.
    ///
    /// # Errors
    ///
    /// An [`Unreachable`], or `Server` if the answer is larger than the request's limit.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>>;
}

impl Transport for HttpClient {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        Box::pin(self.send(request))
    }
}

/// Why there is no answer, with the mobile SDKs' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unreachable {
    /// 9100.
    Timeout,
    /// 9101.
    ConnectionLost,
    /// 9102.
    Dns,
    /// 9103.
    CannotConnect,
    /// 9104.
    Offline,
    /// 9105.
    Tls,
}

impl Unreachable {
    /// The mobile SDKs' number, and what happened.
    pub(crate) fn code_and_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Timeout => ("9100", "the server did not answer in time"),
            Self::ConnectionLost => ("9101", "the connection was lost before the answer was complete"),
            Self::Dns => ("9102", "the server's name could not be resolved"),
            Self::CannotConnect => ("9103", "the server could not be reached"),
            Self::Offline => ("9104", "this device is offline"),
            Self::Tls => ("9105", "no trusted TLS connection to the server could be made"),
        }
    }
}

impl From<Unreachable> for Error {
    fn from(why: Unreachable) -> Self {
        let (code, what) = why.code_and_words();
        Self::new(ErrorKind::Network, format!("{what}; the session is kept and will be tried again"))
            .with_code(code)
    }
}
