//! Any text as a token: nobody without the key makes one that passes (B1, B4, B10).

use tauri_plugin_otpless::engine::TokenVerifier;

use super::issuer;

/// The tokens of the corpus that the issuer has signed. One brings a key and an address of keys along, and passes
/// because the issuer signed it: neither is looked at (B2).
pub const GENUINE: [&str; 3] = [
    include_str!("../../corpus/jwt/session"),
    include_str!("../../corpus/jwt/refresh"),
    include_str!("../../corpus/jwt/embedded-key"),
];

pub fn run(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else { return };
    let verified = issuer::verifier().verify(token).is_ok();
    // Signing is deterministic and base64url canonical: what was signed can be written in one way only.
    assert_eq!(verified, GENUINE.contains(&token), "{token}");
}
