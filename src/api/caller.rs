//! What both APIs have in common: JSON calls below a base URL.

use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    Answer, ApiError, Verdict,
    transport::{Request, Response, Transport},
};
use crate::{
    error::{Error, Result},
    jwt::MAX_TOKEN_BYTES,
};

/// Makes the calls of one API.
#[derive(Debug)]
pub(super) struct Caller {
    transport: Box<dyn Transport>,
    base: Url,
    /// The setting `base` came from, for errors.
    setting: &'static str,
}

/// One call, before it is put on the wire.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    /// The headers beside `Content-Type`, or why they cannot be sent.
    pub(super) headers: Result<HeaderMap>,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    /// The most that is read of the answer, in bytes.
    pub(super) limit: usize,
}

impl Caller {
    pub(super) fn new(transport: impl Transport, base: Url, setting: &'static str) -> Self {
        Self { transport: Box::new(transport), base, setting }
    }

    fn url(&self, path: &str) -> Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        // The path of a revocation names the session. At once of its length: growing would leave copies behind.
        let mut url = Zeroizing::new(String::with_capacity(base.len() + path.len()));
        url.push_str(base);
        url.push_str(path);
        Url::parse(&url).map_err(|_| {
            Error::invalid_config(format!("plugins.otpless.{} cannot carry the path of a call", self.setting))
        })
    }

    pub(super) async fn call<T>(
        &self,
        call: Call<'_>,
        read: impl FnOnce(&Response) -> std::result::Result<T, ApiError>,
    ) -> Answer<T> {
        let Call { method, path, headers, body, limit } = call;
        let sent = async {
            let (url, mut headers) = (self.url(path)?, headers?);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            self.transport.call(Request { method, url, headers, body, limit }).await
        };
        match sent.await {
            Ok(response) => Answer { outcome: read(&response), server_date: response.date },
            Err(error) => {
                let verdict = if error.is_retryable() { Verdict::Transient } else { Verdict::Permanent };
                Answer::err(ApiError { verdict, error })
            }
        }
    }
}

/// Serialised into one buffer of the final size: a growing one would leave unwiped copies behind.
pub(super) fn body(of: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(4 * MAX_TOKEN_BYTES));
    serde_json::to_writer(&mut *buffer, of).unwrap_or_else(|_| unreachable!("strings always serialise"));
    buffer
}
