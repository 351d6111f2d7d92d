//! What reaches OTPless and what comes back.

use otpless_local::{Fault, Operation, SessionState};
use serde_json::json;

use crate::support::{
    CALLS, DETAILS, Fixture, REFRESH, REVOKE, VALIDATE, send, settings, something_that_answers,
};

#[tokio::test]
async fn the_four_calls_go_through_with_the_client_id_and_secret_added() {
    let fixture = Fixture::new().await;
    let issued = &fixture.issued;
    let id = json!({ "sessionToken": issued.session_id });

    let reply = fixture.post(VALIDATE, &json!({ "sessionToken": issued.session_token })).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
    let reply = fixture.post(DETAILS, &id).await;
    assert_eq!((reply.status, &reply.json()["userId"]), (200, &json!(issued.user_id)));
    let reply = fixture.post(REFRESH, &json!({ "refreshToken": issued.refresh_token })).await;
    let now = fixture.control.tokens(&issued.session_id).unwrap();
    assert_eq!((reply.status, &reply.json()["data"]["refreshToken"]), (200, &json!(now.refresh_token)));
    let reply = fixture.post(REVOKE, &id).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
    assert_eq!(fixture.control.session_state(&issued.session_id), Some(SessionState::Revoked));

    for request in fixture.control.take_requests() {
        assert_eq!(request.header("clientId"), Some("LOCALCLIENTID"), "{}", request.path);
        assert_eq!(request.header("clientSecret"), Some("local-client-secret"));
        assert_eq!(request.body.as_object().map(serde_json::Map::len), Some(1), "one field and no more");
    }
}

#[tokio::test]
async fn no_header_of_the_client_goes_along() {
    let fixture = Fixture::new().await;
    let body = json!({ "sessionToken": fixture.issued.session_id }).to_string();
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("clientId", "ANOTHER"),
        ("clientSecret", "another"),
        ("cookie", "a=b"),
        ("x-api-key", "k"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    assert_eq!(fixture.send("POST", VALIDATE, &headers, body.as_bytes()).await.status, 200);
    let request = fixture.control.take_requests().remove(0);
    let mut names: Vec<_> = request.headers.keys().map(String::as_str).collect();
    names.retain(|name| !matches!(*name, "accept" | "host" | "user-agent"));
    assert_eq!(names, ["clientid", "clientsecret", "content-length", "content-type"]);
    assert_eq!(request.header("clientId"), Some("LOCALCLIENTID"));
}

#[tokio::test]
async fn c5_otpless_s_own_refusals_are_passed_on_with_their_status_code_and_retry_after() {
    let fixture = Fixture::new().await;
    let limited = Fault::RateLimited { code: "7022".into(), retry_after: Some(7) };
    for (fault, status, code) in [
        (Fault::NotPresent7414, 400, json!("7414")),
        (Fault::NotActive7415, 401, json!("7415")),
        (Fault::Invalid7101, 400, json!("7101")),
        (Fault::ServerError500, 500, json!(null)),
        (Fault::Unauthorized401NoCode, 401, json!(null)),
        (limited.clone(), 429, json!("7022")),
    ] {
        fixture.control.fault(Operation::Any, fault.clone(), 1);
        let reply = fixture.post(VALIDATE, &json!({ "sessionToken": "h.p.s" })).await;
        assert_eq!((reply.status, &reply.json()["errorCode"]), (status, &code), "{fault:?}");
        assert_eq!(reply.header("retry-after"), (fault == limited).then_some("7"), "{fault:?}");
        assert!(reply.json()["message"].is_string(), "{fault:?}");
    }
}

#[tokio::test]
async fn the_date_is_otpless_s_by_which_tokens_expire() {
    let fixture = Fixture::new().await;
    fixture.control.set_clock_offset(-10 * 365 * 24 * 3600 * 1000);
    let reply = fixture.post(VALIDATE, &json!({ "sessionToken": "h.p.s" })).await;
    let direct = send(
        format!("127.0.0.1:{}", fixture.local.port()).parse().unwrap(),
        "POST",
        VALIDATE,
        &[("content-type", "application/json")],
        b"{}",
    )
    .await;
    let year = |date: Option<&str>| date.and_then(|date| date.split(' ').nth(3)).map(str::to_owned);
    assert!(direct.header("date").is_some());
    assert_eq!(year(reply.header("date")), year(direct.header("date")));
}

#[tokio::test]
async fn nothing_else_that_upstream_sends_comes_back() {
    let upstream = something_that_answers(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nset-cookie: a=b\r\nserver: x\r\nx-internal: y\r\n\
         keep-alive: timeout=5\r\ncontent-length: 16\r\n\r\n{\"success\":true}",
    )
    .await;
    let fixture = Fixture::with(|_| settings(&upstream)).await;
    let reply = fixture.post(VALIDATE, &json!({ "sessionToken": "h.p.s" })).await;
    let mut names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "connection", "content-length", "content-type", "date"]);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("connection"), Some("close"), "which is this connection's");
    assert_eq!(reply.json(), json!({ "success": true }));
}

#[tokio::test]
async fn c5_whatever_is_not_otpless_is_a_502_without_a_code() {
    let fixture = Fixture::new().await;
    for fault in [
        Fault::BadGateway502Html,
        Fault::CaptivePortal200Html,
        Fault::CutOffBody,
        Fault::ConnectionReset,
        Fault::Redirect(307, "http://127.0.0.1:9/".into()),
        Fault::Huge(100_000),
        Fault::Status(200, "[]".into()),
        Fault::Status(400, "7414".into()),
        Fault::Status(204, String::new()),
    ] {
        fixture.control.fault(Operation::Any, fault.clone(), 1);
        let reply = fixture.post(VALIDATE, &json!({ "sessionToken": "h.p.s" })).await;
        assert_eq!(reply.status, 502, "{fault:?}");
        assert!(reply.is_the_relays_own(), "{fault:?}: {reply:?}");
    }
    fixture.local.go_offline().await;
    for path in CALLS {
        let body = json!({ (if path == REFRESH { "refreshToken" } else { "sessionToken" }): "h.p.s" });
        let reply = fixture.post(path, &body).await;
        assert!(reply.status == 502 && reply.is_the_relays_own(), "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn e2_a_redirect_is_not_followed_with_the_client_secret() {
    let (fixture, other) = (Fixture::new().await, Fixture::new().await);
    for status in [301, 302, 307, 308] {
        let target = format!("{}{VALIDATE}", other.local.url());
        fixture.control.fault(Operation::Any, Fault::Redirect(status, target), 1);
        assert_eq!(fixture.post(VALIDATE, &json!({ "sessionToken": "h.p.s" })).await.status, 502);
    }
    assert!(other.control.requests().is_empty());
}
