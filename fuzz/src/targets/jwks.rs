//! Any bytes as a key set: what is kept of it are keys for RS256, few of them, and they read as themselves (B3, B11).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tauri_plugin_otpless::engine::{ActivityLog, MemoryActivityLog, TokenVerifier};

use super::issuer;

/// The most keys that are kept of a set.
const MAX_KEYS: usize = 32;

pub fn run(data: &[u8]) {
    let Some(kept) = kept(data) else { return };
    assert!((1..=MAX_KEYS).contains(&kept.len()), "{} keys", kept.len());
    let offered = issuer::object(data).expect("a key set is a JSON object");
    for key in &kept {
        let bytes =
            |member: &str| URL_SAFE_NO_PAD.decode(key[member].as_str().expect("text")).expect("base64url");
        let n = bytes("n");
        assert!(n.len() > 256 || (n.len() == 256 && n[0] >= 0x80), "{} bytes", n.len());
        assert_eq!(bytes("e"), [1, 0, 1]);
        let called_so = |other: &&Value| other["kid"] == key["kid"];
        let rsa = |other: &&Value| other["kty"] == "RSA";
        let twins = offered["keys"].as_array().expect("keys").iter().filter(rsa).filter(called_so).count();
        assert_eq!(twins, 1, "no other RSA key goes by that name, however unusable");
        for (member, meant) in [("kty", "RSA"), ("alg", "RS256"), ("use", "sig")] {
            assert_eq!(key[member], meant);
        }
        assert_eq!(kept.iter().filter(called_so).count(), 1, "one key by that name");
        assert_ne!(key["kid"], "");
        assert_eq!(key.as_object().expect("a key").len(), 6, "and nothing private: {key}");
    }
    let again = serde_json::json!({ "keys": kept }).to_string();
    let sorted = |mut keys: Vec<Value>| {
        keys.sort_by_key(|key| key["kid"].to_string());
        keys
    };
    assert_eq!(self::kept(again.as_bytes()).map(sorted), Some(sorted(kept)));
}

/// What is remembered of a key set, if it is one.
pub fn kept(document: &[u8]) -> Option<Vec<Value>> {
    let log = Arc::<MemoryActivityLog>::default();
    let verifier = issuer::verifier_with(document, log.clone());
    issuer::RUNTIME.block_on(verifier.fetch_keys()).ok()?;
    let remembered = log.get("jwks").expect("what was fetched is remembered");
    Some(remembered["keys"].as_array().expect("keys").clone())
}
