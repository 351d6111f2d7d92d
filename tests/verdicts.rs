//! What every row of OTPless's error table, and everything else that can come back, means for the session (C5).

use std::time::Duration;

use otpless_local::{Fault, Operation};
use tauri_plugin_otpless::{EndReason, ErrorKind, SessionStatus};

use crate::support::Device;

/// Everything that is not a verdict, with the kind of error it is and the code it carries.
fn survivable() -> Vec<(Fault, ErrorKind, Option<&'static str>)> {
    let limited = |code: &str| Fault::RateLimited { code: code.into(), retry_after: Some(7) };
    vec![
        (limited("7020"), ErrorKind::RateLimited, Some("7020")),
        (limited("7022"), ErrorKind::RateLimited, Some("7022")),
        (limited("7023"), ErrorKind::RateLimited, Some("7023")),
        (limited("7024"), ErrorKind::RateLimited, Some("7024")),
        (Fault::ServerError500, ErrorKind::Server, None),
        (Fault::BadGateway502Html, ErrorKind::Server, None),
        (Fault::CaptivePortal200Html, ErrorKind::Server, None),
        (Fault::EmptyObject200, ErrorKind::Server, None),
        (Fault::CutOffBody, ErrorKind::Network, Some("9101")),
        (Fault::ConnectionReset, ErrorKind::Network, Some("9101")),
        (Fault::ProcessedThenDropped, ErrorKind::Network, Some("9101")),
        (Fault::Unauthorized401NoCode, ErrorKind::InvalidConfig, None),
        (Fault::Status(401, r#"{"errorCode":"401"}"#.into()), ErrorKind::InvalidConfig, Some("401")),
        (Fault::Invalid7101, ErrorKind::Internal, Some("7101")),
        (Fault::Redirect(302, "http://127.0.0.1:9/".into()), ErrorKind::Server, None),
        (Fault::Redirect(307, "http://127.0.0.1:9/".into()), ErrorKind::Server, None),
        (Fault::Huge(1_000_000), ErrorKind::Server, None),
        (Fault::Status(408, "{}".into()), ErrorKind::Server, None),
        (Fault::Status(425, "{}".into()), ErrorKind::Server, None),
        (Fault::Status(503, "{}".into()), ErrorKind::Server, None),
        (Fault::Status(404, "not here".into()), ErrorKind::Server, None),
        // The right code in the wrong place is no verdict.
        (Fault::Status(500, r#"{"errorCode":"7414"}"#.into()), ErrorKind::Server, None),
        (Fault::Status(200, r#"{"errorCode":"7414"}"#.into()), ErrorKind::Server, None),
        (Fault::Status(400, r#"{"errorCode":7414}"#.into()), ErrorKind::Server, None),
        (Fault::Status(400, "7414".into()), ErrorKind::Server, None),
        (Fault::Status(400, r#"["7414"]"#.into()), ErrorKind::Server, None),
        (Fault::Status(400, r#"{"errorCode":"7414","errorCode":"7414"}"#.into()), ErrorKind::Server, None),
        (Fault::Status(200, r#"["h.p.s",null,"h.p.s"]"#.into()), ErrorKind::Server, None),
    ]
}

/// Rule 6.
#[tokio::test(flavor = "multi_thread")]
async fn c5_nothing_but_a_verdict_ends_a_session_on_refresh() {
    for (fault, kind, code) in survivable() {
        let device = Device::new().await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::Refresh, fault.clone(), 1);
        let error = app.refresh().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{fault:?}: {error}");
        assert_eq!(app.current().status, SessionStatus::Active, "{fault:?}");
        assert!(device.stored().is_some(), "{fault:?}");
        let diagnostics = app.diagnostics();
        assert_eq!(diagnostics.counters.refresh_failures, 1);
        assert_eq!(diagnostics.last_refresh.unwrap().error, Some(error), "{fault:?}");
    }
}

/// A session that has no good token, because none can be had, says why.
#[tokio::test(flavor = "multi_thread")]
async fn c5_a_session_that_is_stale_says_why_its_last_refresh_failed() {
    for (fault, kind, code) in survivable() {
        let device = Device::new().await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::Refresh, fault.clone(), 100);
        device.time_passes(Duration::from_secs(25 * 3600));
        let error = app.refresh().await.unwrap_err();
        let session = app.session().await;
        assert_eq!((session.status, session.end_reason), (SessionStatus::Stale, None), "{fault:?}");
        let last = app.diagnostics().last_refresh.expect("there was one");
        let why = last.error.expect("it failed");
        assert!(!last.ok);
        assert_eq!((why.kind(), why.code()), (kind, code), "{fault:?}");
        assert_eq!((error.kind(), error.code()), (kind, code), "{fault:?}: and the caller heard the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_nothing_but_a_verdict_ends_a_session_on_authenticate() {
    for (fault, kind, code) in survivable() {
        let device = Device::new().await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::Authenticate, fault.clone(), 1);
        let error = app.verify().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{fault:?}: {error}");
        assert_eq!(app.current().status, SessionStatus::Active, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_a_verdict_ends_the_session_at_once_and_says_why() {
    for fault in [Fault::NotPresent7414, Fault::NotActive7415] {
        let device = Device::new().await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::Authenticate, fault.clone(), 1);
        let session = app.verify().await.expect("a verdict is an answer, not an error");
        assert_eq!(session.status, SessionStatus::SignedOut, "{fault:?}");
        assert_eq!(session.end_reason, Some(EndReason::Revoked));
        crate::support::eventually("the store to be erased", || device.stored().is_none()).await;

        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::Refresh, fault.clone(), 1);
        let error = app.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{fault:?}");
        assert!(matches!(error.code(), Some("7414" | "7415")));
        assert_eq!(app.current().end_reason, Some(EndReason::Revoked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_has_the_sdks_code_for_it() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.otpless.go_offline().await;
    let error = app.refresh().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, Some("9103")), "{error}");
    assert!(error.is_retryable());
    assert_eq!(app.current().status, SessionStatus::Active);
}

/// Rule 5: not more than one exchange per token per minute while it fails.
#[tokio::test(flavor = "multi_thread")]
async fn c6_a_failed_exchange_is_not_repeated_before_its_time_whoever_asks() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.control.fault(Operation::Refresh, Fault::ServerError500, 1);
    let first = app.refresh().await.unwrap_err();
    for _ in 0..50 {
        assert_eq!(app.refresh().await.unwrap_err(), first, "the same answer, without a request");
    }
    assert_eq!(device.control.count(Operation::Refresh), 1);
}
