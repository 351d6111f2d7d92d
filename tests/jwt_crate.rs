//! Why the claims are not left to jsonwebtoken: what its own checks let through, shown for the version in use, and that
//! ours do not. Its signature check has a fair trial: it goes to ring, as ours does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, Validation,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Verifier},
};
use otpless_local::{DEMO_APP_ID, ISSUER};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use tauri_plugin_otpless::engine::Clock;

use crate::support::Judge;

struct Rs256(RsaPublicKeyComponents<Vec<u8>>);

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

/// What jsonwebtoken says of a token, told what it can be told of our rules.
fn theirs(judge: &Judge, token: &str, change: impl FnOnce(&mut Validation)) -> Result<Value> {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        verifier_factory: |algorithm, key| match (algorithm, key.kind()) {
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                Ok(Box::new(Rs256(RsaPublicKeyComponents { n: n.clone(), e: e.clone() })))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| PROVIDER.install_default().expect("nobody else installs one"));

    let set = judge.device.control.answer("GET", "/.well-known/jwks", Default::default(), &[]).body;
    let set: Value = serde_json::from_slice(&set).unwrap();
    let number = |member: &str| set["keys"][0][member].as_str().unwrap();
    let key = DecodingKey::from_rsa_components(number("n"), number("e"))?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[DEMO_APP_ID]);
    change(&mut validation);
    jsonwebtoken::decode::<Value>(token, &key, &validation).map(|token| token.claims)
}

/// Both verdicts on a genuine token whose claims are changed so.
fn verdicts(judge: &Judge, change: impl FnOnce(&mut Value)) -> (bool, bool) {
    let mut claims = judge.claims.clone();
    change(&mut claims);
    let token = judge.device.control.mint(claims, judge.header());
    (theirs(judge, &token, |_| ()).is_ok(), judge.verdict(&token).is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_take_a_genuine_token_and_neither_one_of_another_issuer() {
    let judge = Judge::new().await;
    assert_eq!(verdicts(&judge, |_| ()), (true, true));
    assert_eq!(verdicts(&judge, |claims| claims["iss"] = "https://otpless.example".into()), (false, false));
    // Ours is a question to the claims, asked again whenever they are looked at.
    assert_eq!(verdicts(&judge, |claims| claims["exp"] = 1_000.into()), (false, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_jsonwebtoken_takes_an_issuer_that_is_missing_or_no_text_and_we_do_not() {
    let judge = Judge::new().await;
    assert_eq!(verdicts(&judge, |claims| drop(claims.as_object_mut().unwrap().remove("iss"))), (true, false));
    for issuer in [json!(7), json!(true), json!({"iss": ISSUER}), json!([7]), json!([ISSUER])] {
        assert_eq!(verdicts(&judge, |claims| claims["iss"] = issuer.clone()), (true, false), "{issuer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_jsonwebtoken_takes_times_that_are_none_and_we_do_not() {
    let judge = Judge::new().await;
    for (claim, time) in [
        ("exp", json!(u64::MAX)),
        ("exp", json!(1e19)),
        ("exp", json!(4e9)),
        ("nbf", json!("soon")),
        ("nbf", json!(u64::MAX)),
        ("iat", json!({})),
    ] {
        assert_eq!(
            verdicts(&judge, |claims| claims[claim] = time.clone()),
            (true, false),
            "{claim} = {time}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b7_jsonwebtoken_takes_an_audience_that_is_no_text_and_we_do_not() {
    let judge = Judge::new().await;
    for audience in [json!(7), json!({"aud": "another app"}), json!([7])] {
        assert_eq!(verdicts(&judge, |claims| claims["aud"] = audience.clone()), (true, false), "{audience}");
    }
}

/// jsonwebtoken asks the machine for the time: before 1970 `get_current_timestamp` panics, as one sees with the clock of a
/// whole process set there, and in the first minute of 1970 `now - leeway` overflows. What a test can do without
/// another clock for its process is to move the other side of that subtraction.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_clock_of_1970_overthrows_jsonwebtoken_and_not_us() {
    let judge = Judge::new().await;
    let token = judge.token();
    let in_1970 =
        |validation: &mut Validation| validation.leeway = jsonwebtoken::get_current_timestamp() + 60;
    let outcome = catch_unwind(AssertUnwindSafe(|| theirs(&judge, &token, in_1970).is_ok()));
    // Without overflow checks the genuine token has expired instead.
    assert_eq!(outcome.ok(), if cfg!(debug_assertions) { None } else { Some(false) });

    for seconds in [60, 1, 0, -1, -86_400, -(1 << 40)] {
        judge.device.clock_is_set(seconds - judge.device.control.now() / 1000);
        let claims = judge.verdict(&token).expect("time is not asked for");
        let machine = judge.device.clock.now();
        assert!(machine.as_millis() < (seconds + 60) * 1000, "the machine's clock is where it was set");
        assert!(
            claims.is_valid_at(machine) && claims.is_acceptable_at(machine),
            "not expired, at {seconds} s"
        );
    }
}
