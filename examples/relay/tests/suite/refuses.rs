//! What never reaches OTPless.

use serde_json::{Value, json};

use crate::support::{CALLS, Fixture, REFRESH, Reply, VALIDATE};

fn refused(fixture: &Fixture, reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.is_the_relays_own(), "{reply:?}");
    assert!(fixture.control.requests().is_empty(), "OTPless was not asked");
}

#[tokio::test]
async fn bodies_that_are_no_calls_are_refused() {
    let fixture = Fixture::new().await;
    for path in CALLS {
        let (right, wrong) = match path {
            REFRESH => ("refreshToken", "sessionToken"),
            _ => ("sessionToken", "refreshToken"),
        };
        for body in [
            json!(null),
            json!([]),
            json!({}),
            json!({ (wrong): "h.p.s" }),
            json!({ (right): 1 }),
            json!({ (right): "" }),
            json!({ (right): "no token" }),
            json!({ (right): "h.p" }),
            json!({ (right): "h.p.s", "clientSecret": "x" }),
            json!({ (right): format!("h.p.{}", "s".repeat(16 * 1024)) }),
        ] {
            refused(&fixture, &fixture.post(path, &body).await, 400);
        }
    }
}

#[tokio::test]
async fn a_token_of_16_kib_is_passed_on_and_a_larger_body_is_not_even_read() {
    let fixture = Fixture::new().await;
    let huge = json!({ "sessionToken": "a".repeat(200 * 1024) });
    refused(&fixture, &fixture.post(VALIDATE, &huge).await, 413);
    let longest = json!({ "sessionToken": format!("h.p.{}", "s".repeat(16 * 1024 - 4)) });
    let reply = fixture.post(VALIDATE, &longest).await;
    assert_eq!(reply.json()["errorCode"], "7101", "OTPless's own word on it");
}

#[tokio::test]
async fn other_paths_methods_and_types_are_refused() {
    let fixture = Fixture::new().await;
    let good = json!({ "sessionToken": fixture.issued.session_id }).to_string();
    let send = async |method: &str, path: &str, kind: &str| {
        fixture.send(method, path, &[("content-type", kind)], good.as_bytes()).await
    };
    let id = &fixture.issued.session_id;
    let delete = format!("/v4/session/{id}");
    for path in ["/", "/v1/sessions", "/v1/sessions/validate-session/", "/v1/sessions/..%2fadmin", &delete] {
        refused(&fixture, &send("POST", path, "application/json").await, 404);
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let reply = send(method, VALIDATE, "application/json").await;
        refused(&fixture, &reply, 405);
        assert_eq!(reply.header("allow"), Some("POST"));
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        refused(&fixture, &send("POST", VALIDATE, kind).await, 415);
    }
    assert_eq!(send("POST", VALIDATE, "application/json").await.status, 200);
}

#[tokio::test]
async fn a_refusal_quotes_nothing_of_what_was_sent() {
    let fixture = Fixture::new().await;
    for body in [json!({ "sessionToken": "canary canary" }), json!({ "canary": "h.p.s" }), json!("canary")] {
        let reply = fixture.post(VALIDATE, &body).await;
        let message: Value = reply.json()["message"].clone();
        assert!(!message.to_string().contains("canary"), "{message}");
    }
}
