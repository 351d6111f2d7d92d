//! No secret in any log line or error, whatever goes wrong (A2, E3): everything that anything logs at TRACE is caught, that of
//! the HTTP, TLS and keychain libraries included.

use std::fmt::Write as _;

use otpless_local::{Fault, Operation};
use otpless_test_kit::{
    leaks::Secrets,
    log::{catch_everything, caught},
};
use tauri_plugin_otpless::engine::{SessionApi, StoreError};

use crate::support::{Device, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a2_no_log_line_and_no_error_holds_a_secret_whatever_goes_wrong() {
    catch_everything();
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let mut errors = String::new();
    let mut secrets = Secrets::default();
    secrets.add_session(&issued);
    for fault in [
        Fault::ServerError500,
        Fault::CaptivePortal200Html,
        Fault::CutOffBody,
        Fault::ConnectionReset,
        Fault::Redirect(302, "http://127.0.0.1:9/".into()),
        Fault::Unauthorized401NoCode,
        Fault::Invalid7101,
        // A server that throws our own secrets back at us.
        Fault::Status(
            400,
            format!(r#"{{"errorCode":"{}","message":"{}"}}"#, issued.session_id, issued.refresh_token),
        ),
        Fault::Status(200, format!(r#"{{"sessionTokenJWT":"{}"#, issued.session_token)),
    ] {
        device.control.fault(Operation::Any, fault, 2);
        let app = device.start();
        app.session().await;
        for error in [app.refresh().await.unwrap_err(), app.verify().await.unwrap_err()] {
            write!(errors, "{error} {error:?} {}", serde_json::to_string(&error).unwrap()).unwrap();
        }
        write!(errors, "{:?} {:?}", app.diagnostics(), app.current()).unwrap();
        device.control.clear_faults();
    }
    let mut broken = issued.web();
    broken["refreshToken"] = format!("{}x", issued.refresh_token).into();
    write!(errors, "{:?}", app.start_session(broken).await.unwrap_err()).unwrap();
    app.refresh().await.unwrap();
    let rotated = device.stored().unwrap().tokens;
    secrets.add_token("session token", rotated.session_token.expose());
    secrets.add_token("refresh token", rotated.refresh_token.expose());
    write!(errors, "{rotated:?} {:?}", device.stored()).unwrap();
    device.store.fail_next(StoreError::Failed("refused"));
    device.otpless.go_offline().await;
    app.logout().await;
    eventually("a failed revocation", || app.diagnostics().counters.requests > 0).await;
    device.otpless.go_online().await.unwrap();
    device.control.wait_for(Operation::Delete, 1).await;

    let log = caught();
    assert!(log.len() > 10_000, "the libraries below were heard too: {} bytes", log.len());
    let finder = secrets.finder();
    finder.finds_nothing_in("the log", &log);
    finder.finds_nothing_in("an error", &errors);
}

/// The one URL that names a session is that of its revocation (E3).
#[tokio::test(flavor = "multi_thread")]
async fn e3_a_revocation_that_fails_says_its_url_to_nobody() {
    catch_everything();
    let device = Device::new().await;
    let api = device.api();
    let session_id = device.issue().session_id;
    let mut secrets = Secrets::default();
    secrets.add("session id", &session_id);
    let mut errors = String::new();
    for fault in [
        Fault::ServerError500,
        Fault::CaptivePortal200Html,
        Fault::CutOffBody,
        Fault::ConnectionReset,
        Fault::Redirect(307, format!("/v4/session/{session_id}/")),
        Fault::Unauthorized401NoCode,
        Fault::Invalid7101,
        Fault::Huge(1_000_000),
    ] {
        device.control.fault(Operation::Delete, fault, 1);
        let answer = api.revoke(&session_id.as_str().into()).await;
        write!(errors, "{} {answer:?}", answer.outcome.as_ref().unwrap_err().error).unwrap();
    }
    device.otpless.go_offline().await;
    let answer = api.revoke(&session_id.as_str().into()).await;
    write!(errors, "{} {answer:?}", answer.outcome.as_ref().unwrap_err().error).unwrap();

    assert!(device.control.requests().iter().all(|request| request.path.contains(&session_id)));
    let finder = secrets.finder();
    finder.finds_nothing_in("an error", &errors);
    assert!(!errors.contains("/v4/"), "{errors}");
    finder.finds_nothing_in("the log", caught());
}
