//! The life of a session, one claim a test.

use crate::support::{Policy, RETRY_BOUND, SHORT, Slot, Stage, Theme, eventually};
use otpless_local::{Operation, SessionState};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_sign_in_by_clicking_ends_in_the_keychain_and_leaves_no_token_elsewhere() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    app.shows("status", "signedOut").await;
    stage.keychain_has(Slot::Session, false).await;

    stage.sign_in(&app).await;
    app.shows("storage", "keychain").await;
    stage.keychain_has(Slot::Session, true).await;
    stage.no_token_anywhere(Some(&app)).await;

    app.click("sign-out").await;
    app.shows("status", "signedOut").await;
    app.shows("end-reason", "logout").await;
    stage.keychain_has(Slot::Session, false).await;
    let control = stage.control();
    let delivered = timeout(RETRY_BOUND, control.wait_for(Operation::Delete, 1)).await;
    assert!(delivered.is_ok(), "the server hears of the logout");
    stage.keychain_has(Slot::Revocations, false).await;
    assert_eq!(control.session_state(stage.session_id()), None, "the server has ended the session");
    stage.no_token_anywhere(Some(&app)).await;

    app.close().await;
    stage.no_token_anywhere(None).await;
}

#[tokio::test]
async fn a_killed_app_starts_again_signed_in_with_the_server_unreachable() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    stage.keychain_has(Slot::Session, true).await;
    let user = app.read("user").await.expect("the page answers");
    assert_ne!(user, "", "the page says who is signed in");

    app.kill().await;
    stage.server_down().await;
    stage.no_token_anywhere(None).await;

    let app = stage.start_app(Theme::Light).await;
    let status = app.shows_one_of("status", &["active", "stale"], Duration::from_secs(30)).await;
    println!("        signed in with the server unreachable: {status}");
    assert_eq!(app.read("user").await, Ok(user), "and as the same user");
    stage.keychain_has(Slot::Session, true).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

#[tokio::test]
async fn a_second_window_shares_the_session_and_its_end_but_may_not_have_a_token() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    let user = app.read("user").await;
    app.click("session-token").await;
    eventually("the main window gets a token and shows its length", Duration::from_secs(20), async || {
        let shown = app.read("session-token-result").await?;
        if shown.parse::<usize>().is_ok_and(|length| length > 100) { Ok(()) } else { Err(shown) }
    })
    .await;

    app.click("open-second").await;
    let main = app.turn_to_other_window().await;
    app.shows("status", "active").await;
    assert_eq!(app.read("user").await, user, "the same user in both windows");
    app.click("session-token").await;
    app.shows("error", "notPermitted").await;
    stage.no_token_anywhere(Some(&app)).await;

    app.click("sign-out").await;
    app.shows("status", "signedOut").await;
    app.turn_to(main).await;
    app.shows("status", "signedOut").await;
    app.shows("end-reason", "logout").await;
    stage.keychain_has(Slot::Session, false).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.close().await;
    stage.no_token_anywhere(None).await;
}

#[tokio::test]
async fn an_expiring_token_is_refreshed_in_the_background() {
    let mut stage = Stage::new(SHORT).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    let control = stage.control();
    let first = app.moment("expires-at").await.expect("the page shows when the token expires");

    // Nothing is clicked from here on.
    eventually(
        "the first token has expired and another one is in use",
        Duration::from_secs(60),
        async || {
            let expires = app.moment("expires-at").await;
            let status = app.read("status").await?;
            let now = control.now();
            let renewed = now > first && expires.is_some_and(|expires| expires > now) && status == "active";
            if renewed {
                Ok(())
            } else {
                Err(format!("now {now}, first expiry {first}, shown {expires:?}, {status}"))
            }
        },
    )
    .await;
    assert!(control.count(Operation::Refresh) >= 1, "it was bought with the refresh token");
    assert_eq!(control.replays(), 0, "and no refresh token was used twice");
    stage.keychain_has(Slot::Session, true).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
    stage.no_token_anywhere(None).await;
}

#[tokio::test]
async fn a_token_that_expired_while_the_app_was_closed_is_renewed_at_its_start() {
    let mut stage = Stage::new(SHORT).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    app.kill().await;
    let control = stage.control();
    let refreshed_before = control.count(Operation::Refresh);
    // From here on tokens live long, so that one renewal is enough and none is due soon after.
    control.set_settings(|settings| settings.session_token_seconds = 3600);
    let beyond = control.now() + 2 * i64::try_from(SHORT.session_token.as_millis()).expect("a short time");
    eventually("every token made before has expired", Duration::from_secs(60), async || {
        let now = control.now();
        if now > beyond { Ok(()) } else { Err(beyond - now) }
    })
    .await;

    let app = stage.start_app(Theme::Light).await;
    app.shows("status", "active").await;
    assert_eq!(control.count(Operation::Refresh), refreshed_before + 1, "one exchange, no more");
    assert_eq!(control.replays(), 0, "with the token the keychain had kept");
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

#[tokio::test]
async fn a_session_revoked_at_the_dashboard_ends_and_says_so() {
    let mut stage = Stage::new(SHORT).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;

    assert!(stage.control().revoke(stage.session_id()), "the dashboard had an active session to revoke");
    app.shows("status", "signedOut").await;
    app.shows("end-reason", "revoked").await;
    stage.keychain_has(Slot::Session, false).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.close().await;
    stage.no_token_anywhere(None).await;
}

#[tokio::test]
async fn a_logout_with_the_server_down_lasts_and_reaches_the_server_when_it_is_back() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    stage.keychain_has(Slot::Session, true).await;

    stage.server_down().await;
    app.click("sign-out").await;
    app.shows("status", "signedOut").await;
    app.shows("end-reason", "logout").await;
    stage.keychain_has(Slot::Session, false).await;
    stage.keychain_has(Slot::Revocations, true).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
    stage.no_token_anywhere(None).await;

    let app = stage.start_app(Theme::Light).await;
    app.shows("status", "signedOut").await;
    stage.keychain_has(Slot::Session, false).await;
    let control = stage.control();
    assert_eq!(
        control.session_state(stage.session_id()),
        Some(SessionState::Active),
        "the server cannot know yet"
    );

    stage.server_up().await;
    let delivered = timeout(RETRY_BOUND, control.wait_for(Operation::Delete, 1)).await;
    assert!(delivered.is_ok(), "the server hears of the logout");
    stage.keychain_has(Slot::Revocations, false).await;
    assert_eq!(control.session_state(stage.session_id()), None, "the server has ended the session");
    app.shows("status", "signedOut").await;
    stage.no_token_anywhere(Some(&app)).await;
    app.close().await;
    stage.no_token_anywhere(None).await;
}

/// Nothing is clicked and no key is pressed after the machine has woken up: the page itself does nothing for it.
#[tokio::test]
async fn c8_c10_coming_to_the_window_is_activity_and_a_moment_to_look() {
    const HOUR_MS: i64 = 60 * 60 * 1000;
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app_with(Theme::Light, &[("OTPLESS_DEMO_INACTIVITY", "86400")]).await;
    stage.sign_in(&app).await;
    let ends = app.moment("inactivity-deadline").await.expect("inactivity ends the session some day");
    app.run("document.querySelector('[data-testid=sleep]').click()", vec![]).await;
    app.timeline_says("The machine slept, or its clock was moved on: 8 h from").await;
    let slept = app.diagnostics().await;
    assert_eq!(app.moment("inactivity-deadline").await, Some(ends), "nobody was there");

    app.focus().await;
    eventually("the session to be extended", RETRY_BOUND, async || {
        match app.moment("inactivity-deadline").await {
            Some(later) if later > ends + 7 * HOUR_MS => Ok(()),
            shown => Err(shown),
        }
    })
    .await;
    let report = app.diagnostics().await;
    assert!(report["lastLookAt"].as_i64() > slept["lastLookAt"].as_i64(), "{slept}, then {report}");
    app.kill().await;
}
