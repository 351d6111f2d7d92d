//! A wait that the server asked for (`Retry-After`): whom it holds, for how long, and what is said meanwhile (requirement C6).

use std::time::Duration;

use otpless_local::{Fault, Operation, Settings};
use tauri_plugin_otpless::{ErrorKind, SessionStatus};

use crate::support::Device;

const MINUTE: Duration = Duration::from_secs(60);

fn limited(seconds: u64) -> Fault {
    Fault::RateLimited { code: "7020".into(), retry_after: Some(seconds) }
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_who_is_held_is_told_how_much_is_left() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.time_passes(MINUTE);
    device.control.fault(Operation::Refresh, limited(600), 1);
    let first = app.refresh().await.unwrap_err();
    assert_eq!(first.retry_after(), Some(10 * MINUTE));
    device.time_passes(4 * MINUTE);
    let second = app.refresh().await.unwrap_err();
    assert_eq!((second.kind(), second.code()), (ErrorKind::RateLimited, Some("7020")));
    let left = second.retry_after().expect("a wait");
    assert!(left <= 6 * MINUTE && left > 5 * MINUTE, "{left:?}");
    assert_eq!(device.control.count(Operation::Refresh), 1);
    device.time_passes(7 * MINUTE);
    app.refresh().await.expect("the wait is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_wait_outlives_the_session_it_was_said_to() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.time_passes(MINUTE);
    device.control.fault(Operation::Refresh, limited(600), 1);
    device.control.fault(Operation::Authenticate, limited(600), 1);
    app.refresh().await.expect_err("slow down");
    app.verify().await.expect_err("slow down");
    app.logout().await;
    app.start_session(device.issue().web()).await.expect("signing in calls neither");
    device.time_passes(MINUTE);
    for error in [app.refresh().await.unwrap_err(), app.verify().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
        assert!(error.retry_after().is_some_and(|left| left < 10 * MINUTE), "{error:?}");
    }
    let asked =
        [Operation::Refresh, Operation::Authenticate].map(|operation| device.control.count(operation));
    assert_eq!(asked, [1, 1]);
    device.time_passes(10 * MINUTE);
    app.refresh().await.expect("the wait is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_tokens_that_another_process_has_renewed_are_an_answer_while_this_one_has_to_wait() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    let other = device.start();
    other.session().await;
    device.time_passes(MINUTE);
    device.control.fault(Operation::Refresh, limited(600), 1);
    other.refresh().await.expect_err("slow down");
    one.refresh().await.expect("nobody told this one to wait");
    let until = one.current().expires_at;
    assert_eq!(other.refresh().await.expect("they are new").expires_at, until);
    device.time_passes(MINUTE);
    other.refresh().await.expect_err("but it makes no exchange of its own");
    assert_eq!(device.control.count(Operation::Refresh), 2);
}

/// What the server said of one session is no answer to the next.
#[tokio::test(flavor = "multi_thread")]
async fn c6_a_wait_that_came_with_a_verdict_ends_nobody_elses_session() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.time_passes(MINUTE);
    device.control.fault(Operation::Authenticate, limited(600), 1);
    let first = app.verify().await.unwrap_err();
    app.logout().await;
    app.start_session(device.issue().web()).await.expect("signing in asks for nothing");
    assert!(app.diagnostics().last_verify.is_none());
    let error = app.verify().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_ne!((error.code(), error.message()), (first.code(), first.message()), "it is about another");
    assert_eq!(app.session().await.status, SessionStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_wait_before_the_next_question_for_details_outlives_the_session() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    device.control.fault(Operation::GetSessionDetails, limited(600), 1);
    app.session_details().await.expect_err("slow down");
    app.logout().await;
    app.start_session(device.issue().web()).await.expect("signing in does not ask for them");
    let error = app.session_details().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    assert!(error.retry_after().is_some_and(|left| left <= 10 * MINUTE), "{error:?}");
    assert_eq!(device.control.count(Operation::GetSessionDetails), 1);
    device.time_passes(11 * MINUTE);
    assert!(app.session_details().await.is_ok());
}
