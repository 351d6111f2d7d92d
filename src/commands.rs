//! What a page may call; one line each. Who may call what is decided by the permissions, and for what carries a token or a
//! person's identities by [`TokenCaller`] as well.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tauri::{AppHandle, Runtime, command, ipc::Request};

use crate::{
    OtplessExt,
    api::SessionDetails,
    arguments::argument,
    caller::TokenCaller,
    clock::Timestamp,
    error::{Error, Result},
    session::{
        DEFAULT_MIN_VALIDITY,
        snapshot::{Diagnostics, Session},
    },
};

#[command]
pub(crate) async fn get_session<R: Runtime>(app: AppHandle<R>) -> Session {
    app.otpless().session().await
}

#[command]
pub(crate) async fn logout<R: Runtime>(app: AppHandle<R>) -> Session {
    app.otpless().logout().await
}

#[command]
pub(crate) async fn record_activity<R: Runtime>(app: AppHandle<R>) -> Session {
    app.otpless().record_activity()
}

#[command]
pub(crate) async fn verify_session<R: Runtime>(app: AppHandle<R>) -> Result<Session> {
    app.otpless().verify().await
}

#[command]
pub(crate) async fn refresh_session<R: Runtime>(app: AppHandle<R>) -> Result<Session> {
    app.otpless().refresh().await
}

#[command]
pub(crate) async fn start_session<R: Runtime>(
    app: AppHandle<R>,
    _caller: TokenCaller,
    arguments: Request<'_>,
) -> Result<Session> {
    let result = argument(&arguments, "result")?.cloned();
    app.otpless().start_session(result.unwrap_or_default()).await
}

/// The one answer that carries a token, to a page that was given the permission for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenAnswer {
    token: String,
    expires_at: Timestamp,
}

#[command]
pub(crate) async fn get_session_token<R: Runtime>(
    app: AppHandle<R>,
    _caller: TokenCaller,
    arguments: Request<'_>,
) -> Result<TokenAnswer> {
    let min_validity = validity(argument(&arguments, "minValidity")?)?;
    let valid = app.otpless().session_token(min_validity).await?;
    Ok(TokenAnswer { token: valid.token.expose().to_owned(), expires_at: valid.expires_at })
}

#[command]
pub(crate) async fn get_session_details<R: Runtime>(
    app: AppHandle<R>,
    _caller: TokenCaller,
) -> Result<SessionDetails> {
    app.otpless().session_details().await
}

#[command]
pub(crate) async fn diagnostics<R: Runtime>(app: AppHandle<R>) -> Diagnostics {
    app.otpless().diagnostics()
}

fn validity(seconds: Option<&Value>) -> Result<Duration> {
    match seconds {
        None | Some(Value::Null) => Ok(DEFAULT_MIN_VALIDITY),
        Some(seconds) => seconds
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| Error::invalid_argument("minValidity is not a number of seconds from 0 up")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d8_min_validity_takes_seconds_and_refuses_everything_else() {
        assert_eq!(validity(None).unwrap(), DEFAULT_MIN_VALIDITY);
        assert_eq!(validity(Some(&json!(1.5))).unwrap(), Duration::from_millis(1500));
        for bad in [json!(-1), json!(1e300), json!("60"), json!([1]), json!({})] {
            assert!(validity(Some(&bad)).is_err(), "{bad}");
        }
    }
}
