//! Keys that are where the issuer's `openid-configuration` says: `discoveryUrl` instead of `jwksUrl`.

use std::time::Duration;

use otpless_local::{Fault, ISSUER, Operation, OtplessLocal, Settings};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    ErrorKind,
    engine::{ActivityLog, KeySource, TokenVerifier, Unverified::UnknownKey},
};

use crate::support::{Device, Judge};

const DOCUMENT: &str = "/.well-known/openid-configuration";

/// Longer than any time for which the issuer is left alone.
const COOLDOWN: Duration = Duration::from_secs(30);

async fn judge() -> Judge {
    let device = Device::new().await;
    let source = KeySource::Discovery(device.url(DOCUMENT));
    Judge::with(device, source)
}

/// How often the document and the key set were asked for.
fn asked(judge: &Judge) -> (usize, usize) {
    let count = |operation| judge.device.control.count(operation);
    (count(Operation::OpenidConfiguration), count(Operation::Jwks))
}

/// The next document is this one.
fn answer_with(judge: &Judge, document: &Value) {
    judge.device.time_passes(COOLDOWN);
    judge.device.control.fault(Operation::OpenidConfiguration, Fault::Status(200, document.to_string()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_the_document_is_asked_at_a_key_fetch_and_no_more_often() {
    let judge = judge().await;
    assert_eq!(judge.verdict(&judge.token()), Err(UnknownKey));
    for times in 1..=3 {
        assert!(judge.verifier.fetch_keys().await.unwrap().fetched);
        assert!(judge.verdict(&judge.token()).is_ok());
        for _ in 0..100 {
            assert!(!judge.verifier.fetch_keys().await.unwrap().fetched);
        }
        assert_eq!(asked(&judge), (times, times));
        judge.device.time_passes(COOLDOWN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_key_set_that_moves_is_followed() {
    let judge = judge().await;
    judge.verifier.fetch_keys().await.unwrap();
    let old = judge.token();
    let moved = OtplessLocal::start(Settings::default()).await.unwrap();
    // Both of its keys are there, the first under the name that the old one had.
    moved.state().rotate_keys(true);
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": moved.state().kids()[1]});
    let new = moved.state().mint(judge.claims.clone(), header);
    assert_eq!(judge.verdict(&new), Err(UnknownKey));
    answer_with(&judge, &json!({"issuer": ISSUER, "jwks_uri": format!("{}/.well-known/jwks", moved.url())}));
    judge.verifier.fetch_keys().await.unwrap();
    assert!(judge.verdict(&new).is_ok());
    assert!(judge.verdict(&old).is_err());
    assert_eq!((asked(&judge), moved.state().count(Operation::Jwks)), ((2, 1), 1));
}

/// OpenID Connect Discovery 1.0 §4.3: the issuer is compared to the letter, as in tokens (B6).
#[tokio::test(flavor = "multi_thread")]
async fn b6_a_document_of_another_issuer_is_refused_and_known_keys_stay_in_use() {
    let judge = judge().await;
    judge.verifier.fetch_keys().await.unwrap();
    let token = judge.token();
    let attacker = OtplessLocal::start(Settings::default()).await.unwrap();
    let jwks_uri = format!("{}/.well-known/jwks", attacker.url());
    for issuer in [json!("https://otpless.com/"), json!("https://OTPLESS.com"), json!([ISSUER]), Value::Null]
    {
        answer_with(&judge, &json!({"issuer": issuer, "jwks_uri": jwks_uri}));
        let error = judge.verifier.fetch_keys().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{issuer}: {error}");
        for said in ["plugins.otpless.discoveryUrl", "plugins.otpless.issuer", "keys known so far"] {
            assert!(error.message().contains(said), "{issuer}: {error}");
        }
        assert!(judge.verdict(&token).is_ok(), "{issuer}");
    }
    assert!(attacker.state().requests().is_empty());
    assert_eq!(asked(&judge), (5, 1));
}

/// The rules of the settings, E1, hold for the URL that the document names.
#[tokio::test(flavor = "multi_thread")]
async fn e1_a_key_set_url_that_no_setting_could_have_is_refused_and_known_keys_stay_in_use() {
    let judge = judge().await;
    judge.verifier.fetch_keys().await.unwrap();
    let token = judge.token();
    let with_password =
        format!("{}/.well-known/jwks", judge.device.otpless.url()).replace("//", "//user:pw@");
    for url in [
        json!("http://192.0.2.1/jwks"),
        json!("http://0.0.0.0/jwks"),
        json!("file:///jwks"),
        json!(with_password),
        json!(7),
    ] {
        answer_with(&judge, &json!({"issuer": ISSUER, "jwks_uri": url}));
        let error = judge.verifier.fetch_keys().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server, "{url}: {error}");
        for said in ["plugins.otpless.discoveryUrl", "jwks_uri", "keys known so far"] {
            assert!(error.message().contains(said), "{url}: {error}");
        }
        assert!(judge.verdict(&token).is_ok(), "{url}");
    }
    assert_eq!(asked(&judge), (6, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_without_a_document_known_keys_stay_in_use() {
    let judge = judge().await;
    judge.verifier.fetch_keys().await.unwrap();
    let token = judge.token();
    let kept = judge.device.log.get("jwks");
    let document = judge.device.control.answer("GET", DOCUMENT, Default::default(), &[]).body;
    let document = String::from_utf8(document).unwrap();
    let elsewhere = OtplessLocal::start(Settings::default()).await.unwrap();
    for (what, fault) in [
        ("an error", Fault::ServerError500),
        ("a document, but an error", Fault::Status(500, document)),
        ("a portal's page", Fault::CaptivePortal200Html),
        ("nothing in it", Fault::EmptyObject200),
        ("10 MB", Fault::Huge(10_000_000)),
        ("no answer", Fault::ConnectionReset),
        ("a redirect", Fault::Redirect(302, format!("{}{DOCUMENT}", elsewhere.url()))),
    ] {
        judge.device.time_passes(COOLDOWN);
        judge.device.control.fault(Operation::OpenidConfiguration, fault, 1);
        let failed = judge.verifier.fetch_keys().await;
        assert!(failed.is_err(), "{what}");
        assert!(!judge.verifier.fetch_keys().await.unwrap().fetched, "{what}: left alone for a while");
        assert!(judge.verdict(&token).is_ok(), "{what}");
        assert_eq!(judge.device.log.get("jwks"), kept, "{what}");
    }
    judge.device.time_passes(COOLDOWN);
    judge.device.control.fault(Operation::Jwks, Fault::Status(200, json!({"keys": []}).to_string()), 1);
    let error = judge.verifier.fetch_keys().await.unwrap_err();
    assert!(error.message().contains("plugins.otpless.discoveryUrl"), "the setting that is in use: {error}");
    assert!(judge.verdict(&token).is_ok());
    assert_eq!(asked(&judge), (9, 2));
    assert!(elsewhere.state().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_discovered_keys_are_kept_for_a_start_without_a_network() {
    let judge = judge().await;
    judge.verifier.fetch_keys().await.unwrap();
    let token = judge.token();
    judge.device.otpless.go_offline().await;
    assert!(judge.restarted(KeySource::Discovery(judge.device.url(DOCUMENT))).verify(&token).is_ok());
    assert_eq!(judge.restarted(judge.device.key_set()).verify(&token), Err(UnknownKey), "another setting");
}
