//! The five steps of `fetch` as a page calls them. What they do is told in [`fetch`](crate::fetch).

use serde_json::Value;
use tauri::{
    AppHandle, Manager, Runtime, command,
    ipc::{InvokeBody, Request, Response},
};

use crate::{
    arguments::argument,
    caller::{CallerScope, TokenCaller},
    error::{Error, Result},
    fetch::{Ask, Desk, Head},
};

/// The header of `fetch_write` that says which call a piece is for: its body is the piece.
const CALL_HEADER: &str = "otpless-call";

#[command]
pub(crate) async fn fetch<R: Runtime>(
    app: AppHandle<R>,
    caller: TokenCaller,
    scope: CallerScope,
    arguments: Request<'_>,
) -> Result<u64> {
    let ask = Ask::from_json(argument(&arguments, "request")?.cloned().unwrap_or_default())?;
    app.state::<Desk>().open(caller.0, ask, scope.0)
}

#[command]
pub(crate) async fn fetch_write<R: Runtime>(
    app: AppHandle<R>,
    caller: TokenCaller,
    arguments: Request<'_>,
) -> Result<()> {
    let number = arguments.headers().get(CALL_HEADER).and_then(|number| number.to_str().ok()?.parse().ok());
    let number = number.ok_or_else(|| {
        Error::invalid_argument(format!("the header {CALL_HEADER} is not the number of a call"))
    })?;
    app.state::<Desk>().write(&caller.0, number, &piece(arguments.body())?).await
}

#[command]
pub(crate) async fn fetch_send<R: Runtime>(
    app: AppHandle<R>,
    caller: TokenCaller,
    arguments: Request<'_>,
) -> Result<Head> {
    app.state::<Desk>().send(&caller.0, number(&arguments)?).await
}

#[command]
pub(crate) async fn fetch_read<R: Runtime>(
    app: AppHandle<R>,
    caller: TokenCaller,
    arguments: Request<'_>,
) -> Result<Response> {
    app.state::<Desk>().read(&caller.0, number(&arguments)?).await.map(Response::new)
}

#[command]
pub(crate) async fn fetch_cancel<R: Runtime>(
    app: AppHandle<R>,
    caller: TokenCaller,
    arguments: Request<'_>,
) -> Result<()> {
    app.state::<Desk>().cancel(&caller.0, number(&arguments)?);
    Ok(())
}

fn number(arguments: &Request<'_>) -> Result<u64> {
    argument(arguments, "call")?
        .and_then(Value::as_u64)
        .ok_or_else(|| Error::invalid_argument("call is not the number of a call"))
}

/// A piece of a body: bytes, or where Tauri's IPC has none (Android, and pages that may not use its protocol) a list of
/// numbers.
fn piece(body: &InvokeBody) -> Result<std::borrow::Cow<'_, [u8]>> {
    match body {
        InvokeBody::Raw(bytes) => Ok(bytes.into()),
        InvokeBody::Json(Value::Array(numbers)) => numbers
            .iter()
            .map(|number| number.as_u64().and_then(|number| u8::try_from(number).ok()))
            .collect::<Option<Vec<u8>>>()
            .map(Into::into)
            .ok_or_else(|| Error::invalid_argument("the piece of a body is not made of bytes")),
        InvokeBody::Json(_) => Err(Error::invalid_argument("the piece of a body is not made of bytes")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d8_a_piece_is_bytes_or_numbers_that_are() {
        assert_eq!(*piece(&InvokeBody::Raw(vec![0, 255])).unwrap(), [0, 255]);
        assert_eq!(*piece(&InvokeBody::Json(json!([0, 255]))).unwrap(), [0, 255]);
        assert!(piece(&InvokeBody::Json(json!([]))).unwrap().is_empty());
        for bad in
            [json!(null), json!({}), json!("AP8="), json!([256]), json!([-1]), json!([1.5]), json!(["1"])]
        {
            assert!(piece(&InvokeBody::Json(bad.clone())).is_err(), "{bad}");
        }
    }
}
