//! Signing in as the script does it.

use hyper::Method;
use otpless_local::{SessionState, Settings};
use serde_json::{Value, json};

use crate::support::{Fixture, Reply};

const NATIONAL: &str = "98765 43210";

fn request(otp: Option<&str>) -> Value {
    let mut request = json!({
        "appId": "DEMOAPP00000000000001",
        "channel": "PHONE",
        "phone": NATIONAL,
        "countryCode": "+91",
    });
    if let Some(otp) = otp {
        request["otp"] = otp.into();
    }
    request
}

async fn initiate(fixture: &Fixture) -> String {
    assert_eq!(fixture.post("/local/initiate", request(None)).await.status, 200);
    let sent = fixture.control.codes().remove(0);
    assert_eq!(sent.phone, "919876543210");
    sent.code
}

async fn verify(fixture: &Fixture, code: &str) -> Reply {
    fixture.post("/local/verify", request(Some(code))).await
}

fn wrong(code: &str) -> String {
    let first = if code.starts_with('0') { "1" } else { "0" };
    format!("{first}{}", &code[1..])
}

#[tokio::test]
async fn the_right_code_signs_in_with_everything_one_tap_has() {
    let fixture = Fixture::new().await;
    let code = initiate(&fixture).await;
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let response = verify(&fixture, &code).await.json();
    assert_eq!(response["status"], "SUCCESS");
    assert!(response["token"].is_string() && response["timestamp"].is_string());
    let info = &response["sessionInfo"];
    let id = info["sessionId"].as_str().expect("an id");
    let issued = fixture.control.tokens(id).expect("the session is present");
    assert_eq!(response["userId"], issued.user_id);
    assert_eq!(
        (&info["sessionToken"], &info["refreshToken"]),
        (&json!(issued.session_token), &json!(issued.refresh_token))
    );
    let identity = &response["identities"][0];
    assert_eq!(
        [&identity["identityType"], &identity["identityValue"], &identity["channel"], &identity["verified"]],
        [&json!("MOBILE"), &json!("919876543210"), &json!("OTP"), &json!(true)]
    );
    assert_eq!(fixture.control.session_state(id), Some(SessionState::Active));
    // The same phone is the same user, and the code is used up.
    assert_eq!(issued.user_id, fixture.issued.user_id);
    assert_eq!(fixture.control.codes(), []);
    assert_eq!(verify(&fixture, &code).await.refusal(), (400, "7101".to_owned()));
}

#[tokio::test]
async fn three_wrong_codes_make_the_right_one_useless() {
    let fixture = Fixture::new().await;
    let code = initiate(&fixture).await;
    for _ in 0..2 {
        assert_eq!(verify(&fixture, &wrong(&code)).await.refusal(), (400, "7101".to_owned()));
    }
    assert_eq!(fixture.control.codes().len(), 1, "two are forgiven");
    assert_eq!(verify(&fixture, &wrong(&code)).await.status, 400);
    assert_eq!(fixture.control.codes(), []);
    assert_eq!(verify(&fixture, &code).await.refusal(), (400, "7101".to_owned()));
}

#[tokio::test]
async fn two_wrong_codes_are_forgiven() {
    let fixture = Fixture::new().await;
    let code = initiate(&fixture).await;
    for _ in 0..2 {
        verify(&fixture, &wrong(&code)).await;
    }
    assert_eq!(verify(&fixture, &code).await.status, 200);
}

#[tokio::test]
async fn a_code_is_good_for_five_minutes() {
    let fixture = Fixture::new().await;
    let code = initiate(&fixture).await;
    fixture.control.set_clock_offset(300_000);
    assert_eq!(verify(&fixture, &code).await.refusal(), (400, "7101".to_owned()));
    fixture.control.set_clock_offset(0);
    let code = initiate(&fixture).await;
    fixture.control.set_clock_offset(280_000);
    assert_eq!(verify(&fixture, &code).await.status, 200);
}

#[tokio::test]
async fn a_new_code_replaces_the_one_before() {
    let fixture = Fixture::new().await;
    let first = initiate(&fixture).await;
    let mut second = initiate(&fixture).await;
    // Once in a million times it is the same.
    while second == first {
        second = initiate(&fixture).await;
    }
    assert_eq!(verify(&fixture, &first).await.status, 400);
    assert_eq!(verify(&fixture, &second).await.status, 200);
}

#[tokio::test]
async fn impossible_requests_are_refused() {
    let fixture = Fixture::new().await;
    for (field, value, status) in [
        ("phone", json!("not a number"), 400),
        ("phone", json!("1"), 400),
        ("phone", json!("12345678901234567890"), 400),
        ("phone", json!(9_876_543_210_u64), 400),
        ("countryCode", json!(""), 400),
        ("channel", json!("EMAIL"), 400),
        ("appId", json!(""), 400),
        ("appId", json!("ANOTHERAPP"), 401),
    ] {
        let mut body = request(None);
        body[field] = value.clone();
        assert_eq!(fixture.post("/local/initiate", body).await.status, status, "{field} {value}");
    }
    assert_eq!(fixture.control.codes(), []);
    initiate(&fixture).await;
    assert_eq!(fixture.post("/local/verify", request(None)).await.refusal(), (400, "7101".to_owned()));
}

#[tokio::test]
async fn the_script_is_javascript_and_pages_of_any_origin_may_use_it() {
    let fixture = Fixture::with(Settings::default()).await;
    let script = fixture.get("/v4/headless.js").await;
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(String::from_utf8_lossy(&script.body).contains("window.OTPless = OTPless"));
    assert_eq!(script.header("access-control-allow-origin"), Some("*"));

    let origin = ("origin", "tauri://localhost");
    for path in ["/local/initiate", "/local/verify", "/control/state", "/control/revoke"] {
        let asks = [
            origin,
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let preflight = fixture.send(Method::OPTIONS, path, &asks, &Value::Null).await;
        assert_eq!(preflight.status, 204, "{path}");
        assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
        assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type"));
    }
    let refused = fixture.post("/local/verify", request(Some("000000"))).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (400, Some("*")));
    // The APIs themselves are not for pages.
    assert_eq!(fixture.get(crate::support::JWKS).await.header("access-control-allow-origin"), None);
}
