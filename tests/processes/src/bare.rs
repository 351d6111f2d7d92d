//! A server reached without anybody else's code: each call is one HTTP/1.1 exchange over a plain socket, in buffers that are
//! wiped. What a memory dump still finds of a token after that is the engine's own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use tauri_plugin_otpless::{
    Result,
    engine::{BoxFuture, Request, Response, Transport, Unreachable},
};
use zeroize::{Zeroize, Zeroizing};

/// Answers of the local OTPless fit many times over, so that the buffer never grows and leaves a copy behind.
const MOST: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct BareTransport;

impl Transport for BareTransport {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        Box::pin(async move {
            let exchanged = tokio::task::spawn_blocking(move || {
                let outcome = exchange(&request);
                // The URL of a revocation names the session; a real client's copies of it are its own affair.
                String::from(request.url).zeroize();
                outcome
            });
            exchanged.await.expect("an exchange does not panic")
        })
    }
}

fn exchange(request: &Request) -> Result<Response> {
    let address = (request.url.host_str().unwrap_or_default(), request.url.port().unwrap_or(80));
    let mut stream = TcpStream::connect(address).map_err(|_| Unreachable::CannotConnect)?;
    let lost = |_| Unreachable::ConnectionLost;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(lost)?;
    let body = request.body.as_ref().map_or(&[][..], |body| body.as_slice());
    let mut head = Zeroizing::new(String::with_capacity(MOST));
    for part in [request.method.as_str(), " ", request.url.path(), " HTTP/1.1\r\nhost: localhost\r\n"] {
        head.push_str(part);
    }
    for (name, value) in &request.headers {
        for part in [name.as_str(), ": ", value.to_str().unwrap_or_default(), "\r\n"] {
            head.push_str(part);
        }
    }
    head.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).map_err(lost)?;
    stream.write_all(body).map_err(lost)?;

    let mut answer = Zeroizing::new(vec![0; MOST]);
    let mut length = 0;
    loop {
        match stream.read(&mut answer[length..]).map_err(lost)? {
            0 => break,
            read => length += read,
        }
    }
    let answer = &answer[..length];
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or(Unreachable::ConnectionLost)?;
    let status = std::str::from_utf8(&answer[9..12]).ok().and_then(|status| status.parse().ok());
    let mut body = Zeroizing::new(Vec::with_capacity(MOST));
    body.extend_from_slice(&answer[end + 4..]);
    Ok(Response { status: status.ok_or(Unreachable::ConnectionLost)?, body, date: None, retry_after: None })
}
