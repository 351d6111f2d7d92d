//! Anything at all, signed by the issuer: what has no place in a session does not pass, genuine or not (B5 to B7, B10).

use serde_json::Value;
use tauri_plugin_otpless::engine::{Timestamp, TokenVerifier};

use super::issuer;

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

pub fn run(data: &[u8]) {
    let Ok(claims) = issuer::verifier().verify(&issuer::sign(data)) else { return };
    let payload = issuer::object(data).expect("what passes is one JSON object");
    let text = |claim: &str| payload.get(claim).and_then(Value::as_str);
    assert_eq!(text("iss"), Some(issuer::ISSUER));
    let exp = payload["exp"].as_i64().expect("a whole number");
    assert!((0..=LAST_SECOND).contains(&exp));
    assert_eq!(claims.expires_at(), Timestamp::from_secs(exp));
    for time in ["nbf", "iat"] {
        assert!(payload.get(time).is_none_or(|time| time.as_u64().is_some()), "{time}");
    }
    let for_us =
        |audience: &Value| audience.as_str().is_some_and(|id| id.eq_ignore_ascii_case(issuer::APP_ID));
    match payload.get("aud") {
        None => {}
        Some(Value::Array(all)) => assert!(all.iter().any(for_us)),
        Some(one) => assert!(for_us(one)),
    }
    assert_eq!(text("sub"), Some(claims.session_id()));
    assert_eq!(text("userId"), Some(claims.user_id()));
    assert!(!claims.session_id().is_empty() && !claims.user_id().is_empty());
    assert!(text("sessionId").is_none_or(|id| id.is_empty() || id == claims.session_id()));
    // Whatever time it is.
    for now in [i64::MIN, -1, 0, exp.saturating_mul(1000), i64::MAX].map(Timestamp) {
        assert!(!claims.is_valid_at(now) || now < claims.expires_at());
        assert!(!claims.is_valid_at(now) || claims.is_acceptable_at(now));
    }
}
