//! The issuer of a world of its own: a key that signs nothing else, and a verifier that trusts it.

use std::sync::{Arc, LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{rand::SystemRandom, rsa::PublicKeyComponents, signature};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    BoxFuture, Result,
    engine::{
        Expected, JwksVerifier, KeySource, MemoryActivityLog, Request, Response, SystemClock, Timestamp,
        TokenVerifier, Transport,
    },
};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

pub const ISSUER: &str = "https://otpless.com";
pub const APP_ID: &str = "DEMOAPP00000000000001";

/// What the tokens of the corpus name.
const KID: &str = "pk0183";

pub static KEY: LazyLock<signature::RsaKeyPair> = LazyLock::new(|| {
    let key = include_bytes!("../../issuer-key.der");
    signature::RsaKeyPair::from_pkcs8(key).expect("a key of 2048 bits")
});

/// Runs what is asynchronous in the engine: nothing here waits for anything.
pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

/// The key set with [`KEY`] in it and no other.
pub static KEY_SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let public = PublicKeyComponents::<Vec<u8>>::from(KEY.public());
    let keys = json!({"keys": [{
        "kty": "RSA", "kid": KID,
        "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
    }]});
    keys.to_string().into_bytes()
});

static VERIFIER: LazyLock<JwksVerifier> = LazyLock::new(|| {
    let verifier = verifier_with(&KEY_SET, Arc::default());
    RUNTIME.block_on(verifier.fetch_keys()).expect("a key that may be used");
    verifier
});

/// The verifier that trusts [`KEY`] and no other.
pub fn verifier() -> &'static JwksVerifier {
    &VERIFIER
}

/// A verifier whose key set, once it is fetched, is `document`.
pub fn verifier_with(document: &[u8], log: Arc<MemoryActivityLog>) -> JwksVerifier {
    let url = "https://otpless.com/.well-known/jwks".parse().expect("a URL");
    verifier_of(KeySource::KeySet(url), Answers { status: 200, body: document.to_vec() }, log)
}

/// A verifier that gets its keys from `source`.
pub fn verifier_of(
    source: KeySource,
    transport: impl Transport,
    log: Arc<MemoryActivityLog>,
) -> JwksVerifier {
    JwksVerifier::new(
        Expected { issuer: ISSUER.into(), app_id: APP_ID.into() },
        source,
        transport,
        Arc::new(SystemClock::default()),
        log,
        Arc::new(RUNTIME.handle().clone()),
    )
}

/// A token of this issuer that says `payload`, whatever that is.
pub fn sign(payload: &[u8]) -> String {
    let header = json!({"kid": KID, "typ": "JWT", "alg": "RS256"}).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut signature = vec![0; KEY.public().modulus_len()];
    KEY.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("a key that can sign");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// When every answer was given.
const DATE: Timestamp = Timestamp(784_111_777_000);

/// A server that answers every call alike.
#[derive(Debug)]
pub struct Answers {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Transport for Answers {
    fn call(&self, _: Request) -> BoxFuture<'_, Result<Response>> {
        let body = Zeroizing::new(self.body.clone());
        let response = Response { status: self.status, body, date: Some(DATE), retry_after: None };
        Box::pin(async { Ok(response) })
    }
}

/// The JSON object in `bytes`, by a parser that is not ours.
pub fn object(bytes: &[u8]) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(bytes).ok()
}
