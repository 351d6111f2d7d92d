//! TLS as it ships (E1): the client the plugin makes, against servers that cannot prove who they are.
//!
//! Whom the client trusts is read from `SSL_CERT_FILE` when it is made. A variable belongs to a whole process, so the
//! calls are made by a second one: this very program, started again with this test alone, finds the list of servers in
//! its environment and plays the client.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, mpsc},
    thread,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, pki_types::PrivateKeyDer,
};
use serde_json::{Value, json};
use tauri_plugin_otpless::engine::{
    ClientApi, Credentials, Expected, HttpClient, JwksVerifier, SessionApi, SystemClock, TokenVerifier,
};
use tokio::runtime::Handle;

use crate::support::PATIENCE;

const TEST: &str = "tls::e1_no_call_gets_through_to_a_server_that_cannot_prove_who_it_is";
/// What makes this program the client: where to write what came of the calls. The servers stand in [`SERVERS`].
const OUTCOMES: &str = "OTPLESS_TEST_TLS_OUTCOMES";
const SERVERS: &str = "OTPLESS_TEST_TLS_SERVERS";

/// Planted wherever a call carries something.
const SESSION_ID: &str = "canary0123456789abcdef0123456789";

/// The calls there are, in the order the client makes them, by what a server hears of them first.
const CALLS: [&str; 4] = [
    "POST /v4/session/authenticate ",
    "POST /v4/session/refresh ",
    "DELETE /v4/session/canary0123456789abcdef0123456789 ",
    "GET /.well-known/jwks ",
];

#[test]
fn e1_no_call_gets_through_to_a_server_that_cannot_prove_who_it_is() {
    if let Some(outcomes) = std::env::var_os(OUTCOMES) {
        return client(Path::new(&outcomes));
    }
    let ca = authority();
    let tls = |leaf: Leaf, version| Server::start(move |stream| serve(stream, &leaf.served_with(version)));
    let good = |version| tls(Leaf::of("localhost").signed_by(&ca), version);
    let bad = |leaf: Leaf| tls(leaf, &rustls::version::TLS13);
    let trusted = [good(&rustls::version::TLS13), good(&rustls::version::TLS12)];
    let untrusted = [
        ("expired", bad(Leaf::of("localhost").valid(2000, 2001).signed_by(&ca))),
        ("not yet valid", bad(Leaf::of("localhost").valid(2999, 3000).signed_by(&ca))),
        ("for another host", bad(Leaf::of("api.otpless.com").signed_by(&ca))),
        ("not for a server", bad(Leaf::of("localhost").for_clients().signed_by(&ca))),
        ("self-signed", bad(Leaf::of("localhost").self_signed())),
        // To the letter the name of the authority that is trusted, and another key.
        ("of an unknown authority", bad(Leaf::of("localhost").signed_by(&authority()))),
        ("too old a protocol", Server::start(|stream| answer_in_the_clear(stream, &server_hello(0x0302)))),
        ("no TLS at all", Server::start(|stream| answer_in_the_clear(stream, BAD_REQUEST))),
    ];
    let all = trusted.iter().chain(untrusted.iter().map(|(_, server)| server));
    let outcomes = outcomes_in_another_process(&ca.pem(), all);

    for server in &trusted {
        for call in CALLS {
            assert_eq!(outcomes[&server.url][call], Value::Null, "{call}succeeds where nothing is wrong");
            assert!(server.next().application.starts_with(call.as_bytes()), "{call} is what is heard");
        }
    }
    for (why, server) in &untrusted {
        for call in CALLS {
            let error = &outcomes[&server.url][call];
            assert_eq!(
                (&error["kind"], &error["code"]),
                (&json!("network"), &json!("9105")),
                "{why}, {call}"
            );
            let shown = error.to_string();
            for kept in ["localhost", "https", SESSION_ID] {
                assert!(!shown.contains(kept), "{why}, {call}: {shown}");
            }
            let heard = server.next();
            assert_eq!(String::from_utf8_lossy(&heard.application), "", "{why}, {call}");
            if *why == "too old a protocol" {
                assert_eq!(heard.alert, Some(PROTOCOL_VERSION), "that is what was wrong with it");
            }
        }
    }
}

/// Makes every call to each of `servers`, with `trusted` as the only authority there is, in a process of its own.
fn outcomes_in_another_process<'a>(
    trusted: &str,
    servers: impl Iterator<Item = &'a Server>,
) -> BTreeMap<String, Value> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (authorities, outcomes) = (directory.path().join("ca.pem"), directory.path().join("outcomes.json"));
    fs::write(&authorities, trusted).expect("a file");
    let urls: Vec<&str> = servers.map(|server| server.url.as_str()).collect();
    let client = Command::new(std::env::current_exe().expect("this program's file"))
        .args(["--exact", TEST, "--nocapture"])
        // Nothing of the surroundings decides what is trusted, and no proxy comes between.
        .env_clear()
        .env("SSL_CERT_FILE", &authorities)
        .env(SERVERS, urls.join(" "))
        .env(OUTCOMES, &outcomes)
        .output()
        .expect("this program starts");
    assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
    let outcomes = fs::read(&outcomes).expect("the client has written what came of its calls");
    serde_json::from_slice(&outcomes).expect("JSON")
}

/// The other process.
#[tokio::main]
async fn client(outcomes: &Path) {
    let http = HttpClient::new().expect("an HTTP client");
    let mut all = BTreeMap::new();
    for url in std::env::var(SERVERS).expect("the servers").split(' ') {
        let api = ClientApi::new(http.clone(), url.parse().expect("a URL"), "APP");
        let id = SESSION_ID.into();
        let credentials = Credentials { session_id: &id, session_token: &"h.p.s".into(), state: None };
        let keys = JwksVerifier::new(
            Expected { issuer: "https://otpless.com".into(), app_id: "APP".into() },
            format!("{url}/.well-known/jwks").parse::<url::Url>().expect("a URL"),
            http.clone(),
            Arc::new(SystemClock::default()),
            Arc::<tauri_plugin_otpless::engine::MemoryActivityLog>::default(),
            Arc::new(Handle::current()),
        );
        let errors = [
            api.authenticate(credentials).await.outcome.err().map(|refused| refused.error),
            api.refresh(&"h.r.s".into(), None).await.outcome.err().map(|refused| refused.error),
            api.revoke(&id).await.outcome.err().map(|refused| refused.error),
            keys.fetch_keys().await.err(),
        ];
        let shown = errors.map(|error| {
            error.map(|error| {
                json!({"kind": error.kind(), "code": error.code(), "shown": format!("{error} {error:?}")})
            })
        });
        all.insert(url.to_owned(), CALLS.into_iter().zip(shown).collect::<BTreeMap<_, _>>());
    }
    fs::write(outcomes, serde_json::to_vec(&all).expect("JSON")).expect("a file");
}

/// What came over one connection.
#[derive(Default)]
struct Heard {
    /// All that is not the handshake: what a server must not get before it has proved who it is.
    application: Vec<u8>,
    /// The alert with which the client gave up, where it can be read.
    alert: Option<u8>,
}

/// One of several servers on ports of this machine, which last as long as the test's process.
struct Server {
    url: String,
    heard: mpsc::Receiver<Heard>,
}

impl Server {
    fn start(talk: impl Fn(TcpStream) -> Heard + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
                if tell.send(talk(stream)).is_err() {
                    return;
                }
            }
        });
        Self { url: format!("https://localhost:{port}"), heard }
    }

    /// The next connection that has ended. There must be one: nothing is shown by a server that nobody called.
    fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a connection")
    }
}

/// Serves one request, if it comes to that.
fn serve(stream: TcpStream, config: &Arc<ServerConfig>) -> Heard {
    let connection = ServerConnection::new(config.clone()).expect("a configuration that works");
    let mut tls = StreamOwned::new(connection, stream);
    let mut application = Vec::new();
    let mut part = [0; 4096];
    while !is_whole(&application) {
        match tls.read(&mut part) {
            Ok(length) if length > 0 => application.extend_from_slice(&part[..length]),
            // The client has gone away, or has said why it will not go on.
            _ => return Heard { application, alert: None },
        }
    }
    let modulus = URL_SAFE_NO_PAD.encode([0xff; 256]);
    let answer = json!({
        "sessionTokenJWT": "h.p.s", "success": true,
        "keys": [{"kty": "RSA", "kid": "k", "n": modulus, "e": "AQAB"}],
    });
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
    tls.write_all(format!("{head}{answer}").as_bytes()).expect("the client takes its answer");
    tls.conn.send_close_notify();
    tls.flush().expect("the client takes its answer");
    Heard { application, alert: None }
}

/// Whether all of an HTTP request has come.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().expect("a length"))
}

const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Content types of TLS records and the one alert that is asked for (RFC 8446 §5.1, §6).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const PROTOCOL_VERSION: u8 = 70;

/// The greeting of a server that speaks `version` at most: no extensions, a cipher suite of its time. rustls has nothing
/// older than 1.2 to make a whole server of, and a client that takes older ones would go on after this.
fn server_hello(version: u16) -> Vec<u8> {
    let [major, minor] = version.to_be_bytes();
    let mut hello = vec![HANDSHAKE, major, minor, 0, 42, 2, 0, 0, 38, major, minor];
    hello.extend([0x5a; 32]);
    // No session to resume, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0xc0, 0x13, 0]);
    hello
}

/// Hears one greeting, answers with `bytes` and listens to the end.
fn answer_in_the_clear(mut stream: TcpStream, bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    let mut answer = Some(bytes);
    while let Ok((kind, payload)) = record(&mut stream) {
        match kind {
            HANDSHAKE => {}
            ALERT => heard.alert = payload.get(1).copied(),
            _ => heard.application.extend(payload),
        }
        if let Some(answer) = answer.take() {
            stream.write_all(answer).expect("the client takes its answer");
        }
    }
    heard
}

fn record(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; u16::from_be_bytes([head[3], head[4]]).into()];
    stream.read_exact(&mut payload)?;
    Ok((head[0], payload))
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "An authority for a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A server's certificate in the making, or made.
struct Leaf {
    params: CertificateParams,
    key: KeyPair,
    certificate: Option<rcgen::Certificate>,
}

impl Leaf {
    fn of(host: &str) -> Self {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { params, key: KeyPair::generate().expect("a key"), certificate: None }
    }

    fn valid(mut self, from: i32, to: i32) -> Self {
        self.params.not_before = date_time_ymd(from, 1, 1);
        self.params.not_after = date_time_ymd(to, 1, 1);
        self
    }

    fn for_clients(mut self) -> Self {
        self.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    fn signed_by(mut self, issuer: &Authority) -> Self {
        self.certificate = Some(self.params.signed_by(&self.key, issuer).expect("a certificate"));
        self
    }

    fn self_signed(mut self) -> Self {
        self.certificate = Some(self.params.self_signed(&self.key).expect("a certificate"));
        self
    }

    /// What a server with this certificate is made of, which speaks `version` alone.
    fn served_with(&self, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let certificate = self.certificate.as_ref().expect("a signed certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("a version that ring can do")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a key that is the certificate's"))
    }
}
