use std::time::Duration;

use hyper::Method;
use otpless_local::{Operation, Settings};
use serde_json::{Value, json};

use crate::support::{AUTHENTICATE, Fixture, PHONE, REFRESH, V4_HEADERS, v4_body};

#[tokio::test]
async fn authenticate_answers_the_same_token_while_half_its_life_is_left() {
    let fixture = Fixture::with(Settings { session_token_seconds: 1000, ..Settings::default() }).await;
    // Just before half time; the second that passes while the test runs must not matter.
    fixture.control.set_clock_offset(490_000);
    let reply = fixture.authenticate(&fixture.issued).await;
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({ "sessionTokenJWT": fixture.issued.session_token }))
    );
}

#[tokio::test]
async fn authenticate_answers_a_renewed_token_when_less_than_half_is_left() {
    let fixture = Fixture::with(Settings { session_token_seconds: 1000, ..Settings::default() }).await;
    fixture.control.set_clock_offset(502_000);
    let reply = fixture.authenticate(&fixture.issued).await;
    let renewed = reply.json()["sessionTokenJWT"].as_str().expect("a token").to_owned();
    assert_eq!(reply.status, 200);
    assert_ne!(renewed, fixture.issued.session_token);
    assert_eq!(
        fixture.control.tokens(&fixture.issued.session_id).map(|now| now.session_token),
        Some(renewed)
    );
}

#[tokio::test]
async fn refresh_answers_the_opaque_id_and_two_new_tokens() {
    let fixture = Fixture::new().await;
    let reply = fixture.refresh(&fixture.issued.refresh_token).await;
    let now = fixture.control.tokens(&fixture.issued.session_id).expect("the session is present");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json(),
        json!({
            "sessionToken": fixture.issued.session_id,
            "refreshToken": now.refresh_token,
            "sessionTokenJWT": now.session_token,
        })
    );
    assert_ne!(now.session_token, fixture.issued.session_token);
    assert_ne!(now.refresh_token, fixture.issued.refresh_token);
    assert_eq!(fixture.authenticate(&now).await.status, 200);
}

#[tokio::test]
async fn delete_ends_the_session_and_says_so() {
    let fixture = Fixture::new().await;
    let reply = fixture.delete(&fixture.issued.session_id).await;
    assert_eq!((reply.status, &reply.json()["success"]), (200, &Value::Bool(true)));
    assert!(reply.json()["message"].is_string());
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), None);
    assert_eq!(fixture.authenticate(&fixture.issued).await.refusal(), (400, "7414".to_owned()));
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.refusal(), (400, "7414".to_owned()));
}

#[tokio::test]
async fn delete_decodes_percent_escapes() {
    let fixture = Fixture::new().await;
    let escaped: String = fixture.issued.session_id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(fixture.delete(&escaped).await.status, 200);
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), None);
    // The log shows what was sent, so that a contract test can see the escapes.
    let request = fixture.control.requests().pop().expect("it was logged");
    assert_eq!((request.operation, request.path), (Operation::Delete, format!("/v4/session/{escaped}")));
}

#[tokio::test]
async fn deleting_a_session_twice_is_answered_7414() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.delete(&fixture.issued.session_id).await.status, 200);
    assert_eq!(fixture.delete(&fixture.issued.session_id).await.refusal(), (400, "7414".to_owned()));
}

#[tokio::test]
async fn every_answer_carries_the_date_of_the_servers_clock() {
    let fixture = Fixture::new().await;
    const THREE_DAYS: Duration = Duration::from_secs(3 * 24 * 60 * 60);
    fixture.control.set_clock_offset(THREE_DAYS.as_millis() as i64);
    let replies = [
        fixture.refresh(&fixture.issued.refresh_token).await,
        fixture.v1("validate-session", json!({ "sessionToken": fixture.issued.session_id })).await,
        fixture.get(crate::support::JWKS).await,
    ];
    for reply in replies {
        let date =
            httpdate::parse_http_date(reply.header("date").expect("there is a Date")).expect("it is one");
        let ahead = date.duration_since(std::time::SystemTime::now()).expect("it is in the future");
        assert!(ahead.abs_diff(THREE_DAYS) < Duration::from_secs(60), "{ahead:?}");
    }
}

#[tokio::test]
async fn the_common_fields_and_headers_are_required() {
    let fixture = Fixture::new().await;
    let fields = json!({
        "sessionToken": fixture.issued.session_id,
        "sessionTokenJWT": fixture.issued.session_token,
        "refreshToken": fixture.issued.refresh_token,
    });
    let invalid = (400, "7101".to_owned());
    for path in [AUTHENTICATE, REFRESH] {
        for missing in ["appid", "state", "content-type"] {
            let headers: Vec<_> =
                V4_HEADERS.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case(missing)).collect();
            let reply = fixture.send(Method::POST, path, &headers, &v4_body(fields.clone())).await;
            assert_eq!(reply.refusal(), invalid, "{path} without the header {missing}");
        }
        for wrong in ["appId", "origin", "loginUri"] {
            let mut body = v4_body(fields.clone());
            body[wrong] = "https://otpless.example".into();
            let reply = fixture.send(Method::POST, path, &V4_HEADERS, &body).await;
            assert_eq!(reply.refusal(), invalid, "{path} with a wrong {wrong}");
            body.as_object_mut().expect("an object").remove(wrong);
            let reply = fixture.send(Method::POST, path, &V4_HEADERS, &body).await;
            assert_eq!(reply.refusal(), invalid, "{path} without {wrong}");
        }
    }
    for (path, missing) in
        [(AUTHENTICATE, "sessionToken"), (AUTHENTICATE, "sessionTokenJWT"), (REFRESH, "refreshToken")]
    {
        for nothing in [Value::Null, json!(""), json!(7)] {
            let mut body = v4_body(fields.clone());
            body[missing] = nothing.clone();
            let reply = fixture.send(Method::POST, path, &V4_HEADERS, &body).await;
            assert_eq!(reply.refusal(), invalid, "{path} with {missing} {nothing}");
        }
    }
    let path = format!("/v4/session/{}", fixture.issued.session_id);
    for missing in ["appid", "state", "content-type"] {
        let headers: Vec<_> =
            V4_HEADERS.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case(missing)).collect();
        let reply = fixture.send(Method::DELETE, &path, &headers, &Value::Null).await;
        assert_eq!(reply.refusal(), invalid, "delete without the header {missing}");
    }
    // None of it touched the session: its first refresh token is still the one that counts.
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_user_is_recognised_by_the_phone_number() {
    let fixture = Fixture::new().await;
    let sign_in = |phone: Option<&str>| {
        let who = otpless_local::SignIn { phone: phone.map(str::to_owned), ..Default::default() };
        fixture.control.sign_in(who)
    };
    let again = sign_in(Some(PHONE));
    assert_eq!(again.user_id, fixture.issued.user_id);
    assert_ne!(again.session_id, fixture.issued.session_id);
    assert_ne!(sign_in(Some("4915112345678")).user_id, fixture.issued.user_id);
    assert_ne!(sign_in(None).user_id, sign_in(None).user_id);
}
