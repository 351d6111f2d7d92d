//! The error table of both APIs, row by row.

use hyper::Method;
use otpless_local::{Fault, Operation, SignIn};
use serde_json::{Value, json};

use crate::support::{AUTHENTICATE, Fixture, REFRESH, V4_HEADERS, v4_body};

const NOBODY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn an_unknown_session_is_400_7414_everywhere() {
    let fixture = Fixture::new().await;
    let authenticate = fixture
        .v4(AUTHENTICATE, json!({ "sessionToken": NOBODY, "sessionTokenJWT": fixture.issued.session_token }));
    let expected =
        json!({ "message": "Unexpected Error", "errorCode": "7414", "description": "Session not present" });
    for reply in [authenticate.await, fixture.refresh(NOBODY).await, fixture.delete(NOBODY).await] {
        assert_eq!((reply.status, reply.json()), (400, expected.clone()));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn a_revoked_session_is_401_7415_everywhere() {
    let fixture = Fixture::new().await;
    assert!(fixture.control.revoke(&fixture.issued.session_id));
    let issued = &fixture.issued;
    let expected = json!({ "message": "Unexpected Error", "errorCode": "7415", "description": "Session is not in active state" });
    for reply in [
        fixture.authenticate(issued).await,
        fixture.refresh(&issued.refresh_token).await,
        fixture.delete(&issued.session_id).await,
    ] {
        assert_eq!((reply.status, reply.json()), (401, expected.clone()));
    }
    assert!(!fixture.control.revoke(&issued.session_id), "it was revoked already");
}

#[tokio::test]
async fn an_unknown_app_is_401_with_the_code_401_and_keeps_the_session() {
    let fixture = Fixture::new().await;
    let headers = [("appId", "ANOTHERAPP"), V4_HEADERS[1], V4_HEADERS[2]];
    let body = v4_body(json!({ "refreshToken": fixture.issued.refresh_token }));
    let reply = fixture.send(Method::POST, REFRESH, &headers, &body).await;
    assert_eq!(reply.refusal(), (401, "401".to_owned()));
    assert_eq!(reply.json()["message"], "UnAuthorized request, check your appId");
    let path = format!("/v4/session/{}", fixture.issued.session_id);
    assert_eq!(fixture.send(Method::DELETE, &path, &headers, &Value::Null).await.status, 401);
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_session_token_of_another_session_or_signer_is_7101() {
    let fixture = Fixture::new().await;
    let other = fixture.control.sign_in(SignIn::default());
    let claims = fixture.control.claims(&fixture.issued.session_id).expect("the session is present");
    let forged = fixture.control.mint_with_unknown_key(claims, json!({ "alg": "RS256", "kid": "local-1" }));
    for jwt in [other.session_token, forged, "not.a.token".to_owned(), "x".to_owned()] {
        let fields = json!({ "sessionToken": fixture.issued.session_id, "sessionTokenJWT": jwt });
        assert_eq!(fixture.v4(AUTHENTICATE, fields).await.refusal(), (400, "7101".to_owned()), "{jwt}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_7101() {
    let fixture = Fixture::new().await;
    let response = crate::support::within(crate::support::open(
        fixture.local.port(),
        Method::POST,
        REFRESH,
        &V4_HEADERS,
        b"{\"refreshToken\": ".to_vec(),
    ));
    assert_eq!(response.await.expect("there is an answer").status(), 400);
    let logged = fixture.control.requests().pop().expect("it was logged");
    assert_eq!((logged.body, logged.body_bytes), (Value::Null, 17));
    assert_eq!((logged.status, logged.outcome.as_str()), (Some(400), "refused: 7101"));
}

#[tokio::test]
async fn rate_limits_of_every_code_come_with_and_without_retry_after() {
    let fixture = Fixture::new().await;
    for (code, retry_after) in [("7020", None), ("7022", Some(0)), ("7023", Some(5)), ("7024", Some(86_400))]
    {
        let fault = Fault::RateLimited { code: code.to_owned(), retry_after };
        fixture.control.fault(Operation::Refresh, fault, 1);
        let reply = fixture.refresh(&fixture.issued.refresh_token).await;
        assert_eq!(reply.refusal(), (429, code.to_owned()));
        let expected = retry_after.map(|seconds: u64| seconds.to_string());
        assert_eq!(reply.header("retry-after"), expected.as_deref());
    }
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_404_and_logged() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.get("/v4/session").await.status, 404);
    assert_eq!(fixture.post("/v2/anything", json!({})).await.status, 404);
    let operations: Vec<_> = fixture.control.requests().iter().map(|request| request.operation).collect();
    assert_eq!(operations, [Operation::Unknown, Operation::Unknown]);
    assert_eq!(fixture.send(Method::GET, REFRESH, &[], &Value::Null).await.status, 405);
}
