//! The signature of a token: steps 1 to 5 of verification, from the characters as they came to the bytes that OTPless has
//! signed.
//!
//! Whoever calls this learns nothing of a payload before its signature holds (requirement B4): the payload is the result.
//! jsonwebtoken reads the header; ring checks the signature directly, in [`RsaKey::verifies`], because jsonwebtoken's way
//! to ring is a process-wide provider that would also change the app's own use of that crate.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use super::{
    Unverified,
    jwk::{MAX_KID_BYTES, RsaKey},
    strict_json,
};

/// Longest token that is looked at, in bytes. OTPless's are about 740; 16 KiB is the limit of requirement B10.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Steps 1 to 5: the payload, of which only its signer is known. `key` finds a key by `kid`.
pub(super) fn payload(
    token: &str,
    key: impl FnOnce(&str) -> Option<RsaKey>,
) -> Result<Zeroizing<Vec<u8>>, Unverified> {
    // 1. Size and alphabet.
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Unverified::Invalid("is longer than 16 KiB"));
    }
    if !token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(Unverified::Invalid("has characters that no JWT has"));
    }

    // 2. Three segments in canonical base64url (the decoder refuses padding and stray trailing bits). An empty payload can
    //    be signed like any other; that it is no JSON is found out in step 6.
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Unverified::Invalid("is not a JWT of three segments"));
    };
    if header.is_empty() || signature.is_empty() {
        return Err(Unverified::Invalid("has an empty segment"));
    }
    let signed = &token[..header.len() + 1 + payload.len()];
    let header_bytes = decode(header)?;
    let payload = decode(payload)?;
    let signature = decode(signature)?;

    // 3. The header: RS256 by allow-list, nothing critical that we would have to understand. `jku`, `jwk`, `x5u` and
    //    `x5c` are never read: keys come from the configured key set alone (requirement B2).
    let kid = check_header(header, &header_bytes)?;

    // 4. The key, by its id.
    let key = key(&kid).ok_or(Unverified::UnknownKey)?;

    // 5. The signature. Nothing of the payload has been looked at so far.
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(Unverified::BAD_SIGNATURE);
    }
    Ok(payload)
}

fn decode(segment: &str) -> Result<Zeroizing<Vec<u8>>, Unverified> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map(Zeroizing::new)
        .map_err(|_| Unverified::Invalid("has a segment that is not base64url"))
}

fn check_header(encoded: &str, bytes: &[u8]) -> Result<String, Unverified> {
    let raw = strict_json::object(bytes)
        .map_err(|_| Unverified::Invalid("has a header that is not one JSON object"))?;
    if raw.contains_key("crit") || raw.contains_key("b64") {
        return Err(Unverified::Invalid("asks for extensions in its header"));
    }
    if raw.get("typ").is_some_and(|typ| !typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"))) {
        return Err(Unverified::Invalid("has another typ than JWT"));
    }
    // decode_header takes a whole token; what stands after the header is not looked at.
    let header = jsonwebtoken::decode_header(format!("{encoded}.."))
        .map_err(|_| Unverified::Invalid("has a header or an algorithm that is not RS256's"))?;
    if header.alg != Algorithm::RS256 {
        return Err(Unverified::Invalid("is not signed with RS256"));
    }
    match header.kid {
        Some(kid) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => Ok(kid),
        _ => Err(Unverified::Invalid("names no key")),
    }
}
