//! The everyday cases of verification, against tokens and keys of a real issuer. The catalogue of attacks is a topic
//! of its own and still to come.

use std::sync::Arc;

use otpless_local::Operation;
use serde_json::{Value, json};
use tauri_plugin_otpless::engine::{
    Expected, HttpClient, JwksVerifier, MemoryActivityLog, SystemClock, Timestamp, TokenVerifier, Unverified,
};
use tokio::runtime::Handle;

use crate::support::Device;

struct Judge {
    device: Device,
    verifier: JwksVerifier,
    claims: Value,
}

impl Judge {
    async fn new() -> Self {
        let device = Device::new().await;
        let issued = device.issue();
        let claims = device.control.claims(&issued.session_id).unwrap();
        let verifier = verifier(&device, Arc::default());
        verifier.fetch_keys().await.unwrap();
        Self { device, verifier, claims }
    }

    fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.device.control.kids()[0]})
    }

    fn accepts(&self, change: impl FnOnce(&mut Value)) -> bool {
        let mut claims = self.claims.clone();
        change(&mut claims);
        self.verifier.verify(&self.device.control.mint(claims, self.header())).is_ok()
    }

    fn accepts_header(&self, change: impl FnOnce(&mut Value)) -> bool {
        let mut header = self.header();
        change(&mut header);
        self.verifier.verify(&self.device.control.mint(self.claims.clone(), header)).is_ok()
    }
}

fn verifier(device: &Device, log: Arc<MemoryActivityLog>) -> JwksVerifier {
    JwksVerifier::new(
        Expected { issuer: "https://otpless.com".into(), app_id: "DEMOAPP00000000000001".into() },
        format!("{}/.well-known/jwks", device.otpless.url()).parse().unwrap(),
        HttpClient::new().unwrap(),
        Arc::new(SystemClock::default()),
        log,
        Arc::new(Handle::current()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_token_is_read_in_full() {
    let judge = Judge::new().await;
    let token = judge.device.control.mint(judge.claims.clone(), judge.header());
    let claims = judge.verifier.verify(&token).unwrap();
    assert_eq!(claims.user_id(), judge.claims["userId"]);
    assert_eq!(claims.session_id(), judge.claims["sub"]);
    assert_eq!(claims.phone_number(), judge.claims["phone_number"].as_str());
    assert_eq!(claims.expires_at(), Timestamp::from_secs(judge.claims["exp"].as_i64().unwrap()));
    assert!(claims.is_valid_at(Timestamp(claims.expires_at().0 - 1)));
    assert!(!claims.is_valid_at(claims.expires_at()));
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_only_rs256_counts() {
    let judge = Judge::new().await;
    assert!(judge.accepts_header(|_| ()));
    for alg in ["none", "None", "NONE", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256", ""] {
        assert!(!judge.accepts_header(|h| h["alg"] = alg.into()), "{alg}");
    }
    assert!(!judge.accepts_header(|h| drop(h.as_object_mut().unwrap().remove("alg"))));
    assert!(!judge.accepts_header(|h| h["typ"] = "JOSE".into()));
    assert!(!judge.accepts_header(|h| h["crit"] = json!(["exp"])));
    assert!(!judge.accepts_header(|h| drop(h.as_object_mut().unwrap().remove("kid"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_a_change_of_any_character_is_noticed() {
    let judge = Judge::new().await;
    let token = judge.device.control.mint(judge.claims.clone(), judge.header());
    assert!(judge.verifier.verify(&token).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(judge.verifier.verify(&changed).is_err(), "character {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_times_must_be_whole_seconds_and_exp_must_be_there() {
    let judge = Judge::new().await;
    assert!(!judge.accepts(|c| drop(c.as_object_mut().unwrap().remove("exp"))));
    for bad in [
        json!("1700000000"),
        json!(-1),
        json!(1e30),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(1.5),
        json!([1]),
        json!(null),
        json!({}),
        json!(true),
    ] {
        for claim in ["exp", "nbf", "iat"] {
            assert!(!judge.accepts(|c| c[claim] = bad.clone()), "{claim} = {bad}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_the_issuer_is_compared_to_the_letter() {
    let judge = Judge::new().await;
    for bad in [
        json!(null),
        json!(7),
        json!(["https://otpless.com"]),
        json!("https://OTPless.com"),
        json!("https://otpless.com/"),
        json!("https://otpless.com.evil.example"),
    ] {
        assert!(!judge.accepts(|c| c["iss"] = bad.clone()), "{bad}");
    }
    assert!(!judge.accepts(|c| drop(c.as_object_mut().unwrap().remove("iss"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn b7_an_audience_must_be_this_app_without_case() {
    let judge = Judge::new().await;
    assert!(judge.accepts(|_| ()), "none is what OTPless's session tokens carry");
    for ours in [
        json!("DEMOAPP00000000000001"),
        json!("demoapp00000000000001"),
        json!(["x", "demoapp00000000000001"]),
    ] {
        assert!(judge.accepts(|c| c["aud"] = ours.clone()), "{ours}");
    }
    for other in
        [json!("OTHER"), json!([]), json!(["OTHER"]), json!(null), json!(1), json!("DEMOAPP00000000000001 ")]
    {
        assert!(!judge.accepts(|c| c["aud"] = other.clone()), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_unknown_keys_cost_one_fetch_and_a_rotation_is_followed_without_restart() {
    let judge = Judge::new().await;
    let header = |kid: &str| json!({"alg": "RS256", "typ": "JWT", "kid": kid});
    for n in 0..1_000 {
        let forged =
            judge.device.control.mint_with_unknown_key(judge.claims.clone(), header(&format!("k{n}")));
        assert_eq!(judge.verifier.verify(&forged), Err(Unverified::UnknownKey));
        judge.verifier.fetch_keys().await.unwrap();
        if n == 50 {
            break;
        }
    }
    assert_eq!(judge.device.control.count(Operation::Jwks), 1, "one per cooldown");

    judge.device.control.rotate_keys(true);
    let newer = judge.device.control.kids().last().unwrap().clone();
    let token = judge.device.control.mint(judge.claims.clone(), header(&newer));
    let restarted = verifier(&judge.device, Arc::default());
    restarted.fetch_keys().await.unwrap();
    assert!(restarted.verify(&token).is_ok());
}
