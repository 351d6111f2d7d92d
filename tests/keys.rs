//! The key set in good times and bad: what is fetched, how often, what is kept, and for how long it counts.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use otpless_local::{Fault, Operation, OtplessLocal, Settings};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    ErrorKind,
    engine::{ActivityLog, KeySource, MemoryActivityLog, TokenVerifier, Unverified::UnknownKey},
};

use crate::support::Judge;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Much less than what is measured, and much more than a test takes.
const MOMENT: Duration = Duration::from_secs(60);

/// Longer than any time for which the key set is left alone.
const COOLDOWN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn b11_an_outage_stops_no_verification_for_seven_days() {
    let judge = Judge::new().await;
    let token = judge.token();
    judge.device.otpless.go_offline().await;
    judge.device.time_passes(WEEK - MOMENT);
    assert_eq!(judge.verifier.fetch_keys().await.unwrap_err().kind(), ErrorKind::Network);
    assert!(judge.verdict(&token).is_ok());
    judge.device.time_passes(MOMENT);
    assert_eq!(judge.verdict(&token), Err(UnknownKey));

    judge.device.otpless.go_online().await.unwrap();
    assert!(judge.verifier.fetch_keys().await.unwrap().fetched);
    assert!(judge.verdict(&token).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_keys_grow_old_while_the_machine_sleeps() {
    let judge = Judge::new().await;
    let token = judge.token();
    judge.device.machine_sleeps(WEEK - MOMENT);
    assert!(judge.verdict(&token).is_ok());
    judge.device.machine_sleeps(MOMENT);
    assert_eq!(judge.verdict(&token), Err(UnknownKey));
}

/// C9: a clock that is set makes keys of this run neither older nor younger.
#[tokio::test(flavor = "multi_thread")]
async fn b11_the_age_of_keys_is_not_a_matter_of_the_wall_clock() {
    let judge = Judge::new().await;
    let token = judge.token();
    let years = 10 * 365 * DAY.as_secs() as i64;
    judge.device.clock_is_set(years);
    assert!(judge.verdict(&token).is_ok());
    judge.device.clock_is_set(-years);
    judge.device.time_passes(WEEK - MOMENT);
    assert!(judge.verdict(&token).is_ok());
    judge.device.time_passes(MOMENT);
    assert_eq!(judge.verdict(&token), Err(UnknownKey));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_start_without_a_network_verifies_with_kept_keys_for_seven_days() {
    let judge = Judge::new().await;
    let token = judge.token();
    judge.device.otpless.go_offline().await;
    judge.device.time_passes(WEEK - MOMENT);
    let restarted = judge.restarted(judge.device.key_set());
    assert!(restarted.verify(&token).is_ok());
    assert!(!restarted.keys_are_first_hand(), "enough to show a session, not to begin or end one");
    assert!(restarted.keys_are_due());
    judge.device.time_passes(MOMENT);
    assert_eq!(restarted.verify(&token), Err(UnknownKey));
    assert_eq!(judge.restarted(judge.device.key_set()).verify(&token), Err(UnknownKey));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_kept_keys_of_another_url_are_not_used() {
    let judge = Judge::new().await;
    let token = judge.token();
    let elsewhere = |path: &str| judge.restarted(KeySource::KeySet(judge.device.url(path)));
    assert!(elsewhere("/.well-known/jwks").verify(&token).is_ok());
    for path in ["/", "/.well-known/jwks/", "/.well-known/JWKS", "/.well-known/jwks?app=1"] {
        assert_eq!(elsewhere(path).verify(&token), Err(UnknownKey), "{path}");
    }
}

/// The file is anybody's to write.
#[tokio::test(flavor = "multi_thread")]
async fn b11_what_is_kept_is_held_to_the_same_policy() {
    let judge = Judge::new().await;
    let token = judge.token();
    let kept = judge.device.log.get("jwks").unwrap();
    let verifies_with = |change: &dyn Fn(&mut Value)| {
        let (mut kept, log) = (kept.clone(), Arc::<MemoryActivityLog>::default());
        change(&mut kept);
        log.put("jwks", kept);
        let runtime = Arc::new(tokio::runtime::Handle::current());
        judge.device.verifier(judge.device.key_set(), log, runtime).verify(&token).is_ok()
    };
    assert!(verifies_with(&|_| ()));
    let junk = [json!(7), json!("x"), json!([]), json!({}), Value::Null];
    for junk in junk {
        assert!(!verifies_with(&|kept| *kept = junk.clone()), "{junk}");
        for member in ["url", "fetchedAt", "keys"] {
            // A moment in 1970 is one, and long ago.
            assert!(!verifies_with(&|kept| kept[member] = junk.clone()), "{member}: {junk}");
        }
    }
    assert!(!verifies_with(&|kept| kept["fetchedAt"] = i64::MIN.into()));
    assert!(!verifies_with(&|kept| kept["keys"][0]["use"] = "enc".into()));
    assert!(!verifies_with(&|kept| kept["keys"][0]["d"] = "AQAB".into()));
    assert!(!verifies_with(&|kept| {
        let twice = kept["keys"][0].clone();
        kept["keys"].as_array_mut().unwrap().push(twice);
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_ten_thousand_unknown_keys_cost_one_fetch() {
    let judge = Judge::new().await;
    let token = judge.token();
    let (_, rest) = token.split_once('.').unwrap();
    let fetched = || judge.device.control.count(Operation::Jwks);
    let before = fetched();
    judge.device.time_passes(COOLDOWN);
    for n in 0..10_000 {
        let header = json!({"alg": "RS256", "kid": format!("unknown-{n}")}).to_string();
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(judge.verdict(&forged), Err(UnknownKey));
        let asked = judge.verifier.fetch_keys().await.unwrap().fetched;
        assert_eq!(asked, n == 0, "{n}");
    }
    assert_eq!(fetched(), before + 1);
    assert!(judge.verdict(&token).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_callers_at_the_same_time_share_one_fetch() {
    let judge = Judge::new().await;
    let fetched = || judge.device.control.count(Operation::Jwks);
    for round in 1..=20 {
        judge.device.time_passes(COOLDOWN);
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let verifier = judge.verifier.clone();
                tokio::spawn(async move { verifier.fetch_keys().await.map(drop) })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert_eq!(fetched(), 1 + round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_the_key_set_is_left_alone_for_half_a_minute_and_for_five_seconds_after_a_failure() {
    let judge = Judge::new().await;
    let asks = || async { judge.verifier.fetch_keys().await.map(|keys| keys.fetched) };
    judge.device.time_passes(COOLDOWN / 2);
    assert_eq!(asks().await, Ok(false));
    judge.device.time_passes(COOLDOWN / 2);
    judge.device.control.fault(Operation::Jwks, Fault::ServerError500, 1);
    assert_eq!(asks().await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(asks().await, Ok(false));
    judge.device.time_passes(Duration::from_secs(5));
    assert_eq!(asks().await, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_rotation_is_followed_without_a_restart() {
    let judge = Judge::new().await;
    let old = judge.token();
    judge.device.control.rotate_keys(true);
    let new = judge.token();
    assert_eq!(judge.verdict(&new), Err(UnknownKey));
    assert!(!judge.verifier.fetch_keys().await.unwrap().fetched, "a moment after the last fetch");
    assert_eq!(judge.verdict(&new), Err(UnknownKey));
    judge.device.time_passes(COOLDOWN);
    assert!(judge.verifier.fetch_keys().await.unwrap().fetched);
    assert!(judge.verdict(&new).is_ok());
    assert!(judge.verdict(&old).is_ok(), "its key is still in the set");

    judge.device.control.rotate_keys(false);
    judge.device.time_passes(COOLDOWN);
    judge.verifier.fetch_keys().await.unwrap();
    assert!(judge.verdict(&judge.token()).is_ok());
    for gone in [old, new] {
        assert_eq!(judge.verdict(&gone), Err(UnknownKey), "OTPless has withdrawn its key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_an_answer_that_is_no_key_set_leaves_the_old_keys_in_use() {
    let judge = Judge::new().await;
    let token = judge.token();
    let kept = judge.device.log.get("jwks");
    let elsewhere = OtplessLocal::start(Settings::default()).await.unwrap();
    let other = elsewhere.state().answer("GET", "/.well-known/jwks", Default::default(), &[]).body;
    let other: Value = serde_json::from_slice(&other).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut set = other.clone();
        change(&mut set);
        set.to_string()
    };
    let large = |bytes: usize| with(&|set| set["filler"] = "x".repeat(bytes).into());
    for (what, fault) in [
        ("an empty set", Fault::Status(200, json!({"keys": []}).to_string())),
        ("no set", Fault::EmptyObject200),
        ("a list", Fault::Status(200, other["keys"].to_string())),
        (
            "only keys that may not be used",
            Fault::Status(200, with(&|set| set["keys"][0]["use"] = "enc".into())),
        ),
        ("nothing", Fault::Status(200, String::new())),
        ("a set, but not found", Fault::Status(404, other.to_string())),
        ("a set, but an error", Fault::Status(500, other.to_string())),
        ("a portal's page", Fault::CaptivePortal200Html),
        ("a proxy's page", Fault::BadGateway502Html),
        ("10 MB", Fault::Huge(10_000_000)),
        ("a set of more than 256 KiB", Fault::Status(200, large(256 * 1024))),
        ("half a set", Fault::CutOffBody),
        ("no answer", Fault::ConnectionReset),
        ("a redirect", Fault::Redirect(302, format!("{}/.well-known/jwks", elsewhere.url()))),
    ] {
        judge.device.time_passes(COOLDOWN);
        judge.device.control.fault(Operation::Jwks, fault, 1);
        let error = judge.verifier.fetch_keys().await.unwrap_err();
        assert!(error.is_retryable(), "{what}: {error}");
        assert!(judge.verdict(&token).is_ok(), "{what}");
        assert_eq!(judge.device.log.get("jwks"), kept, "{what}");
    }
    assert!(elsewhere.state().requests().is_empty(), "E2: no redirect is followed");
    // What was refused of it was refused for what was done to it.
    judge.device.time_passes(COOLDOWN);
    judge.device.control.fault(Operation::Jwks, Fault::Status(200, large(128 * 1024)), 1);
    judge.verifier.fetch_keys().await.unwrap();
    assert!(judge.verdict(&elsewhere.state().mint(judge.claims.clone(), judge.header())).is_ok());
}
