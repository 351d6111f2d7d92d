//! The engine behind a relay: the same life, with `examples/relay` between it and the local OTPless's v1.

use std::time::Duration;

use otpless_local::{Fault, Operation, SessionState, Settings};
use otpless_test_kit::{
    leaks::Secrets,
    log::{catch_everything, caught},
};
use serde_json::json;
use tauri_plugin_otpless::{EndReason, ErrorKind, SessionManager, SessionStatus};

use crate::support::{Device, GATEWAY_KEY, PATIENCE, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_behind_a_relay_and_no_call_but_v1_s_is_made() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, issued) = device.signed_in().await;

    assert_eq!(app.verify().await.unwrap().status, SessionStatus::Active);
    let stored = device.stored().unwrap();
    assert_eq!(stored.tokens.session_token.expose(), issued.session_token, "validating renews nothing");
    assert!(app.diagnostics().last_verify.unwrap().ok);

    app.refresh().await.unwrap();
    device.time_passes(Duration::from_secs(60));
    app.refresh().await.unwrap();
    let rotated = device.stored().unwrap();
    assert_eq!(rotated.rotation, 2);
    assert_ne!(rotated.tokens.refresh_token.expose(), issued.refresh_token);
    assert_eq!((device.control.count(Operation::GetNewSessionToken), device.control.replays()), (2, 0));
    app.kill().await;
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::Active, "restored");

    app.logout().await;
    device.control.wait_for(Operation::RevokeSession, 1).await;
    eventually("the revocation to be confirmed", || app.diagnostics().pending_revocations == 0).await;
    assert_eq!(device.control.session_state(&issued.session_id), Some(SessionState::Revoked));
    for request in device.control.requests() {
        assert!(
            request.path.starts_with("/v1/sessions/") || request.operation == Operation::Jwks,
            "{}",
            request.path
        );
    }
}

/// Rule 5.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_renewed_through_the_relay_before_it_expires() {
    let device = Device::behind_relay(Settings { session_token_seconds: 6, ..Settings::default() }).await;
    let (app, _) = device.signed_in().await;
    let first = app.current().expires_at;
    let session = app.until("a later expiry", |session| session.expires_at > first).await;
    assert_eq!((session.status, device.control.replays()), (SessionStatus::Active, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_a_logout_while_the_relay_is_away_is_delivered_after_a_restart() {
    let mut device = Device::behind_relay(Settings::default()).await;
    let (app, issued) = device.signed_in().await;
    device.relay_goes_away().await;
    app.logout().await;
    assert!(device.stored().is_none());
    eventually("a revocation that failed", || app.diagnostics().counters.requests > 0).await;
    app.kill().await;
    assert_eq!(device.control.session_state(&issued.session_id), Some(SessionState::Active));

    device.relay_comes_back("local-client-secret").await;
    let app = device.start();
    device.control.wait_for(Operation::RevokeSession, 1).await;
    eventually("the revocation to be confirmed", || app.diagnostics().pending_revocations == 0).await;
    assert_eq!(device.control.session_state(&issued.session_id), Some(SessionState::Revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_otpless_s_verdicts_end_the_session_through_a_relay_too() {
    for fault in [Fault::NotPresent7414, Fault::NotActive7415] {
        let device = Device::behind_relay(Settings::default()).await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::ValidateSession, fault.clone(), 1);
        let session = app.verify().await.expect("a verdict is an answer, not an error");
        assert_eq!(
            (session.status, session.end_reason),
            (SessionStatus::SignedOut, Some(EndReason::Revoked))
        );

        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::GetNewSessionToken, fault.clone(), 1);
        assert_eq!(app.refresh().await.unwrap_err().kind(), ErrorKind::Rejected, "{fault:?}");
        assert_eq!(app.current().end_reason, Some(EndReason::Revoked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_a_relay_that_is_away_leaves_the_session_stale_and_kept_until_it_is_back() {
    let settings = Settings { session_token_seconds: 3600, ..Settings::default() };
    let mut device = Device::behind_relay(settings).await;
    let (app, _) = device.signed_in().await;
    device.relay_goes_away().await;
    let error = app.refresh().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, Some("9103")), "{error}");
    device.machine_sleeps(Duration::from_secs(2 * 3600));
    assert_eq!(app.current().status, SessionStatus::Stale);
    assert!(device.stored().is_some());

    device.relay_comes_back("local-client-secret").await;
    device.time_passes(Duration::from_secs(120));
    app.look();
    app.until_status(SessionStatus::Active).await;
    assert_eq!((device.stored().unwrap().rotation, device.control.replays()), (1, 0));
}

/// The relay's clock is the machine's here, which is two hours behind OTPless's and the app's.
#[tokio::test(flavor = "multi_thread")]
async fn c9_what_the_relay_says_by_itself_teaches_nobody_the_time() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    device.time_passes(Duration::from_secs(2 * 3600));
    device.otpless.go_offline().await;
    let error = app.refresh().await.unwrap_err();
    assert!(error.message().contains("502"), "{error}");
    assert_eq!(app.diagnostics().clock_skew_ms, 0);

    device.otpless.go_online().await.unwrap();
    device.time_passes(Duration::from_secs(120));
    device.control.set_clock_offset((4 * 3600 + 120) * 1000);
    app.refresh().await.unwrap();
    let ahead = app.diagnostics().clock_skew_ms - 2 * 3600 * 1000;
    assert!(ahead.abs() < 60_000, "what OTPless says does: {ahead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_no_refusal_of_the_relay_s_own_ends_a_session() {
    let mut device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;

    // OTPless is down: the relay's 502.
    device.otpless.go_offline().await;
    let error = app.verify().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Server, None), "{error}");
    assert!(error.message().contains("502"), "{error}");
    device.otpless.go_online().await.unwrap();

    // Nothing is left of this address's share: its 429.
    device.relay_goes_away().await;
    device.relay_comes_back_with(|settings| settings.rate(1, 2)).await;
    assert!(app.session_details().await.is_ok(), "which uses it up");
    let error = app.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    assert!(error.retry_after().is_some_and(|wait| wait > Duration::from_secs(20)), "{error:?}");

    assert_eq!(app.current().status, SessionStatus::Active);
    assert!(device.stored().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_a_relay_with_a_wrong_client_secret_is_named_and_the_session_kept() {
    let mut device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    device.relay_goes_away().await;
    device.relay_comes_back("wrong").await;
    for error in [app.verify().await.unwrap_err(), app.refresh().await.unwrap_err()] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidConfig, Some("401")));
        assert!(error.message().contains("relay's client id and secret"), "{error}");
        assert!(!error.message().contains("appId"), "{error}");
    }
    assert_eq!(app.current().status, SessionStatus::Active);
    assert!(device.stored().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_session_details_say_who_and_since_when_without_the_session_id() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, issued) = device.signed_in().await;
    let details = app.session_details().await.unwrap();
    assert_eq!(details.user_id, issued.user_id);
    assert!(details.started_at <= details.last_active_at);
    let shown = serde_json::to_value(&details).unwrap();
    let fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["deviceInfo", "identities", "lastActiveAt", "network", "startedAt", "userId"]);
    assert_eq!(shown["identities"][0]["identityValue"], "919876543210");
    assert_eq!(shown["identities"][0]["verifiedAt"], shown["startedAt"]);
    assert_eq!(shown["deviceInfo"]["browser"], "Firefox");
    assert_eq!(shown["network"]["ipLocation"]["city"]["name"], "Patna");
    for secret in [&issued.session_id, &issued.session_token, &issued.refresh_token] {
        assert!(!shown.to_string().contains(secret.as_str()), "{shown}");
    }
    assert!(!format!("{details:?}").contains("919876543210"), "not in a log either");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_details_need_a_session_and_a_relay_and_say_so() {
    let device = Device::behind_relay(Settings::default()).await;
    let app = device.start();
    assert_eq!(app.session_details().await.unwrap_err().kind(), ErrorKind::NotSignedIn);

    let direct = Device::new().await;
    let (app, _) = direct.signed_in().await;
    let before = app.diagnostics().counters.requests;
    let error = app.session_details().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(
        error.message().contains("plugins.otpless.mode") && error.message().contains("relayUrl"),
        "{error}"
    );
    assert_eq!(app.diagnostics().counters.requests, before, "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_details_are_known_also_when_the_session_token_has_expired() {
    let settings = Settings { session_token_seconds: 3600, ..Settings::default() };
    let device = Device::behind_relay(settings).await;
    let (app, issued) = device.signed_in().await;
    let gate = device.control.pause(Operation::GetNewSessionToken);
    device.time_passes(Duration::from_secs(2 * 3600));
    assert_eq!(app.current().status, SessionStatus::Stale);
    assert_eq!(app.session_details().await.unwrap().user_id, issued.user_id);
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_however_often_a_page_asks_for_details_otpless_is_asked_once_in_ten_seconds() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let manager = SessionManager::clone(&app);
            tokio::spawn(async move { manager.session_details().await })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap().is_ok());
    }
    let first = app.session_details().await.unwrap();
    assert_eq!(device.control.count(Operation::GetSessionDetails), 1);

    device.time_passes(Duration::from_secs(9));
    assert_eq!(app.session_details().await.unwrap(), first);
    assert_eq!(device.control.count(Operation::GetSessionDetails), 1);
    device.time_passes(Duration::from_secs(2));
    app.session_details().await.unwrap();
    assert_eq!(device.control.count(Operation::GetSessionDetails), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_question_for_details_that_failed_is_not_repeated_before_its_time() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    let limited = Fault::RateLimited { code: "7022".into(), retry_after: Some(60) };
    device.control.fault(Operation::GetSessionDetails, limited, 1);
    let first = app.session_details().await.unwrap_err();
    assert_eq!((first.kind(), first.code()), (ErrorKind::RateLimited, Some("7022")));
    device.time_passes(Duration::from_secs(50));
    let second = app.session_details().await.unwrap_err();
    assert_eq!((second.kind(), second.code()), (first.kind(), first.code()), "the same, without a request");
    assert!(second.retry_after().is_some_and(|left| left <= Duration::from_secs(10)), "{second:?}");
    assert_eq!(device.control.count(Operation::GetSessionDetails), 1);
    device.time_passes(Duration::from_secs(20));
    assert!(app.session_details().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_questions_for_details_come_out_of_the_budget_and_leave_the_rest_for_refreshes() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    let mut refused = None;
    for _ in 0..40 {
        device.time_passes(Duration::from_secs(10));
        if let Err(error) = app.session_details().await {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::RateLimited));
    assert!(app.refresh().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_a_verdict_on_a_question_for_details_ends_the_session_and_nothing_else_does() {
    for fault in [Fault::NotPresent7414, Fault::NotActive7415] {
        let device = Device::behind_relay(Settings::default()).await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::GetSessionDetails, fault.clone(), 1);
        let error = app.session_details().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{fault:?}: {error}");
        let session = app.current();
        assert_eq!(
            (session.status, session.end_reason),
            (SessionStatus::SignedOut, Some(EndReason::Revoked))
        );
        eventually("the store to be erased", || device.stored().is_none()).await;
    }
    for fault in [
        Fault::ServerError500,
        Fault::EmptyObject200,
        Fault::Unauthorized401NoCode,
        Fault::Status(200, r#"{"errorCode":"7414"}"#.into()),
        Fault::Huge(20_000),
    ] {
        let device = Device::behind_relay(Settings::default()).await;
        let (app, _) = device.signed_in().await;
        device.control.fault(Operation::GetSessionDetails, fault.clone(), 1);
        assert!(app.session_details().await.is_err(), "{fault:?}");
        assert_eq!(app.current().status, SessionStatus::Active, "{fault:?}");
    }
}

/// A relay is somebody's own code, and may mix up its users.
#[tokio::test(flavor = "multi_thread")]
async fn d1_details_of_another_user_or_with_a_credential_in_them_are_not_shown() {
    let of = |user: &str, browser: &str| {
        json!({
            "userId": user,
            "startedAt": 1,
            "lastActiveAt": 2,
            "identities": [{"identityType": "MOBILE", "identityValue": "910000000000"}],
            "deviceInfo": {"browser": {"name": [browser]}},
        })
        .to_string()
    };
    let device = Device::behind_relay(Settings::default()).await;
    let (app, issued) = device.signed_in().await;
    let echoed = |secret: &str| of(&issued.user_id, &format!("x {secret}"));
    for (answer, said) in [
        (of("MO-another", "Firefox"), "another user"),
        (echoed(&issued.session_id), "a credential"),
        (echoed(&issued.session_token), "a credential"),
        (echoed(&issued.refresh_token), "a credential"),
    ] {
        device.control.fault(Operation::GetSessionDetails, Fault::Status(200, answer), 1);
        let error = app.session_details().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.message().contains(said) && !error.message().contains("MO-"), "{error}");
        device.time_passes(Duration::from_secs(30));
    }
    assert_eq!(app.current().status, SessionStatus::Active);
    assert!(app.session_details().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_credential_that_was_renewed_while_details_were_asked_for_is_not_shown_in_them() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, issued) = device.signed_in().await;
    let gate = device.control.pause_before(Operation::GetSessionDetails);
    let asking = tokio::spawn({
        let manager = SessionManager::clone(&app);
        async move { manager.session_details().await }
    });
    gate.held(1).await;
    device.time_passes(Duration::from_secs(30));
    app.refresh().await.unwrap();
    let renewed = device.control.tokens(&issued.session_id).unwrap().refresh_token;
    assert_ne!(renewed, issued.refresh_token);
    let identities = json!([{"identityType": "EMAIL", "identityValue": renewed}]);
    let answer =
        json!({"userId": issued.user_id, "identities": identities, "startedAt": 1, "lastActiveAt": 2});
    device.control.fault(Operation::GetSessionDetails, Fault::Status(200, answer.to_string()), 1);
    gate.release();
    let outcome = tokio::time::timeout(PATIENCE, asking).await.unwrap().unwrap();
    assert!(outcome.unwrap_err().message().contains("a credential"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_details_that_come_back_after_a_logout_are_dropped() {
    let device = Device::behind_relay(Settings::default()).await;
    let (app, _) = device.signed_in().await;
    let gate = device.control.pause(Operation::GetSessionDetails);
    let asking = tokio::spawn({
        let manager = SessionManager::clone(&app);
        async move { manager.session_details().await }
    });
    gate.held(1).await;
    app.logout().await;
    gate.release();
    let outcome = tokio::time::timeout(PATIENCE, asking).await.unwrap().unwrap();
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::SessionChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_no_log_line_holds_a_secret_or_a_relay_header() {
    catch_everything();
    let mut device = Device::behind_relay(Settings::default()).await;
    let (app, issued) = device.signed_in().await;
    app.verify().await.unwrap();
    app.session_details().await.unwrap();
    device.control.fault(Operation::GetNewSessionToken, Fault::ConnectionReset, 1);
    let mut errors = format!("{:?}", app.refresh().await.unwrap_err());
    device.time_passes(Duration::from_secs(120));
    app.refresh().await.unwrap();
    device.relay_goes_away().await;
    app.logout().await;
    errors += &format!("{:?} {:?}", app.session_details().await, app.diagnostics());
    let said = |what: &str| String::from_utf8_lossy(&caught()).contains(what);
    eventually("a failed revocation", || said("could not be delivered yet")).await;

    let mut secrets = Secrets::default();
    secrets.add_session(&issued);
    secrets.add("gateway key", GATEWAY_KEY);
    let finder = secrets.finder();
    finder.finds_nothing_in("the log", caught());
    finder.finds_nothing_in("an error", &errors);
}
