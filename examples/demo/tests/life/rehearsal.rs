//! The switches of the rehearsal, pressed as a person presses them: what the page says, and what the timeline says to
//! those who do not see it.

use crate::support::{App, Policy, RETRY_BOUND, SHORT, Slot, Stage, Theme};
use otpless_local::{Operation, SessionState};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const HOUR_MS: i64 = 60 * 60 * 1000;

/// Requirement C5: no outage signs anybody out.
#[tokio::test]
async fn c5_a_server_that_is_down_makes_the_session_stale_says_why_and_costs_nothing() {
    let mut stage = Stage::new(SHORT).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    let user = app.read("user").await;
    app.timeline_says("Failures: none.").await;

    press(&app, "server-down", "on").await;
    app.shows("status", "stale").await;
    app.shows("why", "network").await;
    let said = app.words("why").await;
    assert!(said.contains("The last attempt to renew it") && said.contains("Check the connection"), "{said}");
    app.timeline_says(", then stale from").await;
    app.timeline_says("Failures: Renewal at").await;
    assert_eq!(app.read("user").await, user, "still signed in");

    press(&app, "server-down", "off").await;
    app.shows_one_of("status", &["active"], RETRY_BOUND).await;
    app.shows("why", "").await;
    app.timeline_says(", then active from").await;
    assert_eq!(app.read("user").await, user, "and never signed out");
    assert_eq!(stage.control().session_state(stage.session_id()), Some(SessionState::Active));
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

#[tokio::test]
async fn a_server_that_was_switched_off_is_still_off_when_the_app_starts_again() {
    let stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    press(&app, "server-down", "on").await;
    app.kill().await;
    let app = stage.start_app(Theme::Light).await;
    app.shows("server-down", "on").await;
    app.kill().await;
}

#[tokio::test]
async fn a3_a_sign_in_with_a_locked_keychain_lives_in_memory_says_why_and_is_stored_after_the_unlocking() {
    let mut stage = Stage::new(SHORT).await;
    let app = stage.start_app(Theme::Light).await;
    press(&app, "keychain-locked", "on").await;
    stage.sign_in(&app).await;
    app.shows("storage", "ephemeral").await;
    app.shows("why", "ephemeral").await;
    let said = app.words("why").await;
    assert!(said.contains("locked") && said.contains("Unlock the keychain"), "{said}");
    app.timeline_says("in memory only from").await;
    app.timeline_says("Keychain at").await;
    stage.keychain_has(Slot::Session, false).await;

    press(&app, "keychain-locked", "off").await;
    app.shows_one_of("storage", &["keychain"], RETRY_BOUND).await;
    app.shows("why", "").await;
    app.timeline_says("in memory only from").await;
    app.timeline_says(", then in the keychain from").await;
    stage.keychain_has(Slot::Session, true).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

#[tokio::test]
async fn a8_a_keychain_locked_at_start_is_not_signed_out_says_why_and_recovers() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    stage.keychain_has(Slot::Session, true).await;
    let user = app.read("user").await;
    app.kill().await;

    let app = stage.start_app_with(Theme::Light, &[("OTPLESS_DEMO_KEYCHAIN", "locked")]).await;
    app.shows("keychain-locked", "on").await;
    app.shows("status", "restoring").await;
    app.shows("storage", "unavailable").await;
    app.shows("why", "unavailable").await;
    app.timeline_says("Session: restoring from").await;
    app.timeline_says("Storage: unavailable from").await;
    assert_ne!(app.read("send-code").await, Ok(String::new()), "whoever cannot unlock it can sign in anew");

    press(&app, "keychain-locked", "off").await;
    app.shows_one_of("status", &["active"], RETRY_BOUND).await;
    app.shows("storage", "keychain").await;
    assert_eq!(app.read("user").await, user, "the same user as before");
    app.timeline_says(", then active from").await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

#[tokio::test]
async fn c10_after_eight_hours_of_sleep_the_session_is_renewed_and_the_timeline_shows_the_sleep() {
    let mut stage = Stage::new(Policy { session_token: HOUR }).await;
    let app = stage.start_app_with(Theme::Light, &[("OTPLESS_DEMO_INACTIVITY", "86400")]).await;
    stage.sign_in(&app).await;
    let first = app.moment("expires-at").await.expect("the page shows when the token expires");

    app.click("sleep").await;
    app.timeline_says("The machine slept, or its clock was moved on: 8 h from").await;
    app.timeline_says("Renewals: 1 done").await;
    app.shows("status", "active").await;
    let control = stage.control();
    let next = app.moment("expires-at").await.expect("the page shows when the new token expires");
    assert!(next > control.now() && next > first + 7 * HOUR_MS, "renewed after the sleep: {next}");
    assert_eq!(control.count(Operation::Refresh), 1, "once");
    app.shows("slept", &(8 * HOUR_MS).to_string()).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

#[tokio::test]
async fn c8_a_sleep_beyond_the_inactivity_timeout_ends_the_session_and_says_why() {
    let mut stage = Stage::new(Policy::default()).await;
    // tauri.conf.json has a timeout of 15 minutes.
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    app.click("sleep").await;
    app.shows("status", "signedOut").await;
    app.shows("end-reason", "inactive").await;
    let said = app.words("end-reason").await;
    assert!(said.contains("because nothing happened for a while"), "{said}");
    app.timeline_says("signed out (inactive) from").await;
    stage.keychain_has(Slot::Session, false).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

/// A switch says in which position it is.
async fn press(app: &App, switch: &str, wanted: &str) {
    app.click(switch).await;
    app.shows(switch, wanted).await;
}
