//! No token, no header and no client secret in any log line, of the relay or of the libraries below it (A2).

use otpless_local::{Fault, Operation};
use otpless_relay::Settings;
use otpless_test_kit::{
    leaks::Secrets,
    log::{catch_everything, caught},
};
use serde_json::json;

use crate::support::{CALLS, Fixture, REFRESH, REVOKE, VALIDATE};

#[tokio::test]
async fn a2_the_log_says_what_happened_and_holds_no_secret_at_trace() {
    catch_everything();
    let fixture = Fixture::new().await;
    let issued = &fixture.issued;
    let key = "canary-of-a-gateway-key";
    let mut secrets = Secrets::default();
    secrets.add_session(issued);
    secrets.add("gateway key", key);
    secrets.add("client secret", "local-client-secret");
    secrets.add("client id", "LOCALCLIENTID");
    for path in CALLS.iter().filter(|path| **path != REVOKE) {
        let body = match *path {
            REFRESH => json!({ "refreshToken": issued.refresh_token }),
            _ => json!({ "sessionToken": issued.session_token }),
        };
        let headers = [("content-type", "application/json"), ("x-api-key", key)];
        assert_eq!(fixture.send("POST", path, &headers, body.to_string().as_bytes()).await.status, 200);
    }
    for fault in [Fault::ServerError500, Fault::ConnectionReset, Fault::CutOffBody] {
        fixture.control.fault(Operation::Any, fault, 1);
        fixture.post(VALIDATE, &json!({ "sessionToken": issued.session_id })).await;
    }
    fixture.post(VALIDATE, &json!({ "refreshToken": issued.session_token })).await;
    fixture.post(&format!("/v4/session/{}", issued.session_id), &json!({})).await;
    fixture.post(REVOKE, &json!({ "sessionToken": issued.session_id })).await;
    secrets.add_session(&fixture.control.tokens(&issued.session_id).unwrap());

    let log = caught();
    secrets.finder().finds_nothing_in("the log", &log);
    let log = String::from_utf8_lossy(&log);
    let line = |path: &str, status: &str| {
        log.lines().any(|line| line.contains("POST") && line.contains(path) && line.contains(status))
    };
    assert!(line(VALIDATE, "status=200") && line(VALIDATE, "status=502") && line("no path", "status=404"));
    assert!(log.contains(" ms="), "how long it took");
    assert!(log.contains("hyper"), "the libraries below were heard too");
}

/// A stranger's word for a method may be a token that landed in the wrong place.
#[tokio::test]
async fn a2_a_method_that_nobody_knows_is_not_in_the_log() {
    catch_everything();
    let fixture = Fixture::new().await;
    let method = "CANARY-OF-A-METHOD";
    for path in [VALIDATE, "/no/such/path"] {
        assert!(fixture.send(method, path, &[], b"").await.is_the_relays_own());
    }
    assert_eq!(fixture.send("PATCH", VALIDATE, &[], b"").await.status, 405);
    let mut words = Secrets::default();
    words.add("method", method);
    words.finder().finds_nothing_in("the log", caught());
    let log = String::from_utf8(caught()).unwrap();
    for (method, path, status) in [
        ("(no standard method)", VALIDATE, 405),
        ("(no standard method)", "(no path of the relay)", 404),
        ("PATCH", VALIDATE, 405),
    ] {
        let said = format!("method=\"{method}\" path=\"{path}\" status={status} ");
        assert!(log.contains(&said), "{said}");
    }
}

#[test]
fn a2_settings_are_printed_without_the_client_id_and_secret() {
    let printed = format!("{:?}", Settings::new("canary-id", "canary-secret"));
    assert!(printed.contains("127.0.0.1") && !printed.contains("canary"), "{printed}");
}
