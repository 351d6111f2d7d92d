//! A sign-in result that is not one: a typed error that names the field, nothing stored, an existing session untouched.

use std::time::Duration;

use otpless_local::{Fault, Operation, SignIn};
use serde_json::{Value, json};
use tauri_plugin_otpless::{ErrorKind, SessionStatus};

use crate::support::Device;

async fn refused(device: &Device, what: &str, result: Value, kind: ErrorKind, field: &str) {
    let (app, existing) = device.signed_in().await;
    let before = (device.stored(), app.current());
    let error = app.start_session(result.clone()).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert!(error.message().starts_with(&format!("{field} ")), "{what}: {error}");
    assert!(error.message().contains("Nothing was stored"), "{what}: {error}");
    assert_eq!((device.stored(), app.current()), before, "{what}");
    assert_eq!(app.current().user_id.as_deref(), Some(existing.user_id.as_str()));

    let fresh = Device::new().await;
    let app = fresh.start();
    app.start_session(result).await.unwrap_err();
    assert!(fresh.stored().is_none(), "{what}");
    assert_eq!(app.current().status, SessionStatus::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_neither_dialect_is_refused_by_field() {
    let device = Device::new().await;
    let issued = device.issue();
    let with = |field: &str, value: Value| {
        let mut web = issued.web();
        web[field] = value;
        web
    };
    let kind = ErrorKind::InvalidArgument;
    refused(&device, "not an object", json!("x"), kind, "result").await;
    refused(&device, "neither dialect", json!({"token": "abc"}), kind, "result").await;
    refused(&device, "more than 16 KiB", with("x", "x".repeat(16 * 1024).into()), kind, "result").await;
    refused(&device, "a failed sign-in", json!({"success": false}), kind, "success").await;
    refused(&device, "no refresh token", with("refreshToken", Value::Null), kind, "refreshToken").await;
    refused(&device, "a number", with("sessionToken", 5.into()), kind, "sessionToken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cannot_be_verified_are_refused_by_field() {
    let device = Device::new().await;
    let issued = device.issue();
    let other = device.control.sign_in(SignIn { phone: Some("4915112345678".into()), ..SignIn::default() });
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = device.control.claims(&issued.session_id).unwrap();
        change(&mut claims);
        claims
    };
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": device.control.kids()[0]});
    let with_token = |token: String| {
        let mut web = issued.web();
        web["sessionToken"] = token.into();
        web
    };
    let minted =
        |change: &dyn Fn(&mut Value)| with_token(device.control.mint(claims(change), header.clone()));
    let kind = ErrorKind::InvalidToken;
    // The same device throughout, so that the key set is the one the tokens were signed with.
    let (app, existing) = device.signed_in().await;
    let before = device.stored();
    let mut mobile = issued.mobile();
    mobile["sessionTokenJWT"] = other.session_token.clone().into();
    let mut swapped = issued.web();
    swapped["sessionToken"] = issued.refresh_token.clone().into();
    swapped["refreshToken"] = issued.session_token.clone().into();
    for (what, result, field) in [
        ("another app", minted(&|c| c["aud"] = "SOMEOTHERAPP".into()), "sessionToken"),
        ("another issuer", minted(&|c| c["iss"] = "https://otpless.example".into()), "sessionToken"),
        ("expired", minted(&|c| c["exp"] = 1_000.into()), "sessionToken"),
        ("no exp", minted(&|c| drop(c.as_object_mut().unwrap().remove("exp"))), "sessionToken"),
        ("another session", with_token(other.session_token.clone()), "refreshToken"),
        ("another session, mobile", mobile, "refreshToken"),
        ("b8 swapped", swapped, "sessionToken"),
        ("unsigned", with_token("e30.e30.AA".into()), "sessionToken"),
        (
            "an unknown key",
            with_token(device.control.mint_with_unknown_key(
                claims(&|_| ()),
                json!({"alg": "RS256", "typ": "JWT", "kid": "nobody"}),
            )),
            "sessionToken",
        ),
    ] {
        // Past the cooldown of the key fetch before.
        device.time_passes(Duration::from_secs(30));
        let error = app.start_session(result).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.message().starts_with(&format!("{field} ")), "{what}: {error}");
        assert_eq!(device.stored(), before, "{what}");
        assert_eq!(app.current().user_id.as_deref(), Some(existing.user_id.as_str()), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_cannot_be_verified_now_is_an_error_to_retry_not_a_refusal() {
    let device = Device::new().await;
    let app = device.start();
    let issued = device.issue();
    device.control.fault(Operation::Jwks, Fault::ServerError500, 1);
    let error = app.start_session(issued.web()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(device.stored().is_none());
    assert_eq!(app.current().status, SessionStatus::SignedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_right_after_a_key_rotation_is_asked_to_try_again_and_then_works() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.control.rotate_keys(true);
    let issued = device.issue();
    let error = app.start_session(issued.web()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    device.time_passes(Duration::from_secs(30));
    let session = app.start_session(issued.web()).await.unwrap();
    assert_eq!(session.user_id, Some(issued.user_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_while_the_next_sign_in_is_being_verified_does_not_cost_that_sign_in() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(Duration::from_secs(600));
    let (app, _) = device.signed_in().await;
    device.control.rotate_keys(true);
    let issued = device.issue();
    device.time_passes(Duration::from_secs(60));
    let gate = device.control.pause(Operation::Jwks);
    let sign_in = tokio::spawn({
        let (manager, result) = ((*app).clone(), issued.web());
        async move { manager.start_session(result).await }
    });
    gate.held(1).await;
    device.time_passes(Duration::from_secs(540));
    assert_eq!(app.current().status, SessionStatus::SignedOut);
    gate.release();
    let session = sign_in.await.unwrap().unwrap();
    assert_eq!((session.status, session.user_id), (SessionStatus::Active, Some(issued.user_id)));
}
