//! OTPless's public keys: fetched when a token names one that is not at hand, kept in memory and, because a restart
//! without a network should still be able to verify, in the app's activity log. Nothing here is secret.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use super::{
    Claims, Fetched, TokenVerifier, Unverified, strict_json,
    verify::{self, Expected},
};
use crate::{
    BoxFuture,
    activity_log::ActivityLog,
    api::transport::{Request, Transport},
    clock::{Clock, Timestamp},
    error::{Error, ErrorKind, Result},
    runtime::Runtime,
    single_flight::SingleFlight,
};

/// After a successful fetch no other is made for this long, however many unknown keys turn up (requirement B11).
pub(crate) const KEY_FETCH_COOLDOWN: Duration = Duration::from_secs(30);

/// After a failed fetch the next is made no sooner than this.
pub(crate) const KEY_RETRY_COOLDOWN: Duration = Duration::from_secs(5);

/// Keys are renewed as a matter of routine when they are older than this.
pub(crate) const KEY_RENEWAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Keys older than this are not used any more: the life of a refresh token in OTPless's documentation, after which
/// there is no session left to verify.
pub(crate) const KEY_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Keys taken from one set; OTPless's has a handful.
const MAX_KEYS: usize = 32;

/// Largest key set read, in bytes.
pub(crate) const MAX_KEY_SET_BYTES: usize = 256 * 1024;

const LOG_KEY: &str = "jwks";

/// An RSA public key that passed the policy of requirement B3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RsaKey {
    n: Arc<[u8]>,
    e: Arc<[u8]>,
}

impl RsaKey {
    pub(crate) fn modulus(&self) -> &[u8] {
        &self.n
    }

    pub(crate) fn exponent(&self) -> &[u8] {
        &self.e
    }

    /// `None` if the key may not be used to verify RS256.
    fn from_jwk(raw: &Value) -> Option<(String, Self)> {
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
        if bits < 2048 || e != [1, 0, 1] {
            return None;
        }
        let kid = jwk.common.key_id.filter(|kid| !kid.is_empty())?;
        Some((kid, Self { n: n.into(), e: e.into() }))
    }

    fn to_jwk(&self, kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
               "n": URL_SAFE_NO_PAD.encode(&self.n), "e": URL_SAFE_NO_PAD.encode(&self.e)})
    }
}

fn unsigned(encoded: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let first = bytes.iter().position(|b| *b != 0)?;
    Some(bytes[first..].to_vec())
}

/// Reads a key set. `None` if it is not one; keys that break the policy, or share their id with another, are left
/// out: a name that means two things means nothing.
fn parse(document: &[u8]) -> Option<HashMap<String, RsaKey>> {
    let set = strict_json::object(document).ok()?;
    let mut keys: HashMap<String, Option<RsaKey>> = HashMap::new();
    for raw in set.get("keys")?.as_array()? {
        if let Some((kid, key)) = RsaKey::from_jwk(raw) {
            if keys.len() == MAX_KEYS && !keys.contains_key(&kid) {
                continue;
            }
            keys.entry(kid).and_modify(|twice| *twice = None).or_insert(Some(key));
        }
    }
    Some(keys.into_iter().filter_map(|(kid, key)| Some((kid, key?))).collect())
}

#[derive(Debug, Default)]
struct Keys {
    by_id: HashMap<String, RsaKey>,
    fetched_at: Option<Timestamp>,
    /// When they were fetched in this run, by the monotonic clock; `None` for kept ones.
    first_hand: Option<Duration>,
    /// Monotonic, so that a wrong wall clock cannot turn the cooldown off.
    next_fetch: Option<Duration>,
}

/// The real [`TokenVerifier`]: RS256 with the keys of one configured key set.
#[derive(Clone, Debug)]
pub struct JwksVerifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    expected: Expected,
    url: reqwest::Url,
    transport: Box<dyn Transport>,
    clock: Arc<dyn Clock>,
    log: Arc<dyn ActivityLog>,
    runtime: Arc<dyn Runtime>,
    keys: Mutex<Keys>,
    fetching: SingleFlight<Result<Fetched>>,
}

impl JwksVerifier {
    /// A verifier with the keys of the set at `url`; those remembered in `log` are used until they are too old.
    pub fn new(
        expected: Expected,
        url: reqwest::Url,
        transport: impl Transport,
        clock: Arc<dyn Clock>,
        log: Arc<dyn ActivityLog>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let keys = Keys::from_log(&*log, &url).unwrap_or_default();
        Self(Arc::new(Inner {
            expected,
            url,
            transport: Box::new(transport),
            clock,
            log,
            runtime,
            keys: Mutex::new(keys),
            fetching: SingleFlight::default(),
        }))
    }
}

impl Keys {
    fn from_log(log: &dyn ActivityLog, url: &reqwest::Url) -> Option<Self> {
        let saved = log.get(LOG_KEY)?;
        // Keys of another service must not outlive a change of the setting.
        if saved.get("url")?.as_str()? != url.as_str() {
            return None;
        }
        let fetched_at = Timestamp(saved.get("fetchedAt")?.as_i64()?);
        let document = serde_json::to_vec(&json!({ "keys": saved.get("keys")? })).ok()?;
        Some(Self { by_id: parse(&document)?, fetched_at: Some(fetched_at), ..Self::default() })
    }

    fn age(&self, now: Timestamp) -> Option<Duration> {
        self.fetched_at.map(|at| now.saturating_since(at))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, kid: &str) -> Option<RsaKey> {
        let keys = self.lock();
        let by_wall = keys.age(self.clock.now());
        // A clock that is put right must not make keys too old that came a moment ago.
        let awake = keys.first_hand.map(|at| self.clock.monotonic().saturating_sub(at));
        let fresh = by_wall.into_iter().chain(awake).min().is_some_and(|age| age <= KEY_MAX_AGE);
        keys.by_id.get(kid).filter(|_| fresh).cloned()
    }

    async fn fetch(&self) -> Result<Fetched> {
        let request = Request {
            method: Method::GET,
            url: self.url.clone(),
            headers: HeaderMap::new(),
            body: None,
            limit: MAX_KEY_SET_BYTES,
        };
        let response = self.transport.call(request).await;
        let now = self.clock.monotonic();
        let outcome = response.and_then(|response| match parse(&response.body) {
            Some(keys) if response.status == 200 && !keys.is_empty() => Ok((keys, response.date)),
            _ => Err(Error::new(
                ErrorKind::Server,
                "the key set of OTPless cannot be used (it is empty, or not a key set); \
                 tokens are checked with the keys known so far. Check plugins.otpless.jwksUrl if this stays",
            )),
        });
        let mut keys = self.lock();
        match outcome {
            Ok((by_id, server_date)) => {
                let fetched_at = self.clock.now();
                let saved: Vec<_> = by_id.iter().map(|(kid, key)| key.to_jwk(kid)).collect();
                *keys = Keys {
                    by_id,
                    fetched_at: Some(fetched_at),
                    first_hand: Some(now),
                    next_fetch: Some(now + KEY_FETCH_COOLDOWN),
                };
                drop(keys);
                self.log.put(
                    LOG_KEY,
                    json!({ "url": self.url.as_str(), "fetchedAt": fetched_at, "keys": saved }),
                );
                Ok(Fetched { fetched: true, server_date })
            }
            Err(error) => {
                keys.next_fetch = Some(now + KEY_RETRY_COOLDOWN);
                Err(error)
            }
        }
    }
}

impl TokenVerifier for JwksVerifier {
    fn verify(&self, token: &str) -> std::result::Result<Claims, Unverified> {
        verify::verify(token, &self.0.expected, |kid| self.0.find(kid))
    }

    fn fetch_keys(&self) -> BoxFuture<'_, Result<Fetched>> {
        let inner = self.0.clone();
        if inner.lock().next_fetch.is_some_and(|next| inner.clock.monotonic() < next) {
            return Box::pin(async { Ok(Fetched::default()) });
        }
        let flight = self.0.fetching.run(&*self.0.runtime, || async move { inner.fetch().await });
        Box::pin(async move {
            flight.await.unwrap_or_else(|_| Err(Error::internal("the key fetch ended without a result")))
        })
    }

    fn keys_are_first_hand(&self) -> bool {
        self.0.lock().first_hand.is_some()
    }

    fn keys_are_due(&self) -> bool {
        self.0.lock().age(self.0.clock.now()).is_none_or(|age| age > KEY_RENEWAL_AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwk(change: impl FnOnce(&mut Value)) -> Value {
        let mut modulus = [0xab_u8; 256];
        modulus[0] = 0x80;
        let mut key = json!({"kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"});
        change(&mut key);
        key
    }

    fn accepted(keys: Vec<Value>) -> usize {
        parse(&serde_json::to_vec(&json!({ "keys": keys })).unwrap()).unwrap().len()
    }

    #[test]
    fn b3_only_keys_meant_for_rs256_are_used() {
        assert_eq!(accepted(vec![jwk(|_| {})]), 1);
        assert_eq!(
            accepted(vec![jwk(|k| {
                k["use"] = "sig".into();
                k["alg"] = "RS256".into();
                k["key_ops"] = json!(["verify"]);
            })]),
            1
        );
        let refused: [(&str, Value); 11] = [
            ("use", "enc".into()),
            ("alg", "RS512".into()),
            ("alg", "none".into()),
            ("key_ops", json!(["sign"])),
            ("kty", "oct".into()),
            ("kty", "EC".into()),
            ("d", "AQAB".into()),
            ("e", "Aw".into()),
            ("n", URL_SAFE_NO_PAD.encode([0xff_u8; 255]).into()),
            ("kid", "".into()),
            ("kid", Value::Null),
        ];
        for (member, value) in refused {
            assert_eq!(accepted(vec![jwk(|k| k[member] = value.clone())]), 0, "{member}: {value}");
        }
    }

    #[test]
    fn b11_hostile_key_sets_are_bounded() {
        assert_eq!(accepted(vec![jwk(|_| {}), jwk(|_| {})]), 0, "one id for two keys");
        let many = (0..10_000).map(|i| jwk(|k| k["kid"] = i.to_string().into())).collect();
        assert_eq!(accepted(many), MAX_KEYS);
        assert_eq!(accepted(vec![json!(1), json!({}), jwk(|_| {})]), 1, "junk beside a good key");
        assert!(parse(b"{}").is_none());
        assert!(parse(b"<html>").is_none());
        assert!(parse(br#"{"keys":[],"keys":[]}"#).is_none());
    }
}
