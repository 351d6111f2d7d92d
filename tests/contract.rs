//! Every call to v4 is spelt exactly as OTPless documents it: method, path, headers, body.

use otpless_local::{LoggedRequest, Operation};
use serde_json::json;
use tauri_plugin_otpless::engine::{Credentials, SessionApi};

use crate::support::Device;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn only_request(device: &Device, operation: Operation) -> LoggedRequest {
    let requests = device.control.take_requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].operation, operation);
    requests.into_iter().next().unwrap()
}

fn assert_common_headers(request: &LoggedRequest, state: &str) {
    let header = |name: &str| {
        request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    };
    assert_eq!(header("appId"), Some("DEMOAPP00000000000001"));
    assert_eq!(header("state"), Some(state), "sent even when empty, as the SDKs do");
    assert_eq!(header("Content-Type"), Some("application/json"));
    assert_eq!(header("clientSecret"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn authenticate_sends_the_opaque_id_the_jwt_and_the_common_fields() {
    let device = Device::new().await;
    let credentials =
        Credentials { session_id: &ID.into(), session_token: &"h.p.s".into(), state: Some("st-1") };
    let _ = device.api().authenticate(credentials).await;
    let request = only_request(&device, Operation::Authenticate);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v4/session/authenticate"));
    assert_common_headers(&request, "st-1");
    assert_eq!(
        request.body,
        json!({
            "appId": "DEMOAPP00000000000001",
            "origin": "https://otpless.com",
            "loginUri": "https://otpless.com/rc5/appid/DEMOAPP00000000000001",
            "sessionToken": ID,
            "sessionTokenJWT": "h.p.s",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_sends_the_refresh_token_and_the_common_fields() {
    let device = Device::new().await;
    let _ = device.api().refresh(&"h.r.s".into(), None).await;
    let request = only_request(&device, Operation::Refresh);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v4/session/refresh"));
    assert_common_headers(&request, "");
    assert_eq!(
        request.body,
        json!({
            "appId": "DEMOAPP00000000000001",
            "origin": "https://otpless.com",
            "loginUri": "https://otpless.com/rc5/appid/DEMOAPP00000000000001",
            "refreshToken": "h.r.s",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_names_the_session_in_the_path_percent_encoded_and_has_no_body() {
    let device = Device::new().await;
    let _ = device.api().revoke(&ID.into()).await;
    let request = only_request(&device, Operation::Delete);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("DELETE", &*format!("/v4/session/{ID}")));
    assert_common_headers(&request, "");
    assert!(request.body.is_null(), "{}", request.body);

    let _ = device.api().revoke(&"a/b?c#d e".into()).await;
    let request = only_request(&device, Operation::Delete);
    assert_eq!(request.path, "/v4/session/a%2Fb%3Fc%23d%20e");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_of_the_local_otpless_are_understood() {
    let device = Device::new().await;
    let issued = device.issue();
    let api = device.api();
    let (id, token) = (issued.session_id.as_str().into(), issued.session_token.as_str().into());
    let credentials = Credentials { session_id: &id, session_token: &token, state: None };
    let authenticated = api.authenticate(credentials).await;
    assert!(authenticated.server_date.is_some(), "the Date header is read");
    assert_eq!(
        authenticated.outcome.unwrap(),
        Some(token),
        "a token with most of its life left is not renewed"
    );

    let refreshed = api.refresh(&issued.refresh_token.as_str().into(), None).await.outcome.unwrap();
    assert_eq!(refreshed.session_id, Some(issued.session_id.as_str().into()));
    assert!(refreshed.refresh_token.is_some_and(|new| new != issued.refresh_token.as_str().into()));

    api.revoke(&id).await.outcome.unwrap();
    api.revoke(&id).await.outcome.expect("a session that is gone already is what was wanted");
}
