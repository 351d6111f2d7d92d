//! No token, no header and no client secret in any log line, of the relay or of the libraries below it (A2).

use std::{
    io,
    sync::{Mutex, OnceLock},
};

use otpless_local::{Fault, Operation};
use otpless_relay::Settings;
use serde_json::json;
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::{CALLS, Fixture, REFRESH, REVOKE, VALIDATE};

static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

struct Catch;

impl io::Write for Catch {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        LOG.get_or_init(Mutex::default).lock().unwrap().extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn caught() -> String {
    String::from_utf8_lossy(&LOG.get_or_init(Mutex::default).lock().unwrap()).into_owned()
}

/// Plain, and as the numbers that `Debug` makes of bytes.
fn holds(log: &str, secret: &str) -> bool {
    let numbers = secret.bytes().take(12).map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
    log.contains(secret) || log.contains(&numbers)
}

fn catch_everything() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Catch)
            .finish()
            .init();
    });
}

#[tokio::test]
async fn a2_the_log_says_what_happened_and_holds_no_secret_at_trace() {
    catch_everything();
    tracing::info!("planted: canary-0123456789");
    assert!(holds(&caught(), "canary-0123456789"), "the catcher catches, and the search finds");

    let fixture = Fixture::new().await;
    let issued = &fixture.issued;
    let key = "canary-of-a-gateway-key";
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
    let rotated = fixture.control.tokens(&issued.session_id).unwrap();

    let log = caught();
    let line = |path: &str, status: &str| {
        log.lines().any(|line| line.contains("POST") && line.contains(path) && line.contains(status))
    };
    assert!(line(VALIDATE, "status=200") && line(VALIDATE, "status=502") && line("no path", "status=404"));
    assert!(log.contains(" ms="), "how long it took");
    assert!(log.contains("hyper"), "the libraries below were heard too");
    for secret in [
        key,
        "local-client-secret",
        "LOCALCLIENTID",
        &issued.session_id,
        &issued.session_token,
        &issued.refresh_token,
        &rotated.session_token,
        &rotated.refresh_token,
    ] {
        assert!(!holds(&log, secret), "{secret} in the log");
    }
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
    let log = caught();
    for (method, path, status) in [
        ("(no standard method)", VALIDATE, 405),
        ("(no standard method)", "(no path of the relay)", 404),
        ("PATCH", VALIDATE, 405),
    ] {
        let said = format!("method=\"{method}\" path=\"{path}\" status={status} ");
        assert!(log.contains(&said), "{said}");
    }
    assert!(!holds(&log, method), "in the log");
}

#[test]
fn a2_settings_are_printed_without_the_client_id_and_secret() {
    let printed = format!("{:?}", Settings::new("canary-id", "canary-secret"));
    assert!(printed.contains("127.0.0.1") && !printed.contains("canary"), "{printed}");
}
