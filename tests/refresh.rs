//! Rotation without losing a token: one exchange for many callers, stored before it is used, shared among processes.

use std::time::Duration;

use otpless_local::{Fault, Operation, Settings, SignIn};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    EndReason, ErrorKind, Exchange, SessionStatus, Storage,
    engine::{ActivityLog, SessionApi, Slot, StoreError},
};

use crate::support::{Device, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn c3_fifty_callers_share_one_exchange_and_one_result() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let gate = device.control.pause(Operation::Refresh);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let manager = (*app).clone();
            tokio::spawn(async move { manager.refresh().await })
        })
        .collect();
    gate.held(1).await;
    gate.release();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(device.control.count(Operation::Refresh), 1);
    assert_eq!(device.control.replays(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_asking_again_and_again_does_not_drive_the_server() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    for _ in 0..1_000 {
        app.refresh().await.unwrap();
        app.verify().await.unwrap();
    }
    assert_eq!(device.control.count(Operation::Refresh), 1);
    assert_eq!(device.control.count(Operation::Authenticate), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_a_refresh_whose_caller_went_away_is_stored_all_the_same() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let (gate, caller) = app.refresh_held_up(&device.control).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.release();
    eventually("the rotated token to be stored", || {
        device.stored().is_some_and(|stored| stored.tokens.refresh_token.expose() != issued.refresh_token)
    })
    .await;
    assert_eq!(app.until_status(SessionStatus::Active).await.status, SessionStatus::Active);
}

/// Rule 3.
#[tokio::test(flavor = "multi_thread")]
async fn c1_the_rotated_token_is_in_the_store_when_the_caller_hears_of_it() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.refresh().await.unwrap();
    let stored = device.stored().unwrap();
    assert_ne!(stored.tokens.refresh_token.expose(), issued.refresh_token);
    assert_eq!(stored.rotation, 1);
    let token = app.session_token(Duration::ZERO).await.unwrap();
    assert_eq!(token.token, stored.tokens.session_token);
}

/// Rule 3.
#[tokio::test(flavor = "multi_thread")]
async fn c4_what_another_process_has_rotated_is_adopted_without_an_exchange() {
    let device = Device::new().await;
    let (first, _) = device.signed_in().await;
    let second = device.start();
    second.session().await;
    first.refresh().await.unwrap();
    second.refresh().await.unwrap();
    assert_eq!(device.control.count(Operation::Refresh), 1, "the second found the token of the first");
    let tokens = (
        first.session_token(Duration::ZERO).await.unwrap().token,
        second.session_token(Duration::ZERO).await.unwrap().token,
    );
    assert_eq!(tokens.0, tokens.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_processes_that_refresh_together_never_spend_a_token_twice() {
    let device = Device::with(Settings { session_token_seconds: 3600, ..Settings::default() }).await;
    let (first, _) = device.signed_in().await;
    let apps: Vec<_> = std::iter::once(first).chain((0..7).map(|_| device.start())).collect();
    for app in &apps {
        app.session().await;
    }
    for _ in 0..5 {
        device.time_passes(Duration::from_secs(3600));
        let refreshes: Vec<_> = apps
            .iter()
            .map(|app| {
                let manager = (**app).clone();
                tokio::spawn(async move { manager.session_token(Duration::from_secs(60)).await })
            })
            .collect();
        for refresh in refreshes {
            refresh.await.unwrap().unwrap();
        }
    }
    assert_eq!(device.control.replays(), 0);
    assert_eq!(device.control.count(Operation::Refresh), 5, "one for all, each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_in_another_process_is_found_and_believed() {
    let device = Device::new().await;
    let (first, _) = device.signed_in().await;
    let second = device.start();
    assert_eq!(second.session().await.status, SessionStatus::Active);
    first.logout().await;
    let _ = second.refresh().await;
    let session = second.current();
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Logout)));
    assert!(device.store.peek(Slot::Session).is_none());
    assert_eq!(device.control.count(Operation::Refresh), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_in_another_process_beats_our_refresh_in_flight() {
    let device = Device::new().await;
    let (first, _) = device.signed_in().await;
    let second = device.start();
    second.session().await;
    let (gate, refresh) = second.refresh_held_up(&device.control).await;
    first.logout().await;
    gate.release();
    assert_eq!(refresh.await.unwrap().unwrap_err().kind(), ErrorKind::SessionChanged);
    assert!(device.store.peek(Slot::Session).is_none(), "nothing was written over the logout");
    assert_eq!(second.current().end_reason, Some(EndReason::Logout));
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_sign_in_in_another_process_is_adopted() {
    let device = Device::new().await;
    let (first, _) = device.signed_in().await;
    let second = device.start();
    second.session().await;
    let other = device.control.sign_in(SignIn { phone: Some("4915112345678".into()), ..SignIn::default() });
    first.start_session(other.web()).await.unwrap();
    second.refresh().await.unwrap();
    assert_eq!(second.current().user_id, Some(other.user_id));
    // By itself it may have heard of it before it was asked: then it has refreshed what it has adopted.
    let of_the_adopted = device.stored().expect("a session").refreshes;
    assert_eq!(
        device.control.count(Operation::Refresh) as u64,
        of_the_adopted,
        "the replaced one's is not spent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b9_a_refresh_that_brings_somebody_elses_tokens_is_refused_and_the_session_kept() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let other = device.control.sign_in(SignIn { phone: Some("4915112345678".into()), ..SignIn::default() });
    let answer = |id: &str, token: &str, refresh: &str| {
        let body = json!({"sessionToken": id, "sessionTokenJWT": token, "refreshToken": refresh});
        Fault::Status(200, body.to_string())
    };
    for (what, fault) in [
        ("another user's session", answer(&other.session_id, &other.session_token, &other.refresh_token)),
        ("another id", answer(&other.session_id, &issued.session_token, &issued.refresh_token)),
        ("another session token", answer(&issued.session_id, &other.session_token, &issued.refresh_token)),
        ("another refresh token", answer(&issued.session_id, &issued.session_token, &other.refresh_token)),
        ("a forged token", answer(&issued.session_id, "e30.e30.e30", &issued.refresh_token)),
    ] {
        let device_error = {
            device.control.fault(Operation::Refresh, fault, 1);
            // Past the back-off of the failure before.
            let app = device.start();
            app.session().await;
            app.refresh().await.unwrap_err()
        };
        assert_eq!(device_error.kind(), ErrorKind::InvalidToken, "{what}: {device_error}");
        let stored = device.stored().expect(what);
        assert_eq!(stored.tokens.refresh_token.expose(), issued.refresh_token, "{what}");
    }
    assert_eq!(app.current().user_id, Some(issued.user_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_a_refresh_that_brings_tokens_that_have_expired_is_refused_and_the_session_kept() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let claims = device.control.claims(&issued.session_id).expect("a session");
    let expired = |id: &str| {
        let day = 24 * 3600;
        let mut claims = claims.clone();
        claims["jti"] = id.into();
        for moment in ["iat", "exp"] {
            claims[moment] = (claims[moment].as_i64().expect("seconds") - 2 * day).into();
        }
        device.control.mint(claims, Value::Null)
    };
    let body = json!({
        "sessionToken": issued.session_id,
        "sessionTokenJWT": expired("one"),
        "refreshToken": expired("two"),
    });
    device.control.fault(Operation::Refresh, Fault::Status(200, body.to_string()), 1);
    assert_eq!(app.refresh().await.unwrap_err().kind(), ErrorKind::InvalidToken);
    assert_eq!(device.stored().unwrap().tokens.refresh_token.expose(), issued.refresh_token);
    assert_eq!(app.session().await.user_id, Some(issued.user_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_a_refresh_that_swaps_the_two_tokens_is_refused() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let body = json!({
        "sessionToken": issued.session_id,
        "sessionTokenJWT": issued.refresh_token,
        "refreshToken": issued.session_token,
    });
    device.control.fault(Operation::Refresh, Fault::Status(200, body.to_string()), 1);
    assert_eq!(app.refresh().await.unwrap_err().kind(), ErrorKind::InvalidToken);
    assert_eq!(device.stored().unwrap().tokens.session_token.expose(), issued.session_token);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_an_empty_or_absent_refresh_token_keeps_the_old_one() {
    let device = Device::new().await;
    let (_, issued) = device.signed_in().await;
    let fresh = device.control.tokens(&issued.session_id).unwrap();
    for refresh_token in [json!(""), json!(null)] {
        let body = json!({"sessionTokenJWT": fresh.session_token, "refreshToken": refresh_token});
        device.control.fault(Operation::Refresh, Fault::Status(200, body.to_string()), 1);
        let app = device.start();
        app.session().await;
        app.refresh().await.unwrap();
        assert_eq!(device.stored().unwrap().tokens.refresh_token.expose(), issued.refresh_token);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_rotated_token_with_an_unknown_key_is_stored_before_it_can_be_verified() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.control.rotate_keys(false);
    device.control.fault(Operation::Jwks, Fault::ServerError500, 100);
    app.refresh().await.unwrap();
    let session = app.current();
    assert_eq!(session.status, SessionStatus::Stale, "not served before it is verified");
    assert_ne!(device.stored().unwrap().tokens.refresh_token.expose(), issued.refresh_token);
    // Past the cooldown of the fetch that the sign-in made.
    device.time_passes(Duration::from_secs(30));
    app.look();
    let failed = |fetch: Exchange| fetch.error.is_some_and(|error| error.kind() == ErrorKind::Server);
    eventually("the reason", || app.diagnostics().last_key_fetch.is_some_and(failed)).await;
    device.control.clear_faults();
    device.time_passes(Duration::from_secs(30));
    app.look();
    let session = app.until_status(SessionStatus::Active).await;
    assert!(session.expires_at.is_some());
}

/// Rule 11 (A8).
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_the_rotated_token_leaves_it_in_memory_and_gets_it_later() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.store.fail_all(Some(StoreError::Unavailable("locked")));
    app.refresh().await.unwrap();
    assert_eq!(app.current().storage, Storage::Ephemeral);
    assert_eq!(app.current().status, SessionStatus::Active);
    assert_eq!(device.stored().unwrap().tokens.refresh_token.expose(), issued.refresh_token);
    device.store.fail_all(None);
    app.until("the keychain to be used again", |session| session.storage == Storage::Keychain).await;
    let stored = device.stored().unwrap();
    assert_ne!(stored.tokens.refresh_token.expose(), issued.refresh_token);
}

/// B11, C1: kept keys decide nothing: a token that does not verify with them is stored all the same, for the one that bought it
/// is spent, and the issuer's own keys settle it.
#[tokio::test(flavor = "multi_thread")]
async fn c1_a_wrong_key_that_was_kept_loses_no_rotated_token() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    let foreign = Device::new().await;
    foreign.signed_in().await;
    let mut kept = device.log.get("jwks").expect("the keys are kept");
    kept["keys"][0]["n"] = foreign.log.get("jwks").expect("the keys are kept")["keys"][0]["n"].clone();
    device.log.put("jwks", kept);

    device.time_passes(Duration::from_secs(24 * 3600));
    device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::Stale);
    app.refresh().await.expect("the exchange is made");
    assert_eq!(app.current().status, SessionStatus::Stale, "not served before it is verified");
    assert_ne!(device.stored().unwrap().tokens.refresh_token.expose(), issued.refresh_token);
    device.control.clear_faults();
    device.time_passes(Duration::from_secs(30));
    app.look();
    app.until_status(SessionStatus::Active).await;
    assert_eq!(device.control.replays(), 0);
}

/// B8, B9: of two tokens that came together one does not vouch for the other. A genuine refresh token in the session token's
/// place is not served for want of the other's key, and when that is known the two are what they are.
#[tokio::test(flavor = "multi_thread")]
async fn b8_b9_a_token_is_not_served_before_the_one_that_came_with_it_is_verified() {
    let device = Device::new().await;
    for swapped in [true, false] {
        let (app, issued) = device.signed_in().await;
        let claims = device.control.claims(&issued.session_id).unwrap();
        let mut longer = claims.clone();
        longer["exp"] = (claims["exp"].as_i64().unwrap() + 6 * 24 * 3600).into();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "of-another-time"});
        let unknown = device.control.mint_with_unknown_key(longer.clone(), header);
        let mut genuine = if swapped { longer } else { claims };
        genuine["iat"] = (genuine["iat"].as_i64().unwrap() + 1).into();
        let genuine = device.control.mint(genuine, Value::Null);
        let body = json!({"sessionTokenJWT": genuine, "refreshToken": unknown});
        device.control.fault(Operation::Refresh, Fault::Status(200, body.to_string()), 1);
        app.refresh().await.expect("it is stored, for the old one is spent");
        assert_eq!(app.current().status, SessionStatus::Stale, "swapped: {swapped}");
        assert!(app.session_token(Duration::ZERO).await.is_err());
        assert_eq!(device.stored().unwrap().tokens.refresh_token.expose(), unknown);
        app.kill().await;
        // Nor after a restart: the session goes on with what was good before.
        let app = device.start();
        app.until_status(SessionStatus::Active).await;
        let served = app.session_token(Duration::ZERO).await.expect("it is active").token;
        assert_ne!(served.expose(), genuine, "swapped: {swapped}");
        app.logout().await;
    }
}

/// Rule 11: what stands in the keychain seems newer than tokens whose own age nobody can read yet. It is what they were bought
/// with, so they go on top of it, at once and once.
#[tokio::test(flavor = "multi_thread")]
async fn c1_rotated_tokens_with_an_unknown_key_reach_a_keychain_that_was_locked() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.control.rotate_keys(false);
    device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
    device.store.fail_all(Some(StoreError::Unavailable("locked")));
    app.refresh().await.unwrap();
    assert_eq!(app.current().storage, Storage::Ephemeral);
    device.store.fail_all(None);
    app.until("the keychain to be used again", |session| session.storage == Storage::Keychain).await;
    let stored = device.stored().unwrap().tokens.refresh_token;
    assert_ne!(stored.expose(), issued.refresh_token);
    assert_eq!(stored.expose(), device.control.tokens(&issued.session_id).unwrap().refresh_token);
}

/// C1: a question that was asked before a refresh and is answered after it, by a token that no keychain takes, does not bring the
/// spent refresh token back, although the keychain had counted fewer changes than we did.
#[tokio::test(flavor = "multi_thread")]
async fn c1_a_renewal_that_comes_after_a_refresh_brings_no_spent_token_back() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    for _ in 0..2 {
        device.time_passes(Duration::from_secs(60));
        app.refresh().await.expect("the exchange is made");
    }
    let mut record = device.stored().unwrap();
    assert_eq!(record.rotation, 2);
    record.rotation = 0;
    device.store.plant(Slot::Session, &record.to_bytes());

    let mut claims = device.control.claims(&issued.session_id).unwrap();
    claims["exp"] = (claims["exp"].as_i64().unwrap() + 600).into();
    let body = json!({"sessionTokenJWT": device.control.mint(claims, Value::Null)});
    let gate = device.control.pause(Operation::Authenticate);
    device.control.fault(Operation::Authenticate, Fault::Status(200, body.to_string()), 1);
    let question = tokio::spawn({
        let manager = (*app).clone();
        async move { manager.verify().await }
    });
    gate.held(1).await;
    device.time_passes(Duration::from_secs(60));
    app.refresh().await.expect("the exchange is made");
    device.store.fail_all(Some(StoreError::Unavailable("it went away")));
    gate.release();
    question.await.unwrap().expect("the session is good");

    device.store.fail_all(None);
    device.time_passes(Duration::from_secs(60));
    app.refresh().await.expect("the newest token is offered");
    assert_eq!(app.current().status, SessionStatus::Active);
    assert_eq!(device.control.replays(), 0);
}

/// C4: a verdict about a token that another process has replaced says nothing of the one it was replaced with, even if that is
/// due as well.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_verdict_about_a_token_that_was_replaced_meanwhile_ends_nothing() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    device.time_passes(Duration::from_secs(24 * 3600));
    // Another process, without our lock, refreshes, stores, and its token comes of age.
    let rotated = device.api().refresh(&issued.refresh_token.as_str().into(), None).await.outcome.unwrap();
    device.time_passes(Duration::from_secs(24 * 3600));
    let mut record = device.stored().unwrap();
    record.rotation += 1;
    record.tokens.session_token = rotated.session_token;
    record.tokens.refresh_token = rotated.refresh_token.unwrap();

    let gate = device.control.pause(Operation::Refresh);
    device.control.fault(Operation::Refresh, Fault::NotActive7415, 1);
    let app = device.start();
    gate.held(1).await;
    device.store.plant(Slot::Session, &record.to_bytes());
    gate.release();
    app.until_status(SessionStatus::Active).await;
    assert_eq!(device.control.replays(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_session_that_could_not_be_stored_is_not_stored_over_a_peers_logout() {
    let device = Device::new().await;
    let (first, _) = device.signed_in().await;
    let second = device.start();
    second.session().await;
    device.store.fail_all(Some(StoreError::Unavailable("hung")));
    second.refresh().await.unwrap();
    assert_eq!(second.current().storage, Storage::Ephemeral);
    device.store.fail_all(None);
    first.logout().await;
    let session = second.until_status(SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::Logout));
    assert!(device.store.peek(Slot::Session).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_stale_session_does_not_open_the_way_to_the_server_either() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.time_passes(Duration::from_secs(25 * 3600));
    device.control.fault(
        Operation::Refresh,
        Fault::RateLimited { code: "7020".into(), retry_after: Some(600) },
        100,
    );
    for _ in 0..200 {
        assert_eq!(app.verify().await.unwrap_err().kind(), ErrorKind::RateLimited);
        assert!(app.refresh().await.is_err());
        assert!(app.session_token(Duration::ZERO).await.is_err());
    }
    assert_eq!(device.control.count(Operation::Refresh), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_a_refresh_that_hands_the_refresh_token_out_as_session_token_is_refused() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let body = json!({"sessionTokenJWT": issued.refresh_token});
    device.control.fault(Operation::Refresh, Fault::Status(200, body.to_string()), 1);
    assert_eq!(app.refresh().await.unwrap_err().kind(), ErrorKind::InvalidToken);
    let body = json!({"sessionTokenJWT": issued.refresh_token});
    device.control.fault(Operation::Authenticate, Fault::Status(200, body.to_string()), 1);
    app.verify().await.unwrap();
    assert_eq!(app.session_token(Duration::ZERO).await.unwrap().token.expose(), issued.session_token);
}

/// B8: a refresh token that has not been seen before, where none came with it to compare it to.
#[tokio::test(flavor = "multi_thread")]
async fn b8_a_new_refresh_token_alone_in_the_place_of_a_session_token_is_refused() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let mut claims = device.control.claims(&issued.session_id).expect("the session is there");
    let (issued_at, session_life) = (claims["iat"].as_i64().expect("a time") + 1, 24 * 3600);
    for (life, taken) in [(7 * 24 * 3600, false), (session_life, true)] {
        claims["iat"] = issued_at.into();
        claims["exp"] = (issued_at + life).into();
        let token = device.control.mint(claims.clone(), Value::Null);
        let body = json!({ "sessionTokenJWT": token });
        device.control.fault(Operation::Refresh, Fault::Status(200, body.to_string()), 1);
        device.time_passes(Duration::from_secs(16 * 60));
        let outcome = app.refresh().await.map(drop).map_err(|error| error.kind());
        assert_eq!(outcome, if taken { Ok(()) } else { Err(ErrorKind::InvalidToken) }, "{life} s");
        let served = app.session_token(Duration::ZERO).await.expect("one of them is valid").token;
        assert_eq!(served.expose() == token, taken, "{life} s");
    }
}
