use hyper::Method;
use otpless_local::SessionState;
use serde_json::{Value, json};

use crate::support::{Fixture, PHONE};

const CALLS: [&str; 4] =
    ["validate-session", "get-new-session-token", "get-session-details", "revoke-session"];

#[tokio::test]
async fn validate_session_accepts_the_opaque_id_and_the_token() {
    let fixture = Fixture::new().await;
    for token in [&fixture.issued.session_id, &fixture.issued.session_token] {
        let reply = fixture.v1("validate-session", json!({ "sessionToken": token })).await;
        assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
    }
}

#[tokio::test]
async fn get_new_session_token_answers_the_web_spelling_under_data() {
    let fixture = Fixture::new().await;
    let body = json!({ "refreshToken": fixture.issued.refresh_token });
    let reply = fixture.v1("get-new-session-token", body).await;
    let now = fixture.control.tokens(&fixture.issued.session_id).expect("the session is present");
    assert_ne!(now.refresh_token, fixture.issued.refresh_token);
    assert_eq!(
        (reply.status, reply.json()),
        (
            200,
            json!({
                "success": true,
                "data": {
                    "sessionId": now.session_id,
                    "refreshToken": now.refresh_token,
                    "sessionToken": now.session_token,
                },
            })
        )
    );
}

#[tokio::test]
async fn get_session_details_says_who_and_since_when() {
    let fixture = Fixture::new().await;
    fixture.control.set_clock_offset(60_000);
    assert_eq!(fixture.authenticate(&fixture.issued).await.status, 200);
    let body = json!({ "sessionToken": fixture.issued.session_id });
    let details = fixture.v1("get-session-details", body).await.json();
    assert_eq!(details["sessionToken"], fixture.issued.session_id);
    assert_eq!(details["userId"], fixture.issued.user_id);
    let time = |name: &str| details[name].as_i64().expect("milliseconds");
    let active_for = time("lastActiveAt") - time("startedAt");
    assert!((60_000..90_000).contains(&active_for), "{active_for}");
    let phone = &details["identities"][0];
    assert_eq!(
        [
            &phone["identityType"],
            &phone["identityValue"],
            &phone["channel"],
            &phone["methods"],
            &phone["name"]
        ],
        [&json!("MOBILE"), &json!(PHONE), &json!("OTP"), &json!(["OTP"]), &json!("Asha Rao")]
    );
    assert_eq!(phone["verifiedAt"], details["startedAt"], "milliseconds, as documented for this call");
    assert_eq!(details["deviceInfo"]["browser"], "Firefox");
    assert_eq!(details["network"]["ipLocation"]["country"]["code"], "IN");
}

#[tokio::test]
async fn revoke_session_revokes_the_refresh_token_with_it() {
    let fixture = Fixture::new().await;
    let body = json!({ "sessionToken": fixture.issued.session_token });
    let reply = fixture.v1("revoke-session", body.clone()).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Revoked));
    let not_active = (401, "7415".to_owned());
    let refresh = json!({ "refreshToken": fixture.issued.refresh_token });
    assert_eq!(fixture.v1("get-new-session-token", refresh).await.refusal(), not_active);
    assert_eq!(fixture.v1("validate-session", body.clone()).await.refusal(), not_active);
    assert_eq!(fixture.v1("get-session-details", body.clone()).await.refusal(), not_active);
    assert_eq!(fixture.v1("revoke-session", body).await.refusal(), not_active);
}

#[tokio::test]
async fn every_call_needs_the_client_id_and_secret() {
    let fixture = Fixture::new().await;
    let body =
        json!({ "sessionToken": fixture.issued.session_id, "refreshToken": fixture.issued.refresh_token });
    let (id, secret) = (("clientId", "LOCALCLIENTID"), ("clientSecret", "local-client-secret"));
    let wrong: [&[(&str, &str)]; 5] =
        [&[], &[id], &[secret], &[id, ("clientSecret", "guess")], &[("clientId", "guess"), secret]];
    for call in CALLS {
        for headers in wrong {
            let reply = fixture.send(Method::POST, &format!("/v1/sessions/{call}"), headers, &body).await;
            assert_eq!(reply.refusal(), (401, "401".to_owned()), "{call} with {headers:?}");
        }
    }
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Active));
}

#[tokio::test]
async fn every_call_refuses_a_missing_token_and_one_nobody_knows() {
    let fixture = Fixture::new().await;
    for call in CALLS {
        assert_eq!(fixture.v1(call, json!({})).await.refusal(), (400, "7101".to_owned()), "{call}");
        assert_eq!(fixture.v1(call, Value::Null).await.refusal(), (400, "7101".to_owned()), "{call}");
        let unknown = "0123456789abcdef0123456789abcdef";
        let body = json!({ "sessionToken": unknown, "refreshToken": unknown });
        assert_eq!(fixture.v1(call, body).await.refusal(), (400, "7414".to_owned()), "{call}");
    }
}
