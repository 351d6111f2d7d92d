//! A rehearsal as an app uses it: handed to the builder, acted on while the plugin runs with the real keychain.

use std::time::Duration;

use otpless_local::{Operation, Settings};
use tauri::{App, test::MockRuntime};
use tauri_plugin_otpless::{EndReason, OtplessExt, Rehearsal, SessionStatus, Storage};

use crate::support::{Installed, PATIENCE, until};

const HOURS: Duration = Duration::from_secs(8 * 60 * 60);

/// The machine sleeps, and the world goes on meanwhile.
fn sleep(stage: &Installed, rehearsal: &Rehearsal) {
    stage.otpless.state().set_clock_offset(i64::try_from(HOURS.as_millis()).expect("a short time"));
    rehearsal.sleep(HOURS);
}

fn start(stage: &Installed, rehearsal: &Rehearsal) -> App<MockRuntime> {
    stage.start(|builder| builder.dangerous_rehearsal(rehearsal.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a_sign_in_with_a_locked_keychain_is_ephemeral_and_is_stored_once_it_is_unlocked() {
    let stage = Installed::new("rehearsala3", Settings::default()).await;
    let rehearsal = Rehearsal::new();
    rehearsal.set_keychain_locked(true);
    let app = start(&stage, &rehearsal);
    let session = stage.sign_in(&app).await;
    assert_eq!((session.status, session.storage), (SessionStatus::Active, Storage::Ephemeral));
    let problem = app.otpless().diagnostics().storage_error.expect("a reason");
    assert!(problem.contains("locked"), "{problem}");

    rehearsal.set_keychain_locked(false);
    let stored = until(app.otpless(), "the session to be stored", |s| s.storage == Storage::Keychain).await;
    assert_eq!(stored.user_id, session.user_id);
    assert_eq!(app.otpless().diagnostics().storage_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_a_keychain_locked_at_start_is_not_signed_out_and_recovers_once_it_is_unlocked() {
    let stage = Installed::new("rehearsala8", Settings::default()).await;
    let app = start(&stage, &Rehearsal::new());
    let before = stage.sign_in(&app).await;
    assert_eq!(before.storage, Storage::Keychain);
    drop(app);

    let rehearsal = Rehearsal::new();
    rehearsal.set_keychain_locked(true);
    let app = start(&stage, &rehearsal);
    let session = app.otpless().session().await;
    assert_eq!((session.status, session.storage), (SessionStatus::Restoring, Storage::Unavailable));

    rehearsal.set_keychain_locked(false);
    let session = until(app.otpless(), "the session", |s| s.status == SessionStatus::Active).await;
    assert_eq!((session.user_id, session.storage), (before.user_id, Storage::Keychain));
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_after_a_sleep_that_outlasts_the_token_the_plugin_wakes_at_once_and_renews_it() {
    let stage =
        Installed::new("rehearsalc10", Settings { session_token_seconds: 3600, ..Settings::default() }).await;
    let rehearsal = Rehearsal::new();
    let app = start(&stage, &rehearsal);
    let before = stage.sign_in(&app).await.expires_at.expect("an expiry");
    let mut changes = app.otpless().subscribe();

    sleep(&stage, &rehearsal);
    // Nobody asks, so only the background task can tell.
    let stale = changes.wait_for(|session| session.status == SessionStatus::Stale);
    assert!(tokio::time::timeout(PATIENCE, stale).await.is_ok_and(|told| told.is_ok()), "everyone is told");
    let session = until(app.otpless(), "the session", |s| s.status == SessionStatus::Active).await;
    assert!(session.expires_at.is_some_and(|expires| expires > before + HOURS - Duration::from_secs(60)));
    assert_eq!(stage.otpless.state().count(Operation::Refresh), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_a_sleep_beyond_the_inactivity_timeout_ends_the_session_as_inactive() {
    let stage = Installed::new("rehearsalc8", Settings::default()).await;
    let rehearsal = Rehearsal::new();
    let app =
        stage.start(|builder| builder.dangerous_rehearsal(rehearsal.clone()).inactivity_timeout(HOURS / 2));
    stage.sign_in(&app).await;
    sleep(&stage, &rehearsal);
    let session = until(app.otpless(), "the end", |s| s.status == SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::Inactive));
}
