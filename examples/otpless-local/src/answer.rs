//! Answers and OTPless's error table.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde_json::{Value, json};

/// An answer before it is put on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Vec<u8>,
    /// For the log: `ok`, or the error code.
    pub(crate) outcome: String,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let outcome = match body.get("errorCode").and_then(Value::as_str) {
            Some(code) => format!("refused: {code}"),
            None if status < 400 => "ok".to_owned(),
            None => format!("refused: {status}"),
        };
        Self::new(status, "application/json", body.to_string().into_bytes()).with_outcome(outcome)
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn html(status: u16, page: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", page.as_bytes().to_vec())
    }

    pub(crate) fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, headers: Vec::new(), body, outcome: "ok".to_owned() }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: impl Into<String>) -> Self {
        self.outcome = outcome.into();
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// Why a call is refused: a row of the error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotPresent,
    NotActive,
    Invalid(&'static str),
    UnknownApp,
    WrongClient,
    NoSuchCall,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let error = |status, message: &str, code: &str, description: &str| {
            Self::json(status, &json!({ "message": message, "errorCode": code, "description": description }))
        };
        match refusal {
            Refusal::NotPresent => error(400, "Unexpected Error", "7414", "Session not present"),
            Refusal::NotActive => error(401, "Unexpected Error", "7415", "Session is not in active state"),
            Refusal::Invalid(what) => error(400, "Unexpected Error", "7101", what),
            Refusal::UnknownApp => {
                let message = "UnAuthorized request, check your appId";
                error(401, message, "401", message)
            }
            Refusal::WrongClient => {
                let message = "UnAuthorized request, check your client id and secret";
                error(401, message, "401", message)
            }
            Refusal::NoSuchCall => Self::json(404, &json!({ "message": "Not Found" })),
        }
    }
}

impl<T: Into<Answer>> From<Result<Answer, T>> for Answer {
    fn from(result: Result<Answer, T>) -> Self {
        result.unwrap_or_else(Into::into)
    }
}
