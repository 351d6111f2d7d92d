//! The RSA keys that sign the tokens, the key set that is served, and a JWT writer of its own: what the plugin verifies
//! must not come from the code that verifies it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::{self, SystemRandom},
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// An RSA key of 2048 bits.
#[derive(Clone)]
pub(crate) struct Key(Arc<KeyPair>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Takes tens to hundreds of milliseconds: not to be called with a lock held.
    pub(crate) fn generate() -> Self {
        // It fails only when the system has no randomness, and then nothing here can work.
        Self(Arc::new(KeyPair::generate(KeySize::Rsa2048).expect("the system can make an RSA key")))
    }

    /// A key that is in no key set: one per process, because it takes time to make and nothing depends on which.
    fn unknown() -> &'static Self {
        static UNKNOWN: OnceLock<Key> = OnceLock::new();
        UNKNOWN.get_or_init(Self::generate)
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        self.sign_raw(&URL_SAFE_NO_PAD.encode(header), &URL_SAFE_NO_PAD.encode(payload))
    }

    fn sign_raw(&self, header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("the signature is as long as the modulus");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn der(&self) -> PublicKeyX509Der<'static> {
        self.0.public_key().as_der().expect("a key that was made here can be written down")
    }

    fn verifies(&self, message: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.der().as_ref())
            .verify(message.as_bytes(), signature)
            .is_ok()
    }

    fn jwk(&self, kid: &str) -> Value {
        let public = self.0.public_key();
        json!({
            "kty": "RSA",
            "kid": kid,
            "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        })
    }
}

#[derive(Debug)]
struct NamedKey {
    kid: String,
    key: Key,
    published: bool,
}

/// All keys there ever were; the last one signs.
#[derive(Debug)]
pub(crate) struct Keys(Vec<NamedKey>);

impl Keys {
    pub(crate) fn new(first: Key) -> Self {
        let mut keys = Self(Vec::new());
        keys.rotate(first, true);
        keys
    }

    /// From now on `next` signs. The older keys stay in the served set if `keep_old`.
    pub(crate) fn rotate(&mut self, next: Key, keep_old: bool) {
        if !keep_old {
            self.0.iter_mut().for_each(|old| old.published = false);
        }
        let kid = format!("local-{}", self.0.len() + 1);
        self.0.push(NamedKey { kid, key: next, published: true });
    }

    /// Back to the first key alone.
    pub(crate) fn reset(&mut self) {
        self.0.truncate(1);
        self.0.iter_mut().for_each(|first| first.published = true);
    }

    fn current(&self) -> &NamedKey {
        self.0.last().expect("there is a key from the start and the first one is never removed")
    }

    /// The names of the served keys, oldest first.
    pub(crate) fn kids(&self) -> Vec<String> {
        self.0.iter().filter(|key| key.published).map(|key| key.kid.clone()).collect()
    }

    pub(crate) fn jwks(&self) -> Value {
        let keys = self.0.iter().filter(|named| named.published);
        json!({ "keys": keys.map(|named| named.key.jwk(&named.kid)).collect::<Vec<_>>() })
    }

    /// Signs `payload` as it stands, under the documented header.
    pub(crate) fn sign(&self, payload: &str) -> String {
        let current = self.current();
        current.key.sign(&header(&current.kid).to_string(), payload)
    }

    /// Signs whatever it is given; a `null` header means the documented one.
    pub(crate) fn mint(&self, payload: &Value, header: &Value) -> String {
        let current = self.current();
        current.key.sign(&header_or_default(header, &current.kid), &payload.to_string())
    }

    /// Signs two segments that are encoded already, or not at all.
    pub(crate) fn mint_raw(&self, header: &str, payload: &str) -> String {
        self.current().key.sign_raw(header, payload)
    }

    /// The present key, in DER.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.current().key.der().as_ref().to_vec()
    }

    /// Like [`mint`](Self::mint) with a key that is in no key set; `null` names it `unknown-1`.
    pub(crate) fn mint_with_unknown_key(payload: &Value, header: &Value) -> String {
        Key::unknown().sign(&header_or_default(header, "unknown-1"), &payload.to_string())
    }

    /// The claims of a token that one of these keys signed, served or not: the server knows its own tokens.
    pub(crate) fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (_, payload) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.0.iter().find(|named| named.key.verifies(message, &signature))?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

fn header(kid: &str) -> Value {
    json!({ "kid": kid, "typ": "JWT", "alg": "RS256" })
}

fn header_or_default(given: &Value, kid: &str) -> String {
    if given.is_null() { header(kid).to_string() } else { given.to_string() }
}

/// `bytes` random bytes in lower-case hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    fill_random(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Six random decimal digits.
pub(crate) fn random_code() -> String {
    let mut random = [0; 8];
    fill_random(&mut random);
    format!("{:06}", u64::from_le_bytes(random) % 1_000_000)
}

fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system has randomness");
}
