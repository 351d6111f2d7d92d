//! Any bytes as the issuer's `openid-configuration`: keys are asked for only on the word of the issuer's own document,
//! and only where a setting could have sent us (B6, E1).

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use reqwest::Url;
use tauri_plugin_otpless::{
    BoxFuture, Error, ErrorKind, Result,
    engine::{KeySource, Request, Response, TokenVerifier, Transport},
};

use super::issuer::{self, Answers, KEY_SET, RUNTIME};

/// The longest address of a key set.
const MAX_URL_BYTES: usize = 2048;

pub const OVER_TLS: &str = "https://otpless.com/.well-known/openid-configuration";
pub const ON_THIS_MACHINE: &str = "http://127.0.0.1:9/.well-known/openid-configuration";

pub fn run(data: &[u8]) {
    for source in [OVER_TLS, ON_THIS_MACHINE] {
        match key_set_of(data, source) {
            Ok(url) => assert_may_be_asked(&url, source, data),
            Err(refused) => assert_is_sound(&refused, data),
        }
    }
}

/// Where keys are asked for after `document` was found at `source`.
pub fn key_set_of(document: &[u8], source: &str) -> Result<Url> {
    let source: Url = source.parse().expect("a URL");
    let asked = Arc::<Mutex<Vec<Url>>>::default();
    let documents = Documents {
        configuration: Answers { status: 200, body: document.to_vec() },
        key_set: Answers { status: 200, body: KEY_SET.clone() },
        asked: asked.clone(),
    };
    let verifier = issuer::verifier_of(KeySource::Discovery(source.clone()), documents, Arc::default());
    let outcome = RUNTIME.block_on(verifier.fetch_keys());
    let mut asked = std::mem::take(&mut *asked.lock().expect("nobody panicked"));
    assert_eq!(asked[0], source);
    assert_eq!(asked.len(), 1 + usize::from(outcome.is_ok()), "{asked:?}");
    assert_eq!(verifier.keys_are_first_hand(), outcome.is_ok());
    outcome.map(|_| asked.remove(1))
}

fn assert_may_be_asked(url: &Url, source: &str, document: &[u8]) {
    let document = issuer::object(document).expect("a configuration is a JSON object");
    assert_eq!(document["issuer"], issuer::ISSUER);
    let named = document["jwks_uri"].as_str().expect("text");
    assert!(named.len() <= MAX_URL_BYTES);
    assert_eq!(Ok(url), Url::parse(named).as_ref());
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
    let host = url.host_str().expect("a host");
    match url.scheme() {
        "https" => {}
        "http" => {
            let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
            assert!(host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()), "{url}");
            assert!(source.starts_with("http:"), "{url} after {source}");
        }
        scheme => panic!("{scheme}"),
    }
}

fn assert_is_sound(refused: &Error, document: &[u8]) {
    match refused.kind() {
        ErrorKind::InvalidConfig => {
            let document = issuer::object(document).expect("another issuer's document is one");
            assert!(document.get("issuer").is_none_or(|other| other != issuer::ISSUER));
        }
        kind => assert_eq!(kind, ErrorKind::Server),
    }
    // It may quote the address, which is the document's, but neither fills a log nor writes lines of its own into it.
    let words = refused.message();
    assert!(words.len() < 4096 && !words.contains(char::is_control), "{words}");
}

/// The configuration at first, then the issuer's keys, wherever; and a note of where.
#[derive(Debug)]
struct Documents {
    configuration: Answers,
    key_set: Answers,
    asked: Arc<Mutex<Vec<Url>>>,
}

impl Transport for Documents {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        let mut asked = self.asked.lock().expect("nobody panicked");
        asked.push(request.url.clone());
        let answers = if asked.len() == 1 { &self.configuration } else { &self.key_set };
        answers.call(request)
    }
}
