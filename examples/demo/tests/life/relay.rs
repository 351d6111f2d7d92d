//! The app in relay mode: between it and the local OTPless's v1 stands `examples/relay`.

use crate::showcase::folder;
use crate::support::{Policy, RETRY_BOUND, Slot, Stage, Theme, eventually};
use otpless_local::{Operation, SessionState};
use otpless_relay::{Relay, Settings};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_session_lives_through_a_relay_and_its_details_can_be_shown() {
    let mut stage = Stage::new(Policy::default()).await;
    let control = stage.control();
    let settings = Settings::new("LOCALCLIENTID", "local-client-secret").upstream(control.url());
    let relay = Relay::start(settings).await.expect("the relay starts");
    let url = relay.url();
    let through_it = [("OTPLESS_DEMO_RELAY", url.as_str())];

    let app = stage.start_app_with(Theme::Light, &through_it).await;
    stage.sign_in(&app).await;
    stage.keychain_has(Slot::Session, true).await;
    app.kill().await;

    let app = stage.start_app_with(Theme::Light, &through_it).await;
    app.shows("status", "active").await;
    let first = control.tokens(stage.session_id()).expect("a session");
    app.click("refresh").await;
    eventually("the tokens have rotated", Duration::from_secs(30), async || {
        let now = control.tokens(stage.session_id()).expect("a session");
        if now.refresh_token == first.refresh_token { Err("the old ones") } else { Ok(()) }
    })
    .await;
    app.shows("status", "active").await;
    assert_eq!((control.count(Operation::GetNewSessionToken), control.replays()), (1, 0));

    app.click("session-details").await;
    let user = app.read("user").await.expect("the page answers");
    app.shows("details-output", &first.user_id).await;
    let shown = app.run("return document.getElementById('details-list').textContent", vec![]).await;
    let shown = shown.as_str().expect("a text");
    for known in ["9876543210", "Firefox", "192.0.2.1"] {
        assert!(shown.contains(known), "{known} in {shown}");
    }
    assert_ne!(user, "", "and the session is still shown");
    stage.no_token_anywhere(Some(&app)).await;
    let there = "document.getElementById('details-output').scrollIntoView({ block: 'start' })";
    app.run(there, vec![]).await;
    std::fs::write(folder(&stage).join("relay.png"), app.picture().await).expect("a picture is written");

    app.click("sign-out").await;
    app.shows("end-reason", "logout").await;
    app.shows("details-output", "").await;
    stage.keychain_has(Slot::Session, false).await;
    let delivered = timeout(RETRY_BOUND, control.wait_for(Operation::RevokeSession, 1)).await;
    assert!(delivered.is_ok(), "the server hears of the logout");
    assert_eq!(control.session_state(stage.session_id()), Some(SessionState::Revoked));
    app.close().await;
    stage.no_token_anywhere(None).await;
    let asked_directly = [Operation::Authenticate, Operation::Refresh, Operation::Delete];
    assert_eq!(asked_directly.map(|operation| control.count(operation)), [0, 0, 0], "all through the relay");
    relay.shutdown().await;
}
