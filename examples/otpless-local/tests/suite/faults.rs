//! Each fault as a client sees it, and that it leaves the session as it says.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Method;
use otpless_local::{Fault, Operation, SessionState};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Fixture, JWKS, REFRESH, Reply, V4_HEADERS, open, v4_body, within};

/// The answer to a refresh under `fault`; then a refresh without it must succeed, so that the fault came instead of
/// the work: under strict rotation a token that was spent would be refused.
async fn instead_of_the_work(fixture: &Fixture, fault: Fault) -> Reply {
    fixture.control.fault(Operation::Refresh, fault, 1);
    let reply = fixture.refresh(&fixture.issued.refresh_token).await;
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
    reply
}

/// The bytes of the answer as they come, and how the connection ends.
async fn raw_refresh(fixture: &Fixture) -> (String, std::io::Result<()>) {
    let mut stream =
        TcpStream::connect(("127.0.0.1", fixture.local.port())).await.expect("the server is there");
    let body = v4_body(json!({ "refreshToken": fixture.issued.refresh_token })).to_string();
    let head = format!(
        "POST {REFRESH} HTTP/1.1\r\nHost: x\r\nappId: DEMOAPP00000000000001\r\nstate: \r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.expect("it takes the request");
    let mut answer = Vec::new();
    let end = within(stream.read_to_end(&mut answer)).await.map(drop);
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

#[tokio::test]
async fn any_status_and_body_can_be_answered() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::Status(503, "{\"half\":".to_owned())).await;
    assert_eq!((reply.status, reply.body.as_slice()), (503, b"{\"half\":".as_slice()));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_service_can_fail_with_its_own_message() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::ServerError500).await;
    assert_eq!(
        (reply.status, reply.json()),
        (500, json!({ "message": "Something went wrong. Please try again!" }))
    );
}

#[tokio::test]
async fn a_proxy_can_answer_with_its_page() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::BadGateway502Html).await;
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(reply.body.starts_with(b"<html>"));
}

#[tokio::test]
async fn a_captive_portal_answers_200_with_its_page() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::CaptivePortal200Html).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
}

#[tokio::test]
async fn a_success_can_come_without_its_fields() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::EmptyObject200).await;
    assert_eq!((reply.status, reply.json()), (200, json!({})));
}

#[tokio::test]
async fn every_documented_refusal_can_be_answered_to_a_good_call() {
    let fixture = Fixture::new().await;
    for (fault, status, code) in [
        (Fault::NotPresent7414, 400, "7414"),
        (Fault::NotActive7415, 401, "7415"),
        (Fault::Invalid7101, 400, "7101"),
        (Fault::Unauthorized401NoCode, 401, "none"),
    ] {
        fixture.control.fault(Operation::Refresh, fault, 1);
        let reply = fixture.refresh(&fixture.issued.refresh_token).await;
        assert_eq!(reply.refusal(), (status, code.to_owned()));
    }
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Active));
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_cut_off_answer_sends_less_than_it_promised_and_closes() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Refresh, Fault::CutOffBody, 2);
    let (answer, _) = raw_refresh(&fixture).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("the head is whole");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let promised =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    assert!(!body.is_empty() && promised.is_some_and(|promised: usize| promised > body.len()), "{answer}");

    let body = v4_body(json!({ "refreshToken": fixture.issued.refresh_token })).to_string().into_bytes();
    let response = within(open(fixture.local.port(), Method::POST, REFRESH, &V4_HEADERS, body)).await;
    let (head, body) = response.expect("the head is whole").into_parts();
    assert_eq!(head.status, 200);
    assert!(within(body.collect()).await.is_err(), "a client notices");
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_reset_connection_ends_in_a_reset_without_an_answer() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Refresh, Fault::ConnectionReset, 1);
    let (answer, end) = raw_refresh(&fixture).await;
    assert_eq!(answer, "");
    assert_eq!(end.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    let logged = fixture.control.requests().pop().expect("it was logged");
    assert_eq!((logged.status, logged.outcome.as_str()), (None, "fault: connection-reset"));
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn work_that_is_done_and_then_dropped_has_spent_the_token() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Refresh, Fault::ProcessedThenDropped, 1);
    let (answer, end) = raw_refresh(&fixture).await;
    assert_eq!((answer.as_str(), end.is_ok()), ("", true), "the connection closes without an answer");
    let now = fixture.control.tokens(&fixture.issued.session_id).expect("it is present");
    assert_ne!(now.refresh_token, fixture.issued.refresh_token);
    let replay = fixture.refresh(&fixture.issued.refresh_token).await;
    assert_eq!((replay.refusal(), fixture.control.replays()), ((400, "7414".to_owned()), 1));
}

#[tokio::test]
async fn a_hanging_call_gets_no_answer_and_ends_when_the_faults_are_cleared() {
    let fixture = Fixture::new().await;
    let control = fixture.control.clone();
    control.fault(Operation::Refresh, Fault::Hang, 1);
    let clear = async {
        within(control.wait_for(Operation::Refresh, 1)).await;
        control.clear_faults();
    };
    let ((answer, end), ()) = tokio::join!(raw_refresh(&fixture), clear);
    assert_eq!((answer.as_str(), end.is_ok()), ("", true));
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_hanging_call_outlasts_the_patience_of_a_client() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Jwks, Fault::Hang, 1);
    let patience = Duration::from_millis(300);
    let get = open(fixture.local.port(), Method::GET, JWKS, &[], Vec::new());
    assert!(tokio::time::timeout(patience, get).await.is_err());
    assert_eq!(fixture.get(JWKS).await.status, 200);
}

#[tokio::test]
async fn a_delayed_call_is_answered_late_with_its_work_done() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Refresh, Fault::Delay(250), 1);
    let before = Instant::now();
    let reply = fixture.refresh(&fixture.issued.refresh_token).await;
    assert!(before.elapsed() >= Duration::from_millis(250));
    assert_eq!(reply.status, 200);
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 400, "the token was spent");
}

#[tokio::test]
async fn a_redirect_names_its_location() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::Redirect(307, "http://127.0.0.1:9/x".to_owned())).await;
    assert_eq!((reply.status, reply.header("location")), (307, Some("http://127.0.0.1:9/x")));
}

#[tokio::test]
async fn a_huge_answer_is_json_of_at_least_that_size() {
    let fixture = Fixture::new().await;
    let reply = instead_of_the_work(&fixture, Fault::Huge(3_000_000)).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.len() >= 3_000_000 && reply.json().is_object());
}

#[tokio::test]
async fn a_fault_meets_its_operation_only_and_so_many_calls_in_their_order() {
    let fixture = Fixture::new().await;
    let control = &fixture.control;
    control.fault(Operation::Refresh, Fault::ServerError500, 2);
    control.fault(Operation::Refresh, Fault::Invalid7101, 1);
    control.fault(Operation::Refresh, Fault::NotPresent7414, 0);
    assert_eq!(fixture.authenticate(&fixture.issued).await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(fixture.refresh(&fixture.issued.refresh_token).await.status);
    }
    assert_eq!(statuses, [500, 500, 400, 200]);
}

#[tokio::test]
async fn a_fault_of_any_operation_meets_the_apis_but_not_the_sign_in() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Any, Fault::Status(599, String::new()), usize::MAX);
    let v1 = fixture.v1("validate-session", json!({ "sessionToken": fixture.issued.session_id })).await;
    let discovery = fixture.get("/.well-known/openid-configuration").await;
    let replies = [
        fixture.authenticate(&fixture.issued).await,
        fixture.refresh(&fixture.issued.refresh_token).await,
        fixture.delete(&fixture.issued.session_id).await,
        fixture.get(JWKS).await,
        discovery,
        v1,
    ];
    assert_eq!(replies.map(|reply| reply.status), [599; 6]);
    assert_eq!(fixture.get("/v4/headless.js").await.status, 200);
    assert_eq!(fixture.get("/control/state").await.status, 200);
    fixture.control.clear_faults();
    assert_eq!(fixture.get(JWKS).await.status, 200);
}

#[test]
fn every_fault_has_a_name_in_json_that_reads_back() {
    let rate_limited = Fault::RateLimited { code: "7022".to_owned(), retry_after: Some(5) };
    for (fault, spelling) in [
        (Fault::Status(503, "busy".to_owned()), json!({ "status": [503, "busy"] })),
        (rate_limited, json!({ "rate-limited": { "code": "7022", "retryAfter": 5 } })),
        (Fault::ServerError500, json!("server-error-500")),
        (Fault::BadGateway502Html, json!("bad-gateway-502-html")),
        (Fault::CaptivePortal200Html, json!("captive-portal-200-html")),
        (Fault::EmptyObject200, json!("empty-object-200")),
        (Fault::CutOffBody, json!("cut-off-body")),
        (Fault::ConnectionReset, json!("connection-reset")),
        (Fault::Hang, json!("hang")),
        (Fault::Delay(1500), json!({ "delay": 1500 })),
        (Fault::Unauthorized401NoCode, json!("unauthorized-401-no-code")),
        (Fault::NotPresent7414, json!("not-present-7414")),
        (Fault::NotActive7415, json!("not-active-7415")),
        (Fault::Invalid7101, json!("invalid-7101")),
        (Fault::Redirect(302, "/x".to_owned()), json!({ "redirect": [302, "/x"] })),
        (Fault::Huge(10), json!({ "huge": 10 })),
        (Fault::ProcessedThenDropped, json!("processed-then-dropped")),
    ] {
        assert_eq!(serde_json::to_value(&fault).expect("it has a spelling"), spelling);
        assert_eq!(serde_json::from_value::<Fault>(spelling).expect("it reads back"), fault);
    }
}
