//! How sessions end by themselves, and what a used refresh token is worth.

use otpless_local::{Control, OtplessLocal, Rotation, SessionState, Settings};
use serde_json::json;

use crate::support::Fixture;

/// Room for the time the test itself takes.
const SLACK_MS: i64 = 20_000;

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_session_expires_with_its_refresh_token_and_not_before() {
    let fixture = Fixture::with(Settings { refresh_token_seconds: 1000, ..Settings::default() }).await;
    let (control, issued) = (&fixture.control, &fixture.issued);
    control.set_clock_offset(1_000_000 - SLACK_MS);
    assert_eq!(control.session_state(&issued.session_id), Some(SessionState::Active));
    control.set_clock_offset(1_000_000);
    assert_eq!(control.session_state(&issued.session_id), Some(SessionState::Expired));
    assert_eq!(fixture.refresh(&issued.refresh_token).await.refusal(), refused(401, "7415"));
}

#[tokio::test]
async fn an_expired_session_token_is_refused_but_its_session_can_be_refreshed() {
    let fixture = Fixture::with(Settings { session_token_seconds: 100, ..Settings::default() }).await;
    fixture.control.set_clock_offset(100_000);
    assert_eq!(fixture.authenticate(&fixture.issued).await.refusal(), refused(401, "7415"));
    let body = json!({ "sessionToken": fixture.issued.session_token });
    assert_eq!(fixture.v1("validate-session", body).await.refusal(), refused(401, "7415"));
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

#[tokio::test]
async fn no_activity_and_no_refresh_outlives_the_maximum_lifetime() {
    let fixture = Fixture::with(Settings { max_lifetime_seconds: Some(1000), ..Settings::default() }).await;
    fixture.control.set_clock_offset(1_000_000 - SLACK_MS);
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
    fixture.control.set_clock_offset(1_000_000);
    let now = fixture.control.tokens(&fixture.issued.session_id).expect("it is present");
    assert_eq!(fixture.refresh(&now.refresh_token).await.refusal(), refused(401, "7415"));
    assert_eq!(fixture.authenticate(&now).await.refusal(), refused(401, "7415"));
    assert_eq!(fixture.control.session_state(&now.session_id), Some(SessionState::Expired));
}

#[tokio::test]
async fn a_session_without_a_call_for_the_inactivity_timeout_is_over_for_good() {
    let fixture = Fixture::with(Settings { inactivity_seconds: Some(1000), ..Settings::default() }).await;
    fixture.control.set_clock_offset(1_000_000);
    assert_eq!(fixture.authenticate(&fixture.issued).await.refusal(), refused(401, "7415"));
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.refusal(), refused(401, "7415"));
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Inactive));
    fixture.control.set_clock_offset(0);
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Inactive));
}

#[tokio::test]
async fn authenticating_is_activity() {
    let fixture = Fixture::with(Settings { inactivity_seconds: Some(1000), ..Settings::default() }).await;
    for step in 1..=3 {
        fixture.control.set_clock_offset(step * (1_000_000 - SLACK_MS));
        assert_eq!(fixture.authenticate(&fixture.issued).await.status, 200, "after step {step}");
    }
}

#[tokio::test]
async fn refreshing_is_activity_only_if_the_settings_say_so() {
    for (refresh_is_activity, expected) in [(true, SessionState::Active), (false, SessionState::Inactive)] {
        let settings =
            Settings { inactivity_seconds: Some(1000), refresh_is_activity, ..Settings::default() };
        let fixture = Fixture::with(settings).await;
        fixture.control.set_clock_offset(600_000);
        assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
        fixture.control.set_clock_offset(1_200_000);
        assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(expected));
    }
}

#[tokio::test]
async fn strict_rotation_refuses_a_spent_refresh_token_and_counts_it() {
    let fixture = Fixture::new().await;
    let first = &fixture.issued.refresh_token;
    assert_eq!(fixture.refresh(first).await.status, 200);
    assert_eq!(fixture.control.replays(), 0);
    for replays in 1..=2 {
        assert_eq!(fixture.refresh(first).await.refusal(), refused(400, "7414"));
        assert_eq!(fixture.control.replays(), replays);
    }
    // The replay costs the session nothing: its newest token still works.
    let now = fixture.control.tokens(&fixture.issued.session_id).expect("it is present");
    assert_eq!(fixture.refresh(&now.refresh_token).await.status, 200);
}

#[tokio::test]
async fn grace_answers_a_second_use_with_the_same_tokens_until_it_is_over() {
    let settings = Settings { rotation: Rotation::Grace, grace_seconds: 100, ..Settings::default() };
    let fixture = Fixture::with(settings).await;
    let first = &fixture.issued.refresh_token;
    let bought = fixture.refresh(first).await.json();
    assert_ne!(bought["refreshToken"], *first);
    fixture.control.set_clock_offset(100_000 - SLACK_MS);
    let again = fixture.refresh(first).await;
    assert_eq!((again.status, again.json()), (200, bought));
    assert_eq!(fixture.control.replays(), 0);
    fixture.control.set_clock_offset(101_000);
    assert_eq!(fixture.refresh(first).await.refusal(), refused(400, "7414"));
    assert_eq!(fixture.control.replays(), 1);
}

#[tokio::test]
async fn without_rotation_a_refresh_token_stays_the_same() {
    let fixture = Fixture::with(Settings { rotation: Rotation::None, ..Settings::default() }).await;
    for _ in 0..3 {
        let reply = fixture.refresh(&fixture.issued.refresh_token).await;
        assert_eq!(
            (reply.status, &reply.json()["refreshToken"]),
            (200, &json!(fixture.issued.refresh_token))
        );
    }
    assert_eq!(fixture.control.replays(), 0);
}

#[tokio::test]
async fn revoking_all_leaves_no_session_active_and_says_how_many_it_were() {
    let fixture = Fixture::new().await;
    let other = fixture.control.sign_in(otpless_local::SignIn::default());
    assert_eq!(fixture.control.revoke_user(&other.user_id), 1);
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Active));
    assert_eq!(fixture.control.revoke_all(), 1);
    assert_eq!(fixture.control.session_state(&fixture.issued.session_id), Some(SessionState::Revoked));
}

#[tokio::test]
async fn offline_refuses_connections_and_online_again_knows_its_sessions() {
    let fixture = Fixture::new().await;
    let port = fixture.local.port();
    fixture.local.go_offline().await;
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    assert_eq!(refused.map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionRefused));
    fixture.local.go_online().await.expect("the port is still free");
    fixture.local.go_online().await.expect("it is online already");
    assert_eq!(fixture.local.port(), port);
    assert_eq!(fixture.refresh(&fixture.issued.refresh_token).await.status, 200);
}

// Linux alone answers on all of 127.0.0.0/8 without being configured to.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_other_address_than_127_0_0_1_is_bound() {
    let fixture = Fixture::new().await;
    let elsewhere = tokio::net::TcpStream::connect(("127.0.0.2", fixture.local.port())).await;
    assert_eq!(elsewhere.map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn shutting_down_frees_the_port_and_so_does_dropping() {
    let local = OtplessLocal::start(Settings::default()).await.expect("a free port");
    let settings = Settings { port: local.port(), ..Settings::default() };
    assert_eq!(
        OtplessLocal::start(settings.clone()).await.map(drop).map_err(|error| error.kind()),
        Err(std::io::ErrorKind::AddrInUse)
    );
    local.shutdown().await;
    let again = OtplessLocal::start(settings.clone()).await.expect("the port is free");
    drop(again);
    // A dropped server cannot be waited for; it stops as soon as the runtime gets to it.
    crate::support::within(async {
        while OtplessLocal::start(settings.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn impossible_settings_do_not_start_and_the_message_names_them() {
    for (settings, name) in [
        (Settings { session_token_seconds: 0, ..Settings::default() }, "sessionTokenSeconds"),
        (Settings { inactivity_seconds: Some(u64::MAX), ..Settings::default() }, "inactivitySeconds"),
        (Settings { app_id: "two words".to_owned(), ..Settings::default() }, "appId"),
    ] {
        let error = OtplessLocal::start(settings).await.map(drop).expect_err("it is impossible");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn the_handle_can_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    anywhere::<Control>();
}
