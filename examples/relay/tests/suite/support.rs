//! A relay in front of a local OTPless, and a client that sends and shows everything.

use std::{net::SocketAddr, time::Duration};

use otpless_local::{Control, Issued, OtplessLocal, SignIn};
use otpless_relay::{Relay, Settings};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) const VALIDATE: &str = "/v1/sessions/validate-session";
pub(crate) const REFRESH: &str = "/v1/sessions/get-new-session-token";
pub(crate) const DETAILS: &str = "/v1/sessions/get-session-details";
pub(crate) const REVOKE: &str = "/v1/sessions/revoke-session";
pub(crate) const CALLS: [&str; 4] = [VALIDATE, REFRESH, DETAILS, REVOKE];

/// Bound on every wait: far more than anything here takes, so that only a real hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        Self {
            status: status.parse().expect("a status"),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is the relay's own: a message, and no code that an app could take for a verdict.
    pub(crate) fn is_the_relays_own(&self) -> bool {
        self.json().as_object().is_some_and(|fields| fields.keys().eq(["message"]))
    }
}

/// A signed-in session on a local OTPless, with a relay before it.
pub(crate) struct Fixture {
    pub(crate) local: OtplessLocal,
    pub(crate) control: Control,
    pub(crate) issued: Issued,
    pub(crate) relay: Relay,
}

/// What the local OTPless wants, and far more calls than a test makes.
pub(crate) fn settings(upstream: &str) -> Settings {
    Settings::new("LOCALCLIENTID", "local-client-secret").upstream(upstream).rate(1000, 1000)
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|settings| settings).await
    }

    pub(crate) async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let local = OtplessLocal::start(otpless_local::Settings::default()).await.expect("a free port");
        let control = local.state();
        let issued = control.sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
        let relay = Relay::start(change(settings(&local.url()))).await.expect("a free port");
        Self { local, control, issued, relay }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        send(self.relay.address(), method, path, headers, body).await
    }
}

/// The head of a request on a connection of its own, with a body of `length` bytes.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + &format!("content-length: {length}\r\n\r\n")
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.expect("the relay is there");
        let head = head(method, path, headers, body.len());
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        // A server that has seen enough may answer and close before it has read everything.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Reply::parse(&answer)
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("it comes within its bound")
}

/// Something that answers every connection with these bytes, whatever it is asked. Answers its URL.
pub(crate) async fn something_that_answers(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
    });
    format!("http://{address}")
}
