//! What a token may say: the claims, once the signature holds. Forged tokens are in `forgeries`, keys in `keys`.

use serde_json::json;
use tauri_plugin_otpless::engine::{Clock, Timestamp};

use crate::support::{Device, Judge};

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_token_is_read_in_full() {
    let judge = Judge::new().await;
    let token = judge.device.control.mint(judge.claims.clone(), judge.header());
    let claims = judge.verdict(&token).unwrap();
    assert_eq!(claims.user_id(), judge.claims["userId"]);
    assert_eq!(claims.session_id(), judge.claims["sub"]);
    assert_eq!(claims.phone_number(), judge.claims["phone_number"].as_str());
    assert_eq!(claims.expires_at(), Timestamp::from_secs(judge.claims["exp"].as_i64().unwrap()));
    assert!(claims.is_valid_at(Timestamp(claims.expires_at().0 - 1)));
    assert!(!claims.is_valid_at(claims.expires_at()));
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

/// As they stand in the token: what Rust's JSON would not write.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_time_is_written_in_digits() {
    let judge = Judge::new().await;
    let header = judge.header().to_string();
    let with = |claim: &str, text: &str| {
        let mut claims = judge.claims.clone();
        claims[claim] = "TIME".into();
        claims.to_string().replace("\"TIME\"", text)
    };
    for claim in ["exp", "nbf", "iat"] {
        for good in ["1700000000", "0", "253402300799"] {
            assert!(judge.verdict_on(&header, &with(claim, good)).is_ok(), "{claim} = {good}");
        }
        for bad in [
            "253402300800",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999999999999999",
            "-9223372036854775808",
            "-0",
            "-0.0",
            "1700000000.0",
            "1.7e9",
            "1e400",
            "01700000000",
            "+1700000000",
            "0x65000000",
            "NaN",
            "Infinity",
            "\"\"",
            "[1700000000]",
            "[]",
        ] {
            assert!(judge.verdict_on(&header, &with(claim, bad)).is_err(), "{claim} = {bad}");
        }
    }
}

/// A session begins also on a machine that has lost its clock: the server says what time it is.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_sign_in_on_a_machine_before_1970_works() {
    let device = Device::new().await;
    device.clock_is_set(-60 * 366 * 24 * 60 * 60);
    assert!(device.clock.now() < Timestamp(0));
    let (app, issued) = device.signed_in().await;
    assert_eq!(app.current().user_id, Some(issued.user_id));
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
