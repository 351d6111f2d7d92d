//! OTPless's public keys: fetched when a token names one that is not at hand, kept in memory and, because a restart
//! without a network should still be able to verify, in the app's activity log. Nothing here is secret.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Method, Url, header::HeaderMap};
use serde_json::json;

use super::{
    Claims, Fetched, TokenVerifier, Unverified,
    discovery::{self, KeySource},
    jwk::RsaKey,
    strict_json,
    verify::{self, Expected},
};
use crate::{
    BoxFuture,
    activity_log::ActivityLog,
    api::{
        http::MAX_ANONYMOUS_RETRY_AFTER,
        transport::{Request, Response, Transport},
    },
    clock::{Clock, Now, ServerDate, Timestamp},
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

/// Reads a key set. `None` if it is not one; keys that break the policy, or share their id with another, are left
/// out: a name that means two things means nothing.
pub(super) fn parse(document: &[u8]) -> Option<HashMap<String, RsaKey>> {
    let set = strict_json::object(document).ok()?;
    let keys = set.get("keys")?.as_array()?;
    // Counted before they are judged: a key that has leaked, without its private members beside it, is no better. Keys of other
    // types may share an id with an RSA key (RFC 7517 §4.5).
    let mut named: HashMap<&str, usize> = HashMap::new();
    for key in keys.iter().filter(|key| key["kty"] == "RSA") {
        if let Some(kid) = key["kid"].as_str() {
            *named.entry(kid).or_default() += 1;
        }
    }
    let usable = keys.iter().filter_map(RsaKey::from_jwk);
    Some(usable.filter(|(kid, _)| named.get(&**kid) == Some(&1)).take(MAX_KEYS).collect())
}

#[derive(Debug, Default)]
struct Keys {
    by_id: HashMap<String, RsaKey>,
    fetched_at: Option<Timestamp>,
    /// When they were fetched in this run, by [`steady`]; `None` for kept ones.
    first_hand: Option<Duration>,
    /// By the steady clock, so that a wrong wall clock cannot turn the cooldown off.
    next_fetch: Option<Duration>,
}

/// The wait that an answer without keys asks for. A key set has no codes of OTPless's, and no sign-in can do without it.
fn wait(response: &Response) -> Option<Duration> {
    response.retry_after.filter(|_| response.status != 200).map(|wait| wait.min(MAX_ANONYMOUS_RETRY_AFTER))
}

/// A clock that nobody sets. Where the machine has none that goes on in a sleep, the sleep is not counted: the tokens whose
/// keys would be too old after it have times of their own.
fn steady(clock: &dyn Clock) -> Duration {
    clock.unset().unwrap_or_else(|| clock.monotonic())
}

/// The real [`TokenVerifier`]: RS256 with the keys of one configured source.
#[derive(Clone, Debug)]
pub struct JwksVerifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    expected: Expected,
    source: KeySource,
    transport: Box<dyn Transport>,
    clock: Arc<dyn Clock>,
    log: Arc<dyn ActivityLog>,
    runtime: Arc<dyn Runtime>,
    keys: Mutex<Keys>,
    fetching: SingleFlight<Result<Fetched>>,
}

impl JwksVerifier {
    /// A verifier with the keys of `source`; those remembered in `log` are used until they are too old. A URL alone is
    /// that of a key set.
    pub fn new(
        expected: Expected,
        source: impl Into<KeySource>,
        transport: impl Transport,
        clock: Arc<dyn Clock>,
        log: Arc<dyn ActivityLog>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let source = source.into();
        let keys = Keys::from_log(&*log, source.url()).unwrap_or_default();
        Self(Arc::new(Inner {
            expected,
            source,
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
    fn from_log(log: &dyn ActivityLog, url: &Url) -> Option<Self> {
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
        // Whichever of the two the clock was wrong at: a date to come says as little for them as one long past.
        self.fetched_at.map(|at| now.saturating_since(at).max(at.saturating_since(now)))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, kid: &str) -> Option<RsaKey> {
        let keys = self.lock();
        // Kept keys have only the wall clock's word. For the others it does not count: put right, it must not make keys
        // too old that came a moment ago, and put back, it must not keep them young.
        let age = match keys.first_hand {
            Some(fetched) => Some(steady(&*self.clock).saturating_sub(fetched)),
            None => keys.age(self.clock.now()),
        };
        keys.by_id.get(kid).filter(|_| age.is_some_and(|age| age <= KEY_MAX_AGE)).cloned()
    }

    /// How long the set is not to be fetched again.
    fn held_for(&self) -> Option<Duration> {
        let next = self.lock().next_fetch?;
        next.checked_sub(steady(&*self.clock)).filter(|left| !left.is_zero())
    }

    async fn fetch(&self) -> Result<Fetched> {
        // Asked again, because the fetch before may have ended between the caller's question and this one's start.
        if let Some(left) = self.held_for() {
            return Ok(Fetched { held_for: Some(left), ..Fetched::default() });
        }
        let outcome = self.ask().await;
        let now = steady(&*self.clock);
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
                let url = self.source.url().as_str();
                self.log.put(LOG_KEY, json!({ "url": url, "fetchedAt": fetched_at, "keys": saved }));
                Ok(Fetched { fetched: true, server_date, held_for: None })
            }
            Err(error) => {
                // A wait that the server asked for holds everyone (requirement C6).
                let wait = error.retry_after().unwrap_or_default().max(KEY_RETRY_COOLDOWN);
                keys.next_fetch = Some(now + wait);
                Err(error)
            }
        }
    }

    /// The keys as the issuer has them now.
    async fn ask(&self) -> Result<(HashMap<String, RsaKey>, Option<ServerDate>)> {
        let url = match &self.source {
            KeySource::KeySet(url) => url.clone(),
            // Asked for each time, so that a key set that moves is followed.
            KeySource::Discovery(url) => {
                let document = self.get(url.clone(), discovery::MAX_DOCUMENT_BYTES).await?;
                if document.status != 200 {
                    let error = self.unusable("the openid-configuration of OTPless cannot be used");
                    return Err(error.with_retry_after(wait(&document)));
                }
                discovery::jwks_uri(&document.body, url, &self.expected.issuer)?
            }
        };
        let asked = Now::read(&*self.clock);
        let response = self.get(url, MAX_KEY_SET_BYTES).await?;
        match parse(&response.body) {
            Some(keys) if response.status == 200 && !keys.is_empty() => {
                Ok((keys, ServerDate::heard(response.date, asked)))
            }
            _ => Err(self
                .unusable("the key set of OTPless cannot be used (it is empty, or not a key set)")
                .with_retry_after(wait(&response))),
        }
    }

    async fn get(&self, url: Url, limit: usize) -> Result<Response> {
        let request = Request { method: Method::GET, url, headers: HeaderMap::new(), body: None, limit };
        self.transport.call(request).await
    }

    fn unusable(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Server,
            format!(
                "{what}; tokens are checked with the keys known so far. Check {} if this stays",
                self.source.setting()
            ),
        )
    }
}

impl TokenVerifier for JwksVerifier {
    fn verify(&self, token: &str) -> std::result::Result<Claims, Unverified> {
        verify::verify(token, &self.0.expected, |kid| self.0.find(kid))
    }

    fn fetch_keys(&self) -> BoxFuture<'_, Result<Fetched>> {
        let inner = self.0.clone();
        if let Some(left) = inner.held_for() {
            return Box::pin(async move { Ok(Fetched { held_for: Some(left), ..Fetched::default() }) });
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
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::Value;

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
    fn b3_an_id_that_two_keys_go_by_names_none() {
        assert_eq!(accepted(vec![jwk(|_| {})]), 1);
        assert_eq!(accepted(vec![jwk(|_| {}), jwk(|_| {})]), 0);
        let others = |kid: &str| jwk(|key| key["kid"] = kid.into());
        assert_eq!(accepted(vec![others("a"), jwk(|_| {}), others("b"), jwk(|_| {}), jwk(|_| {})]), 2);
        // One of them is not for us: has leaked, is for encryption, is too short. Which of the two a token means is not known all the same.
        for unusable in [("d", json!("AQAB")), ("use", json!("enc")), ("n", json!("AQAB"))] {
            let twin = jwk(|key| key[unusable.0] = unusable.1.clone());
            assert_eq!(accepted(vec![jwk(|_| {}), twin.clone()]), 0, "{twin}");
            assert_eq!(accepted(vec![twin, jwk(|_| {}), others("a")]), 1);
        }
        // RFC 7517 §4.5 lets keys of different types share an id; only one of them can be meant.
        assert_eq!(accepted(vec![json!({"kty": "EC", "kid": "k"}), jwk(|_| {})]), 1);
    }

    #[test]
    fn c6_a_wait_is_believed_of_an_answer_that_is_no_key_set_and_for_five_minutes() {
        let asked = |status, seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            wait(&Response { status, body: Default::default(), date: None, retry_after })
        };
        assert_eq!(asked(503, 20), Some(Duration::from_secs(20)));
        assert_eq!(asked(503, 3600), Some(MAX_ANONYMOUS_RETRY_AFTER));
        assert_eq!(asked(200, 20), None);
    }

    #[test]
    fn b11_hostile_key_sets_are_bounded() {
        let named = |n: usize| jwk(|key| key["kid"] = n.to_string().into());
        assert_eq!(accepted((0..10_000).map(named).collect()), 32);
        // An id that is given twice takes no place from others, wherever its twin stands.
        let twice = (0..MAX_KEYS).map(named).chain([named(3), named(MAX_KEYS)]);
        assert_eq!(accepted(twice.collect()), MAX_KEYS);
    }

    #[test]
    fn b3_what_is_no_key_set_is_not_read_as_one() {
        assert_eq!(accepted(vec![json!(1), json!({}), json!([]), Value::Null, jwk(|_| {})]), 1, "junk");
        assert_eq!(accepted(vec![]), 0);
        let alone = serde_json::to_vec(&jwk(|_| {})).unwrap();
        assert!(parse(&alone).is_none(), "one key is no set");
        for document in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"keys":{}}"#,
            r#"{"keys":null}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[]} "#.trim_end().strip_suffix('}').unwrap(),
            r#"{"keys":[]}{"keys":[]}"#,
        ] {
            assert!(parse(document.as_bytes()).is_none(), "{document}");
        }
    }
}
