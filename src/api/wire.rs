//! OTPless's v4 spelling: the bodies we send, the bodies we read, and what a refusal means.
//!
//! v4 calls the opaque handle `sessionToken` and the JWT `sessionTokenJWT`; everywhere else in the plugin they are
//! `session_id` and `session_token`. v1 is in [`v1`]; both share the table of errors here.

mod object;
pub(crate) mod v1;

use std::time::Duration;

use object::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    ApiError, Refreshed, Verdict,
    http::{MAX_ANONYMOUS_RETRY_AFTER, MAX_RETRY_AFTER},
    transport::Response,
};
use crate::{
    error::{Error, ErrorKind},
    jwt::{MAX_TOKEN_BYTES, strict_json},
    secret::{RefreshToken, SessionId, SessionToken},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommonFields<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) login_uri: &'a str,
}

#[derive(Serialize)]
pub(crate) struct AuthenticateBody<'a> {
    #[serde(flatten)]
    pub(crate) common: CommonFields<'a>,
    #[serde(rename = "sessionToken")]
    pub(crate) session_id: &'a str,
    #[serde(rename = "sessionTokenJWT")]
    pub(crate) session_token: &'a str,
}

#[derive(Serialize)]
pub(crate) struct RefreshBody<'a> {
    #[serde(flatten)]
    pub(crate) common: CommonFields<'a>,
    #[serde(rename = "refreshToken")]
    pub(crate) refresh_token: &'a str,
}

#[derive(Deserialize)]
struct AuthenticateAnswer {
    #[serde(rename = "sessionTokenJWT")]
    session_token: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct RefreshAnswer {
    #[serde(rename = "sessionToken")]
    session_id: Option<Zeroizing<String>>,
    #[serde(rename = "refreshToken")]
    refresh_token: Option<Zeroizing<String>>,
    #[serde(rename = "sessionTokenJWT")]
    session_token: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct Confirmation {
    success: bool,
}

/// `None` for absent, empty or oversized values: none of them is a token.
fn present<T: From<Zeroizing<String>>>(value: Option<Zeroizing<String>>) -> Option<T> {
    value.filter(|v| !v.is_empty() && v.len() <= MAX_TOKEN_BYTES).map(T::from)
}

impl From<Zeroizing<String>> for SessionId {
    fn from(value: Zeroizing<String>) -> Self {
        Self::new(value)
    }
}

impl From<Zeroizing<String>> for SessionToken {
    fn from(value: Zeroizing<String>) -> Self {
        Self::new(value)
    }
}

impl From<Zeroizing<String>> for RefreshToken {
    fn from(value: Zeroizing<String>) -> Self {
        Self::new(value)
    }
}

pub(crate) fn read_authenticate(response: &Response) -> Result<Option<SessionToken>, ApiError> {
    let answer: AuthenticateAnswer = accepted(response, Answerer::Otpless)?;
    match present(answer.session_token) {
        Some(token) => Ok(Some(token)),
        // "200 without the fields" is a proxy or a bug, not a confirmation (requirement C5).
        None => Err(unexpected_answer()),
    }
}

pub(crate) fn read_refresh(response: &Response) -> Result<Refreshed, ApiError> {
    let answer: RefreshAnswer = accepted(response, Answerer::Otpless)?;
    Ok(Refreshed {
        session_id: present(answer.session_id),
        session_token: present(answer.session_token).ok_or_else(unexpected_answer)?,
        refresh_token: present(answer.refresh_token),
    })
}

pub(crate) fn read_delete(response: &Response) -> Result<(), ApiError> {
    revoked(confirmed(response, Answerer::Otpless))
}

/// `{"success": true}`.
fn confirmed(response: &Response, from: Answerer) -> Result<(), ApiError> {
    match accepted(response, from)? {
        Confirmation { success: true } => Ok(()),
        Confirmation { success: false } => Err(unexpected_answer()),
    }
}

/// Already gone is what a revocation wants.
fn revoked(outcome: Result<(), ApiError>) -> Result<(), ApiError> {
    outcome.or_else(|error| if error.verdict == Verdict::Over { Ok(()) } else { Err(error) })
}

/// Who answers; it decides what a 401 is about.
#[derive(Clone, Copy)]
enum Answerer {
    Otpless,
    Relay,
}

impl Answerer {
    /// A 401 says nothing about the session. OTPless gives it a code of its own; without one it is a gateway's.
    fn unauthorized(self, code: Option<&str>) -> Error {
        let message = match (self, code) {
            (Self::Otpless, Some(_)) => {
                "OTPless refused the app id; check plugins.otpless.appId. The session is kept"
            }
            (Self::Otpless, None) => {
                "the request was refused with 401 and no reason; check plugins.otpless.appId and apiUrl. \
                 The session is kept"
            }
            (Self::Relay, Some(_)) => {
                "OTPless refused the relay's client id and secret; check them in the relay that \
                 plugins.otpless.relayUrl names. The session is kept"
            }
            (Self::Relay, None) => {
                "the relay, or what stands before it, refused the request and gave no reason; check \
                 plugins.otpless.relayUrl and relayHeaders, and the relay's client id and secret. The session is kept"
            }
        };
        match code {
            Some(_) => Error::invalid_config(message).with_code("401"),
            None => Error::invalid_config(message),
        }
    }
}

fn accepted<'a, T: Deserialize<'a>>(response: &'a Response, from: Answerer) -> Result<T, ApiError> {
    if response.status != 200 {
        return Err(classify(response, from));
    }
    // serde would not look at the bytes of fields that nobody asked for.
    let text = str::from_utf8(&response.body).map_err(|_| unexpected_answer())?;
    // serde_json's own message may quote the input, so it is dropped.
    serde_json::from_str(text).map(|Object(answer)| answer).map_err(|_| unexpected_answer())
}

fn unexpected_answer() -> ApiError {
    ApiError {
        verdict: Verdict::Transient,
        error: Error::new(
            ErrorKind::Server,
            "what answered is not OTPless (a captive portal or a proxy?) or sent a broken answer; \
             the session is kept and will be tried again",
        ),
    }
}

/// The error table of OTPless's documentation. Only 7414 and 7415, in OTPless's own JSON with a 4xx status, end a
/// session; everything else keeps it.
fn classify(response: &Response, from: Answerer) -> ApiError {
    // Read strictly, because it may end a session, and whole, because a refusal has no secret in it.
    let refusal = strict_json::object(&response.body).unwrap_or_default();
    let code = refusal.get("errorCode").and_then(Value::as_str).map(str::to_owned);
    let over = |message: &'static str, code: String| ApiError {
        verdict: Verdict::Over,
        error: Error::new(ErrorKind::Rejected, message).with_code(code),
    };
    match (response.status, code) {
        (400..=499, Some(code)) if code == "7414" => {
            over("OTPless does not know this session any more; sign in again", code)
        }
        (400..=499, Some(code)) if code == "7415" => {
            over("OTPless says this session was revoked or has expired; sign in again", code)
        }
        (429, code) => {
            let error =
                Error::new(ErrorKind::RateLimited, "the server asks for fewer requests; the session is kept")
                    .with_retry_after(wait(response, code.as_deref()));
            ApiError {
                verdict: Verdict::Transient,
                error: match code {
                    Some(code) => error.with_code(known(code)),
                    None => error,
                },
            }
        }
        // A code of its own, or none at all, on a 401: who asks is not known, which says nothing about the session.
        (401, code) if code.as_deref().is_none_or(|code| code == "401") => {
            ApiError { verdict: Verdict::Permanent, error: from.unauthorized(code.as_deref()) }
        }
        // OTPless does not use it; gateways do, for a key that is missing or wrong.
        (403, None) if matches!(from, Answerer::Relay) => {
            ApiError { verdict: Verdict::Permanent, error: from.unauthorized(None) }
        }
        (400, Some(code)) if code == "7101" => ApiError {
            verdict: Verdict::Permanent,
            error: Error::internal(
                "OTPless found the request malformed, which is a defect of this plugin; please report it. \
                 The session is kept",
            )
            .with_code("7101"),
        },
        (408 | 425 | 500..=599, code) => ApiError {
            verdict: Verdict::Transient,
            error: Error::new(
                ErrorKind::Server,
                format!(
                    "the server has a problem of its own (HTTP {}); the session is kept",
                    response.status
                ),
            )
            .with_retry_after(wait(response, code.as_deref())),
        },
        (status, _) if response.is_redirect() => ApiError {
            verdict: Verdict::Transient,
            error: Error::new(
                ErrorKind::Server,
                format!(
                    "the server answered with a redirect (HTTP {status}), which is never followed with tokens; \
                     the session is kept"
                ),
            ),
        },
        (status, code) => ApiError {
            verdict: Verdict::Transient,
            error: Error::new(
                ErrorKind::Server,
                format!(
                    "the server gave an answer OTPless does not document (HTTP {status}); the session is kept"
                ),
            )
            .with_retry_after(wait(response, code.as_deref())),
        },
    }
}

/// The wait that an answer asks for, as far as it is believed.
fn wait(response: &Response, code: Option<&str>) -> Option<Duration> {
    let most = if code.is_some_and(is_otpless) { MAX_RETRY_AFTER } else { MAX_ANONYMOUS_RETRY_AFTER };
    response.retry_after.map(|wait| wait.min(most))
}

/// Whether a code is one of OTPless's: 7 and three digits, or the 401 of its own.
fn is_otpless(code: &str) -> bool {
    code == "401"
        || (code.len() == 4 && code.starts_with('7') && code.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Codes are shown to people, so only what looks like one is passed on.
fn known(code: String) -> String {
    if code.len() <= 8 && code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        code
    } else {
        String::from("unknown")
    }
}
