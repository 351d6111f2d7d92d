//! A session from sign-in to restart: what a user lives through on a good day.

use std::{sync::Arc, time::Duration};

use otpless_local::{Operation, Settings};
use tauri_plugin_otpless::{EndReason, SessionStatus, Storage};

use crate::support::{Device, Gate, Gated, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_the_app_starts_signed_out_and_asks_nobody() {
    let device = Device::new().await;
    let app = device.start();
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, None));
    assert!(device.control.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_in_either_dialect_is_verified_stored_and_shown() {
    for mobile in [false, true] {
        let device = Device::new().await;
        let app = device.start();
        let issued = device.issue();
        let result = if mobile { issued.mobile() } else { issued.web() };
        let session = app.start_session(result).await.unwrap();
        assert_eq!((session.status, session.storage), (SessionStatus::Active, Storage::Keychain));
        assert_eq!(session.user_id.as_deref(), Some(issued.user_id.as_str()));
        assert_eq!(session.claims.unwrap().phone_number.as_deref(), Some("919876543210"));
        let stored = device.stored().unwrap();
        assert_eq!(stored.tokens.refresh_token.expose(), issued.refresh_token);
        assert_eq!(stored.tokens.session_id.expose(), issued.session_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_without_a_network_the_user_is_still_signed_in() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    device.otpless.go_offline().await;
    let session = device.glance().await;
    assert_eq!(session.status, SessionStatus::Active, "verified with the keys kept from last time");
    assert_eq!(session.user_id.as_deref(), Some(issued.user_id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_a_restored_session_without_a_key_is_stale_until_it_could_be_verified() {
    let mut device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    device.log = Default::default();
    device.otpless.go_offline().await;
    let app = device.start();
    let session = app.session().await;
    assert_eq!(session.status, SessionStatus::Stale);
    assert_eq!(session.user_id.as_deref(), Some(issued.user_id.as_str()), "known from the sign-in");
    assert_eq!(session.claims, None, "nothing is read from a token that is not verified");
    assert!(app.session_token(Duration::ZERO).await.is_err());

    device.otpless.go_online().await.unwrap();
    assert!(app.until_status(SessionStatus::Active).await.claims.is_some());
}

/// Rule 5.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_renewed_in_the_background_before_it_expires() {
    let device = Device::with(Settings { session_token_seconds: 6, ..Settings::default() }).await;
    let (app, issued) = device.signed_in().await;
    let first = app.current().expires_at.unwrap();
    let session = app.until("a later expiry", |session| session.expires_at > Some(first)).await;
    assert_eq!(session.status, SessionStatus::Active);
    let stored = device.stored().unwrap();
    assert_ne!(
        stored.tokens.refresh_token.expose(),
        issued.refresh_token,
        "the rotated token is in the store"
    );
    assert_eq!(device.control.replays(), 0);
}

/// Rule 7.
#[tokio::test(flavor = "multi_thread")]
async fn c10_a_machine_that_slept_through_the_expiry_renews_when_it_wakes() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.machine_sleeps(Duration::from_secs(30 * 3600));
    assert_eq!(app.current().status, SessionStatus::Stale, "right at the first look");
    // The user is back before the network is asked: that must not send the expired token anywhere.
    app.record_activity();
    app.look();
    app.until_status(SessionStatus::Active).await;
    assert_eq!(device.control.count(Operation::Refresh), 1);
    let asked = device.control.requests();
    let first = asked.iter().position(|r| r.operation == Operation::Refresh);
    let heartbeat = asked.iter().position(|r| r.operation == Operation::Authenticate);
    assert!(heartbeat.is_none_or(|at| Some(at) > first), "a heartbeat only with the new token");
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_a_sign_in_over_another_session_replaces_it_and_revokes_the_old() {
    let device = Device::new().await;
    let (app, old) = device.signed_in().await;
    let new = device.issue();
    let session = app.start_session(new.web()).await.unwrap();
    assert_eq!(session.user_id.as_deref(), Some(new.user_id.as_str()));
    let stored = device.stored().unwrap();
    assert_eq!(stored.tokens.session_id.expose(), new.session_id);
    assert_eq!(stored.tokens.refresh_token.expose(), new.refresh_token);
    device.control.wait_for(Operation::Delete, 1).await;
    let delete = device.control.requests().into_iter().find(|r| r.operation == Operation::Delete).unwrap();
    assert!(delete.path.ends_with(&old.session_id), "the old one, and only that");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_token_is_handed_out_only_with_enough_life_in_it() {
    let device = Device::with(Settings { session_token_seconds: 100, ..Settings::default() }).await;
    let (app, issued) = device.signed_in().await;
    let token = app.session_token(Duration::from_secs(30)).await.unwrap();
    assert_eq!(token.token.expose(), issued.session_token);
    device.time_passes(Duration::from_secs(60));
    let renewed = app.session_token(Duration::from_secs(60)).await.unwrap();
    assert_ne!(renewed.token.expose(), issued.session_token);
    assert!(renewed.expires_at > token.expires_at);
    let error = app.session_token(Duration::from_secs(3600)).await.unwrap_err();
    assert_eq!(error.kind(), tauri_plugin_otpless::ErrorKind::InvalidArgument, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_revoked_at_the_dashboard_is_found_out_by_asking() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    assert_eq!(app.verify().await.unwrap().status, SessionStatus::Active);
    device.control.revoke(&issued.session_id);
    app.kill().await;
    let app = device.start();
    let session = app.verify().await.unwrap();
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Revoked)));
    app.kill().await;
    assert_eq!(device.glance().await.status, SessionStatus::SignedOut, "and stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_the_snapshot_has_these_fields_and_no_others() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(Duration::from_secs(600));
    device.policy.max_lifetime = Some(Duration::from_secs(3600));
    let (app, _) = device.signed_in().await;
    let fields = |session| {
        let serde_json::Value::Object(map) = serde_json::to_value(session).unwrap() else { unreachable!() };
        map.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        fields(app.current()),
        [
            "status",
            "revision",
            "storage",
            "userId",
            "expiresAt",
            "refreshExpiresAt",
            "startedAt",
            "lastActiveAt",
            "inactivityDeadline",
            "lifetimeDeadline",
            "claims"
        ]
        .map(String::from)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    assert_eq!(fields(app.logout().await), ["endReason", "revision", "status", "storage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_nothing_that_crosses_to_the_page_holds_a_token_or_the_session_id() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.refresh().await.unwrap();
    let rotated = device.stored().unwrap().tokens;
    let shown = format!(
        "{}{}{:?}{:?}",
        serde_json::to_string(&app.current()).unwrap(),
        serde_json::to_string(&app.diagnostics()).unwrap(),
        app.current(),
        app.diagnostics(),
    );
    for secret in [
        issued.session_id.as_str(),
        &issued.session_token,
        &issued.refresh_token,
        rotated.session_token.expose(),
        rotated.refresh_token.expose(),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_sign_in_brought_twice_is_one_session_and_revokes_nothing() {
    let device = Device::new().await;
    let app = device.start();
    app.session().await;
    let issued = device.issue();
    let gate = device.control.pause(Operation::Jwks);
    let bring = || {
        let (manager, result) = ((*app).clone(), issued.web());
        tokio::spawn(async move { manager.start_session(result).await })
    };
    let (first, second) = (bring(), bring());
    gate.held(1).await;
    gate.release();
    for brought in [first, second] {
        assert_eq!(brought.await.unwrap().unwrap().status, SessionStatus::Active);
    }
    // And once more, when its refresh token has been spent since: what is there is better.
    app.refresh().await.unwrap();
    app.start_session(issued.web()).await.unwrap();
    assert_eq!(device.stored().unwrap().rotation, 1);
    app.verify().await.unwrap();
    assert_eq!(device.control.count(Operation::Delete), 0);
    app.kill().await;
    assert_eq!(device.glance().await.status, SessionStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_an_app_that_is_closed_during_a_refresh_waits_until_the_new_token_is_stored() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let (gate, refresh) = app.refresh_held_up(&device.control).await;
    refresh.abort();
    assert!(!app.settle(Duration::from_millis(50)).await, "the server has spent the old token");
    gate.release();
    assert!(app.settle(crate::support::PATIENCE).await);
    assert_ne!(device.stored().unwrap().tokens.refresh_token.expose(), issued.refresh_token);
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_a_clock_set_back_does_not_make_an_expired_token_good_again() {
    let device = Device::with(Settings { session_token_seconds: 3600, ..Settings::default() }).await;
    let (app, _) = device.signed_in().await;
    device.otpless.go_offline().await;
    device.time_passes(Duration::from_secs(3700));
    assert_eq!(app.current().status, SessionStatus::Stale);
    device.clock_is_set(-24 * 3600);
    assert_eq!(app.current().status, SessionStatus::Stale);
    assert!(app.session_token(Duration::ZERO).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_a_clock_that_was_wrong_at_sign_in_and_is_put_right_signs_nobody_out() {
    let device = Device::new().await;
    device.clock_is_set(-10 * 24 * 3600);
    let (app, _) = device.signed_in().await;
    assert!(app.diagnostics().clock_skew_ms > 0, "the server's time was learned");
    device.clock_is_set(0);
    app.look();
    assert_ne!(app.current().status, SessionStatus::SignedOut);
    app.until_status(SessionStatus::Active).await;
    assert_eq!(app.diagnostics().clock_skew_ms, 0);
}

/// Rule 2: what the user does last counts, also if it is the same as before: who brings a sign-in once more after a logout has not
/// lost to that.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_sign_in_that_is_brought_again_after_the_logout_is_not_undone_by_it() {
    let device = Device::new().await;
    let app = device.start();
    app.session().await;
    let issued = device.issue();
    let gate = device.control.pause(Operation::Jwks);
    let first = tokio::spawn({
        let (manager, result) = ((*app).clone(), issued.web());
        async move { manager.start_session(result).await }
    });
    gate.held(1).await;
    app.logout().await;
    let mut second = std::pin::pin!(app.start_session(issued.web()));
    assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err(), "it waits for the same keys");
    gate.release();
    let session = second.await.expect("nothing came after it");
    assert_eq!((session.status, session.user_id), (SessionStatus::Active, Some(issued.user_id)));
    first.await.expect("no panic").expect("one result for both");
    assert_eq!(device.control.count(Operation::Delete), 0);
}

/// The same while it is being stored, which a keychain may make last seconds.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_sign_in_that_is_brought_again_while_it_is_stored_is_not_undone_by_the_logout_before() {
    let device = Device::new().await;
    let (gate, store) = (Arc::new(Gate::default()), device.store.clone());
    let its_gate = gate.clone();
    let app = device.start_with(move || Box::new(Gated(store.clone(), its_gate.clone())));
    app.session().await;
    let issued = device.issue();
    let note = device.lock_directory().join("otpless-signed-out.txt");
    assert!(!note.exists());
    gate.set(true);
    let first = tokio::spawn({
        let (manager, result) = ((*app).clone(), issued.web());
        async move { manager.start_session(result).await }
    });
    eventually("the write", || gate.waiting() > 0).await;
    {
        let mut out = std::pin::pin!(app.logout());
        assert!(tokio::time::timeout(Duration::ZERO, &mut out).await.is_err(), "it waits for the keychain");
        eventually("the logout to be told", || note.exists()).await;
        let mut second = std::pin::pin!(app.start_session(issued.web()));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err(), "so does this");
        gate.set(false);
        let session = second.await.expect("nothing came after it");
        assert_eq!((session.status, session.user_id), (SessionStatus::Active, Some(issued.user_id.clone())));
        first.await.expect("no panic").expect("one result for both");
        out.await;
    }
    eventually("the session to be stored", || device.stored().is_some()).await;
    app.kill().await;
    let app = device.start();
    assert_eq!(app.session().await.user_id, Some(issued.user_id), "and it stays");
    assert_eq!(device.control.count(Operation::Delete), 0);
}
