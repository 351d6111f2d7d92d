//! The tokens, verified with another library than the one that signs them, against the key set as it is served.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use otpless_local::{Settings, SignIn};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};

use crate::support::{Fixture, JWKS, PHONE};

fn part(token: &str, index: usize) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.split('.').nth(index).expect("a token has three parts")).expect("base64url")
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&part(token, 0)).expect("JSON")
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&part(token, 1)).expect("JSON")
}

/// Whether the key that the token names is served and has signed it.
async fn verifies(fixture: &Fixture, token: &str) -> bool {
    let jwks = fixture.get(JWKS).await.json();
    let kid = header(token)["kid"].clone();
    let Some(jwk) = jwks["keys"].as_array().expect("keys").iter().find(|jwk| jwk["kid"] == kid) else {
        return false;
    };
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a text")).expect("base64url");
    let (message, _) = token.rsplit_once('.').expect("a token has three parts");
    RsaPublicKeyComponents { n: number("n"), e: number("e") }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &part(token, 2))
        .is_ok()
}

#[tokio::test]
async fn tokens_have_the_documented_header_and_claims_and_verify() {
    let fixture = Fixture::new().await;
    let now = fixture.control.now() / 1000;
    for (token, lifetime) in
        [(&fixture.issued.session_token, 24 * 60 * 60), (&fixture.issued.refresh_token, 7 * 24 * 60 * 60)]
    {
        assert_eq!(header(token), json!({ "kid": "local-1", "typ": "JWT", "alg": "RS256" }));
        let claims = claims(token);
        let issued_at = claims["iat"].as_i64().expect("seconds");
        assert!((now - 60..=now).contains(&issued_at), "{issued_at} at {now}");
        assert_eq!(
            claims,
            json!({
                "sub": fixture.issued.session_id,
                "iss": "https://otpless.com",
                "sessionId": fixture.issued.session_id,
                "userId": fixture.issued.user_id,
                "iat": issued_at,
                "exp": issued_at + lifetime,
                "name": "Asha Rao",
                "email": "asha@example.com",
                "phone_number": PHONE,
            })
        );
        assert!(verifies(&fixture, token).await);
        let mut forged = token.clone().into_bytes();
        let in_the_payload = token.find('.').expect("a dot") + 10;
        forged[in_the_payload] = if forged[in_the_payload] == b'A' { b'B' } else { b'A' };
        assert!(!verifies(&fixture, &String::from_utf8(forged).expect("ASCII")).await);
    }
    let is_hex =
        |text: &str| text.len() == 32 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    assert!(is_hex(&fixture.issued.session_id));
    assert!(fixture.issued.user_id.strip_prefix("MO-").is_some_and(is_hex));
}

#[tokio::test]
async fn claims_nobody_gave_are_absent_and_aud_comes_by_setting() {
    let settings = Settings { aud: Some("DEMOAPP00000000000001".to_owned()), ..Settings::default() };
    let fixture = Fixture::with(settings).await;
    let claims = claims(&fixture.control.sign_in(SignIn::default()).session_token);
    let names: Vec<_> = claims.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "sessionId", "sub", "userId"]);
    assert_eq!(claims["aud"], "DEMOAPP00000000000001");
}

#[tokio::test]
async fn tokens_of_the_same_second_differ() {
    let fixture = Fixture::with(Settings {
        // The same life for both kinds, so that nothing in the claims tells them apart.
        session_token_seconds: 60,
        refresh_token_seconds: 60,
        ..Settings::default()
    })
    .await;
    let mut seen = std::collections::HashSet::from([
        fixture.issued.session_token.clone(),
        fixture.issued.refresh_token.clone(),
    ]);
    let mut refresh_token = fixture.issued.refresh_token.clone();
    for _ in 0..5 {
        let reply = fixture.refresh(&refresh_token).await.json();
        for name in ["sessionTokenJWT", "refreshToken"] {
            let token = reply[name].as_str().expect("a token").to_owned();
            assert!(verifies(&fixture, &token).await);
            assert!(seen.insert(token), "{name} was there before");
        }
        refresh_token = reply["refreshToken"].as_str().expect("a token").to_owned();
    }
}

#[tokio::test]
async fn the_key_set_has_the_documented_fields_and_discovery_points_to_it() {
    let fixture = Fixture::new().await;
    let jwks = fixture.get(JWKS).await.json();
    let names: Vec<_> = jwks["keys"][0].as_object().expect("a key").keys().map(String::as_str).collect();
    assert_eq!(names, ["e", "kid", "kty", "n"]);
    assert_eq!(jwks["keys"][0]["kty"], "RSA");
    let discovery = fixture.get("/.well-known/openid-configuration").await.json();
    assert_eq!(
        discovery,
        json!({ "issuer": "https://otpless.com", "jwks_uri": format!("{}{JWKS}", fixture.local.url()) })
    );
}

#[tokio::test]
async fn rotation_that_keeps_the_old_key_leaves_old_tokens_verifiable() {
    let fixture = Fixture::new().await;
    fixture.control.rotate_keys(true);
    assert_eq!(fixture.control.kids(), ["local-1", "local-2"]);
    let fresh = fixture.control.sign_in(SignIn::default());
    assert_eq!(header(&fresh.session_token)["kid"], "local-2");
    assert!(verifies(&fixture, &fixture.issued.session_token).await);
    assert!(verifies(&fixture, &fresh.session_token).await);
}

#[tokio::test]
async fn rotation_that_drops_the_old_key_leaves_old_tokens_unverifiable_but_the_session_alive() {
    let fixture = Fixture::new().await;
    fixture.control.rotate_keys(false);
    assert_eq!(fixture.control.kids(), ["local-2"]);
    assert!(!verifies(&fixture, &fixture.issued.session_token).await);
    // The server knows its own tokens.
    assert_eq!(fixture.authenticate(&fixture.issued).await.status, 200);
    let refreshed = fixture.refresh(&fixture.issued.refresh_token).await.json();
    assert!(verifies(&fixture, refreshed["sessionTokenJWT"].as_str().expect("a token")).await);
}

#[tokio::test]
async fn any_payload_can_be_signed_with_the_served_key_or_with_an_unknown_one() {
    let fixture = Fixture::new().await;
    let payload = json!({ "sub": "x", "exp": 1 });
    let served = fixture.control.mint(payload.clone(), Value::Null);
    assert_eq!(claims(&served), payload);
    assert!(verifies(&fixture, &served).await);
    let odd =
        fixture.control.mint(payload.clone(), json!({ "alg": "HS256", "kid": "local-1", "crit": ["x"] }));
    assert_eq!(header(&odd), json!({ "alg": "HS256", "kid": "local-1", "crit": ["x"] }));
    let unknown = fixture.control.mint_with_unknown_key(payload.clone(), Value::Null);
    assert_eq!(header(&unknown)["kid"], "unknown-1");
    assert!(!verifies(&fixture, &unknown).await);
    // Under the name of a served key it is a forgery.
    let forged = fixture.control.mint_with_unknown_key(payload, json!({ "alg": "RS256", "kid": "local-1" }));
    assert!(!verifies(&fixture, &forged).await);
}

#[tokio::test]
async fn the_claims_of_a_session_can_be_taken_to_change_them() {
    let fixture = Fixture::new().await;
    let mut payload = fixture.control.claims(&fixture.issued.session_id).expect("the session is present");
    payload["userId"] = "MO-somebody-else".into();
    let minted = fixture.control.mint(payload, Value::Null);
    assert!(verifies(&fixture, &minted).await);
    assert_eq!(claims(&minted)["userId"], "MO-somebody-else");
    assert_eq!(claims(&minted)["sub"], fixture.issued.session_id);
    assert_eq!(fixture.control.claims("nobody"), None);
}
