//! Clocks that are wrong, and are set.

use std::time::Duration;

use otpless_local::Operation;
use tauri_plugin_otpless::{EndReason, SessionStatus, engine::Policy};

use crate::support::{Device, eventually};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 24 * 3600;

/// The issuer signed when the token was issued, and earlier runs noted when the user was active: it is no earlier now.
#[tokio::test(flavor = "multi_thread")]
async fn c7_a_clock_that_is_set_back_between_two_runs_does_not_extend_a_session() {
    let mut device = Device::new().await;
    device.policy = Policy { max_lifetime: Some(60 * MINUTE), ..Policy::default() };
    let (app, _) = device.signed_in().await;
    device.time_passes(50 * MINUTE);
    app.record_activity();
    app.kill().await;
    device.otpless.go_offline().await;
    device.clock_is_set(-DAY);
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::Active);
    device.time_passes(11 * MINUTE);
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Lifetime)));
}

/// With the server's word on the time a machine's clock that is a day off changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn c9_deadlines_are_kept_by_the_servers_time() {
    for off in [DAY, -DAY] {
        let mut device = Device::new().await;
        device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
        device.clock_is_set(off);
        let (app, _) = device.signed_in().await;
        device.time_passes(20 * MINUTE);
        assert_eq!(app.session().await.status, SessionStatus::Active, "{off}");
        device.time_passes(11 * MINUTE);
        assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive), "{off}");
    }
}

/// A sleep may hide in a clock that is set back. It is found out with the server's next word on the time, and then nobody
/// was active later than they were.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_sleep_that_hides_in_a_clock_that_is_set_back_counts_as_idle() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    device.has_no_unset_clock();
    let (app, _) = device.signed_in().await;
    device.machine_sleeps_and_clock_is_set(50 * MINUTE, -DAY);
    assert_eq!(app.session().await.status, SessionStatus::Active, "the clocks alone do not tell");
    app.verify().await.expect("the server still has it");
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Inactive)));
}

/// A clock that was set back and put right again leaves the time unknown by as much, until the server is heard.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_new_session_is_not_over_for_inactivity_by_a_clock_that_was_put_right() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    device.has_no_unset_clock();
    let (app, _) = device.signed_in().await;
    app.logout().await;
    eventually("the revocation", || app.diagnostics().pending_revocations == 0).await;
    assert_eq!(device.control.count(Operation::Delete), 1);
    device.otpless.go_offline().await;
    for off in [-3600, 0] {
        device.clock_is_set(off);
        app.session().await;
    }
    app.start_session(device.issue().web()).await.expect("the keys are at hand");
    assert_eq!(app.session().await.status, SessionStatus::Active);
    device.time_passes(31 * MINUTE);
    assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive), "it counts from there");
}

/// A clock that nobody can set tells a clock that was set from a sleep, either way and both at once.
#[tokio::test(flavor = "multi_thread")]
async fn c9_c10_a_clock_that_is_set_ends_nothing_and_hides_no_sleep() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    let (app, _) = device.signed_in().await;
    for off in [3600, 10 * 365 * DAY, -DAY, 0] {
        device.clock_is_set(off);
        assert_eq!(app.session().await.status, SessionStatus::Active, "{off}");
    }
    device.machine_sleeps_and_clock_is_set(20 * MINUTE, -DAY);
    assert_eq!(app.session().await.status, SessionStatus::Active);
    device.machine_sleeps_and_clock_is_set(11 * MINUTE, DAY);
    assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive));
    assert_eq!(device.control.count(Operation::Refresh), 0, "and nobody had to be asked");
}
