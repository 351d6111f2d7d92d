//! Rates, and bounds on what OTPless may take.

use std::time::{Duration, Instant};

use otpless_local::{Fault, Operation};
use serde_json::json;

use crate::support::{Fixture, PATIENCE, VALIDATE};

#[tokio::test]
async fn d9_an_address_that_calls_too_often_gets_429_with_retry_after_and_otpless_hears_nothing() {
    let fixture = Fixture::with(|settings| settings.rate(3, 2)).await;
    let body = json!({ "sessionToken": fixture.issued.session_id });
    for _ in 0..3 {
        assert_eq!(fixture.post(VALIDATE, &body).await.status, 200);
    }
    for path in [VALIDATE, "/no/such/path"] {
        let reply = fixture.post(path, &body).await;
        assert!(reply.status == 429 && reply.is_the_relays_own(), "{reply:?}");
        let wait: u64 = reply.header("retry-after").and_then(|wait| wait.parse().ok()).unwrap();
        assert!((1..=30).contains(&wait), "half a minute a call: {wait}");
    }
    assert_eq!(fixture.control.requests().len(), 3);
}

#[tokio::test]
async fn d9_behind_a_proxy_the_client_is_whom_the_proxy_names_and_without_one_nobody_is_believed() {
    let post = async |fixture: &Fixture, forwarded: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", forwarded)];
        fixture.send("POST", VALIDATE, &headers, b"{\"sessionToken\":\"h.p.s\"}").await.status
    };
    let behind = Fixture::with(|settings| settings.rate(1, 1).behind_proxy(true)).await;
    assert_eq!(post(&behind, "192.0.2.1").await, 400);
    assert_eq!(post(&behind, "192.0.2.1").await, 429);
    assert_eq!(post(&behind, "192.0.2.2").await, 400);
    // With a port, which is another each time, and an IPv6 address in brackets.
    assert_eq!(post(&behind, "192.0.2.3:50001").await, 400);
    assert_eq!(post(&behind, "192.0.2.3:50002").await, 429);
    assert_eq!(post(&behind, "[2001:db8::1]:443").await, 400);
    assert_eq!(post(&behind, "[2001:db8::1]").await, 429);
    // What the client itself wrote stands before what the proxy has added.
    assert_eq!(post(&behind, "198.51.100.7, 192.0.2.1").await, 429);

    let open = Fixture::with(|settings| settings.rate(1, 1)).await;
    assert_eq!(post(&open, "192.0.2.1").await, 400);
    assert_eq!(post(&open, "192.0.2.2").await, 429, "an address that anybody can make up");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_504_in_time() {
    let fixture = Fixture::with(|settings| settings.upstream_time(Duration::from_millis(200))).await;
    fixture.control.fault(Operation::Any, Fault::Hang, 1);
    let asked = Instant::now();
    let reply = fixture.post(VALIDATE, &json!({ "sessionToken": "h.p.s" })).await;
    assert!(reply.status == 504 && reply.is_the_relays_own(), "{reply:?}");
    assert!(asked.elapsed() >= Duration::from_millis(200) && asked.elapsed() < PATIENCE / 2);
}
