//! Answers: OTPless's, passed on, and the relay's own, which never carry an `errorCode`. To an app those codes are verdicts on
//! its session, and the relay has none to give.

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderName, HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
};
use serde_json::json;

/// An answer of the relay's own.
pub(crate) fn own(status: StatusCode, message: &str) -> Response<Body> {
    json_response(status, json!({ "message": message }).to_string().into())
}

/// 429 with the time to wait, in whole seconds.
pub(crate) fn too_many(wait: std::time::Duration) -> Response<Body> {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let message = "this address calls the relay more often than a session needs; wait and try again";
    with(own(StatusCode::TOO_MANY_REQUESTS, message), RETRY_AFTER, HeaderValue::from(seconds))
}

pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let response = with(response, CONTENT_TYPE, HeaderValue::from_static("application/json"));
    with(response, CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

pub(crate) fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}
