//! TLS as a client ships it (E1): servers that cannot prove who they are, and two that can.
//!
//! Whom a client trusts is read from `SSL_CERT_FILE` when it is made. A variable belongs to a whole process, so the calls
//! are made by a second one: the test's own program, started again with this test alone, finds the list of servers in
//! its environment and plays the client.

mod certificate;
mod server;

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Command};

use serde_json::Value;

use certificate::{Leaf, authority};
use server::{BAD_REQUEST, PROTOCOL_VERSION, Server, answer_in_the_clear, serve, server_hello};

/// What makes a program the client: where to write what came of the calls. The servers stand in [`SERVERS`].
const OUTCOMES: &str = "OTPLESS_TEST_TLS_OUTCOMES";
const SERVERS: &str = "OTPLESS_TEST_TLS_SERVERS";

/// What came of the calls to one server, by call.
pub type Outcomes = BTreeMap<String, Value>;

/// The part of the client, in the other process.
#[derive(Debug)]
pub struct Client {
    /// The servers to call, each with every call, one call after the other.
    pub servers: Vec<String>,
    outcomes: PathBuf,
}

impl Client {
    /// The part, if it is this process that plays it.
    #[must_use]
    pub fn here() -> Option<Self> {
        let outcomes = env::var_os(OUTCOMES)?.into();
        let servers = env::var(SERVERS).ok()?.split(' ').map(str::to_owned).collect();
        Some(Self { servers, outcomes })
    }

    /// Hands back what came of the calls, by server.
    ///
    /// # Panics
    ///
    /// When it cannot be written down.
    pub fn says(self, outcomes: &BTreeMap<String, Outcomes>) {
        fs::write(self.outcomes, serde_json::to_vec(outcomes).expect("JSON")).expect("a file");
    }
}

/// One server, what is wrong with it, and what came of the calls to it.
#[derive(Debug)]
pub struct Tried {
    /// What is wrong with it; `None`: nothing.
    pub wrong: Option<&'static str>,
    /// What the client made of each call.
    pub outcomes: Outcomes,
}

/// Has `test`, started again as the client, make `calls` to every server, with the authority of the good ones as the only one it
/// trusts. `calls` are in the order in which the client makes them and named by what a server hears of them first. Every answer
/// is a JSON object that the plugin takes for a success.
///
/// # Panics
///
/// When a good server does not hear a call, when a bad one hears anything of one, and when nobody calls.
#[must_use]
pub fn called(test: &str, calls: &[&str]) -> Vec<Tried> {
    let ca = authority();
    let tls = |leaf: Leaf, version| Server::start(move |stream| serve(stream, &leaf.served_with(version)));
    let good = |version| (None, tls(Leaf::of("localhost").signed_by(&ca), version));
    let bad = |wrong, leaf: Leaf| (Some(wrong), tls(leaf, &rustls::version::TLS13));
    let clear = |wrong, answer: &'static [u8]| {
        (Some(wrong), Server::start(move |stream| answer_in_the_clear(stream, answer)))
    };
    let too_old = Server::start(|stream| answer_in_the_clear(stream, &server_hello(0x0302)));
    let servers = [
        good(&rustls::version::TLS13),
        good(&rustls::version::TLS12),
        bad("expired", Leaf::of("localhost").valid(2000, 2001).signed_by(&ca)),
        bad("not yet valid", Leaf::of("localhost").valid(2999, 3000).signed_by(&ca)),
        bad("for another host", Leaf::of("api.otpless.com").signed_by(&ca)),
        bad("not for a server", Leaf::of("localhost").for_clients().signed_by(&ca)),
        bad("self-signed", Leaf::of("localhost").self_signed()),
        // To the letter the name of the authority that is trusted, and another key.
        bad("of an unknown authority", Leaf::of("localhost").signed_by(&authority())),
        (Some(TOO_OLD), too_old),
        clear("no TLS at all", BAD_REQUEST),
    ];
    let mut outcomes =
        another_process(test, &ca.pem(), servers.iter().map(|(_, server)| server.url.as_str()));
    servers
        .into_iter()
        .map(|(wrong, server)| {
            for call in calls {
                let heard = server.next();
                let application = String::from_utf8_lossy(&heard.application);
                match wrong {
                    None => assert!(application.starts_with(call), "{call}: it heard {application:?}"),
                    Some(wrong) => assert_eq!(application, "", "{wrong}, {call}"),
                }
                if wrong == Some(TOO_OLD) {
                    assert_eq!(heard.alert, Some(PROTOCOL_VERSION), "that is what was wrong with it");
                }
            }
            Tried { wrong, outcomes: outcomes.remove(&server.url).expect("it was called") }
        })
        .collect()
}

const TOO_OLD: &str = "too old a protocol";

fn another_process<'a>(
    test: &str,
    trusted: &str,
    servers: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Outcomes> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (authorities, outcomes) = (directory.path().join("ca.pem"), directory.path().join("outcomes.json"));
    fs::write(&authorities, trusted).expect("a file");
    let client = Command::new(env::current_exe().expect("this program's file"))
        .args(["--exact", test, "--nocapture"])
        // Nothing of the surroundings decides what is trusted, and no proxy comes between.
        .env_clear()
        .env("SSL_CERT_FILE", &authorities)
        .env(SERVERS, servers.collect::<Vec<_>>().join(" "))
        .env(OUTCOMES, &outcomes)
        .output()
        .expect("this program starts");
    assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
    let outcomes = fs::read(&outcomes).expect("the client has written what came of its calls");
    serde_json::from_slice(&outcomes).expect("JSON")
}
