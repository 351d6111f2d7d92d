//! A call as it came in, read to its end, and what is kept of it in the log.

use std::collections::BTreeMap;

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{answer::Refusal, operation::Operation};

/// Far more than any call needs.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A request as the log keeps it: in full, tokens included, because the contract tests look at them. It never leaves
/// the process so; what `GET /control/state` shows is without tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedRequest {
    /// Counts the requests since the start, from 1.
    pub n: u64,
    /// When it was decided, on the server's clock, in milliseconds since the epoch.
    pub at: i64,
    /// Which call it was.
    pub operation: Operation,
    /// `GET`, `POST`, `DELETE`…
    pub method: String,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// What follows the path after a question mark, as sent; empty where there is none.
    pub query: String,
    /// All headers, names in lower case; see [`header`](Self::header).
    pub headers: BTreeMap<String, String>,
    /// The JSON body; `null` where there was none or it is no JSON.
    pub body: Value,
    /// How many bytes the body had: tells no body from one that is no JSON.
    pub body_bytes: usize,
    /// The status of the answer; `None` where a fault lets there be none.
    pub status: Option<u16>,
    /// `ok`, `refused: <error code>` or `fault: <name of the fault>`.
    pub outcome: String,
}

impl LoggedRequest {
    /// The value of a header, whatever the case of its name: `appId`, `state`, `Content-Type`, `clientId`…
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) body_bytes: usize,
}

impl Call {
    pub(crate) async fn read(request: Request<Body>) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let bytes = to_bytes(body, MAX_BODY_BYTES)
            .await
            .map_err(|_| Refusal::Invalid("the body was not sent to its end or is too large"))?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
                .collect(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            body_bytes: bytes.len(),
        })
    }

    pub(crate) fn header(&self, lower_case_name: &str) -> Option<&str> {
        self.headers.get(lower_case_name).map(String::as_str)
    }

    pub(crate) fn is_json(&self) -> bool {
        let media_type = self.header("content-type").and_then(|value| value.split(';').next());
        media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
    }

    /// A text field of the body, if it is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The last segment of the path, percent-decoded.
    pub(crate) fn last_segment(&self) -> Option<String> {
        let segment = self.path.rsplit('/').next().filter(|segment| !segment.is_empty())?;
        percent_decode_str(segment).decode_utf8().ok().map(Into::into)
    }
}
