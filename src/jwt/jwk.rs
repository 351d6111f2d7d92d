//! What a key must be like before anything is verified with it (requirement B3).
//!
//! jsonwebtoken reads the members of a key and none of their meaning: its `DecodingKey::from_jwk` takes a key for
//! encryption, one of 512 bits or a private one as readily as a good one. So the policy is here.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde_json::{Value, json};

use crate::secret::wipe_stack;

/// What NIST SP 800-131A and RFC 7518 §3.3 ask for at the least, and the most that ring can do.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// 65537, the exponent that every RSA key in use has. Small ones are what signature forgeries need.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// How much of the stack is overwritten after a signature was checked: several times what ring uses for the longest key.
const STACK_WIPED: usize = 64 * 1024;

/// Longest `kid` a key may go by; a token that names a longer one is refused.
pub(super) const MAX_KID_BYTES: usize = 256;

/// An RSA public key that passed the policy of requirement B3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RsaKey {
    n: Arc<[u8]>,
    e: Arc<[u8]>,
}

impl RsaKey {
    /// `None` if the key may not be used to verify RS256.
    pub(super) fn from_jwk(raw: &Value) -> Option<(String, Self)> {
        const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        // A private key in a public set has leaked: nothing signed with it proves anything.
        if PRIVATE.iter().any(|member| raw.get(member).is_some()) {
            return None;
        }
        let jwk: Jwk = serde_json::from_value(raw.clone()).ok()?;
        let AlgorithmParameters::RSA(rsa) = &jwk.algorithm else { return None };
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature))
            || !matches!(jwk.common.key_algorithm, None | Some(KeyAlgorithm::RS256))
            || jwk.common.key_operations.as_ref().is_some_and(|ops| !ops.contains(&KeyOperations::Verify))
        {
            return None;
        }
        let n = unsigned(&rsa.n)?;
        let e = unsigned(&rsa.e)?;
        let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
        if !MODULUS_BITS.contains(&bits) || e != EXPONENT || is_of_roca(&n) {
            return None;
        }
        let kid = jwk.common.key_id.filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID_BYTES)?;
        Some((kid, Self { n: n.into(), e: e.into() }))
    }

    pub(super) fn to_jwk(&self, kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
               "n": URL_SAFE_NO_PAD.encode(&self.n), "e": URL_SAFE_NO_PAD.encode(&self.e)})
    }

    /// Whether this key has signed `message` with RSASSA-PKCS1-v1_5 and SHA-256, which is RS256. The one place where a
    /// signature is checked (requirement E4).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = self.has_signed(message, signature);
        // The end of the message, in the digest's last block.
        wipe_stack::<STACK_WIPED>();
        verified
    }

    /// What it leaves lies below the caller's frame.
    #[inline(never)]
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        ring::signature::RsaPublicKeyComponents { n: &self.n, e: &self.e }
            .verify(&ring::signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok()
    }

    /// A key whatever the policy says of it: test vectors use exponents that it refuses.
    #[cfg(test)]
    pub(super) fn without_policy(n: &[u8], e: &[u8]) -> Self {
        Self { n: n.into(), e: e.into() }
    }
}

/// The bytes of a number without leading zeros, which some libraries write although RFC 7518 §6.3.1.1 forbids it. `None`
/// if it is zero or not base64url.
fn unsigned(encoded: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let first = bytes.iter().position(|b| *b != 0)?;
    Some(bytes[first..].to_vec())
}

/// Whether `n` carries the fingerprint of the generator of CVE-2017-15361 ("ROCA"), whose private keys can be computed
/// from the public ones. It made primes that are a power of 65537 modulo each of the first small primes; so is then their
/// product. A healthy modulus is so by chance once in 240 million keys.
fn is_of_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let residue = n.iter().fold(0, |residue, byte| (residue * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        // The powers repeat after at most `prime - 1` steps.
        (1..*prime).any(|_| {
            power = power * 65537 % prime;
            power == residue
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that make a healthy modulus of `bits` bits; nobody has its factors.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut n = vec![0xab_u8; bits.div_ceil(8)];
        n[0] = 1 << ((bits - 1) % 8);
        n
    }

    fn jwk(change: impl FnOnce(&mut Value)) -> Value {
        let n = URL_SAFE_NO_PAD.encode(modulus(2048));
        let mut key = json!({"kty": "RSA", "kid": "k", "n": n, "e": "AQAB"});
        change(&mut key);
        key
    }

    fn accepts(change: impl FnOnce(&mut Value)) -> bool {
        RsaKey::from_jwk(&jwk(change)).is_some()
    }

    fn accepts_modulus(n: &[u8]) -> bool {
        accepts(|key| key["n"] = URL_SAFE_NO_PAD.encode(n).into())
    }

    #[test]
    fn b3_only_keys_meant_for_rs256_are_used() {
        assert!(accepts(|_| ()));
        assert!(accepts(|key| {
            key["use"] = "sig".into();
            key["alg"] = "RS256".into();
            key["key_ops"] = json!(["verify"]);
        }));
        assert!(accepts(|key| key["key_ops"] = json!(["encrypt", "verify"])));
        let refused: [(&str, Value); 22] = [
            ("use", "enc".into()),
            ("use", "SIG".into()),
            ("use", 1.into()),
            ("alg", "RS512".into()),
            ("alg", "PS256".into()),
            ("alg", "HS256".into()),
            ("alg", "RSA-OAEP".into()),
            ("alg", "rs256".into()),
            ("alg", "none".into()),
            ("alg", json!(["RS256"])),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!([])),
            ("key_ops", "verify".into()),
            ("kty", "oct".into()),
            ("kty", "EC".into()),
            ("kty", "rsa".into()),
            ("kty", Value::Null),
            ("kid", "".into()),
            ("kid", 7.into()),
            ("kid", Value::Null),
            ("kid", "k".repeat(MAX_KID_BYTES + 1).into()),
            ("n", Value::Null),
        ];
        for (member, value) in refused {
            assert!(!accepts(|key| key[member] = value.clone()), "{member}: {value}");
        }
        for member in ["kty", "kid", "n", "e"] {
            assert!(!accepts(|key| drop(key.as_object_mut().unwrap().remove(member))), "no {member}");
        }
    }

    #[test]
    fn b3_a_key_with_private_members_has_leaked() {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            for value in [json!("AQAB"), json!(""), json!([]), Value::Null] {
                assert!(!accepts(|key| key[member] = value.clone()), "{member}: {value}");
            }
        }
    }

    #[test]
    fn b3_a_modulus_has_between_2048_and_8192_bits_and_leading_zeros_make_none() {
        for (bits, accepted) in [
            (512, false),
            (1024, false),
            (2047, false),
            (2048, true),
            (2049, true),
            (8192, true),
            (8193, false),
        ] {
            let n = modulus(bits);
            assert_eq!(accepts_modulus(&n), accepted, "{bits}");
            let padded: Vec<u8> = [0; 200].into_iter().chain(n).collect();
            assert_eq!(accepts_modulus(&padded), accepted, "{bits} with leading zeros");
        }
        assert!(!accepts_modulus(&[]));
        assert!(!accepts_modulus(&[0; 256]));
        for not_base64url in ["AQAB=", "AQ AB", "AQ+B", "A", "!"] {
            assert!(!accepts(|key| key["n"] = not_base64url.into()), "{not_base64url}");
        }
    }

    #[test]
    fn b3_the_exponent_is_65537() {
        assert!(accepts(|key| key["e"] = "AAEAAQ".into()), "with a leading zero");
        for (e, what) in [
            ("AQ", "1"),
            ("Aw", "3"),
            ("EQ", "17"),
            ("AQAA", "65536"),
            ("AQAD", "65539"),
            ("AQABAQ", "2^32"),
            ("", ""),
        ] {
            assert!(!accepts(|key| key["e"] = e.into()), "{what}");
        }
    }

    /// CVE-2017-15361. The test vectors of Wycheproof hold a real one.
    #[test]
    fn b3_a_key_of_the_broken_generator_is_refused() {
        // 1 modulo each prime, which is the 0th power of anything.
        let mut n = vec![0; 236];
        n[0] = 1;
        for prime in (3..=167_u32).filter(|n| (2..*n).all(|divisor| n % divisor != 0)) {
            let mut carry = 0;
            for byte in n.iter_mut().rev() {
                carry += u32::from(*byte) * prime;
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
            n.splice(0..0, carry.to_be_bytes());
        }
        *n.last_mut().unwrap() = 1;
        assert!(!accepts_modulus(&n));
        // 3 modulo each, which is no power of 65537 modulo 3.
        *n.last_mut().unwrap() = 3;
        assert!(accepts_modulus(&n), "it is the fingerprint that the other lacks");
    }
}
