//! Servers on ports of this machine, and what they hear.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

/// Bound on every wait: far more than anything here takes, so that only a real hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came over one connection.
#[derive(Default)]
pub(super) struct Heard {
    /// All that is not the handshake: what a server must not get before it has proved who it is.
    pub(super) application: Vec<u8>,
    /// The alert with which the client gave up, where it can be read.
    pub(super) alert: Option<u8>,
}

/// One of several servers on ports of this machine, which last as long as the test's process.
pub(super) struct Server {
    pub(super) url: String,
    heard: mpsc::Receiver<Heard>,
}

impl Server {
    pub(super) fn start(talk: impl Fn(TcpStream) -> Heard + Send + 'static) -> Self {
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
    pub(super) fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a connection")
    }
}

/// Serves one request, if it comes to that.
pub(super) fn serve(stream: TcpStream, config: &Arc<ServerConfig>) -> Heard {
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

pub(super) const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Content types of TLS records and the one alert that is asked for (RFC 8446 §5.1, §6).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
pub(super) const PROTOCOL_VERSION: u8 = 70;

/// The greeting of a server that speaks `version` at most: no extensions, a cipher suite of its time. rustls has nothing
/// older than 1.2 to make a whole server of, and a client that takes older ones would go on after this.
pub(super) fn server_hello(version: u16) -> Vec<u8> {
    let [major, minor] = version.to_be_bytes();
    let mut hello = vec![HANDSHAKE, major, minor, 0, 42, 2, 0, 0, 38, major, minor];
    hello.extend([0x5a; 32]);
    // No session to resume, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0xc0, 0x13, 0]);
    hello
}

/// Hears one greeting, answers with `bytes` and listens to the end.
pub(super) fn answer_in_the_clear(mut stream: TcpStream, bytes: &[u8]) -> Heard {
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
