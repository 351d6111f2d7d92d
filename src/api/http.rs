//! One hardened HTTP client: verified TLS 1.2 or newer, no redirects, no cookies, bounded in time and size.

use std::{
    error::Error as _,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    header::{ACCEPT_ENCODING, AGE, DATE, HeaderMap, RETRY_AFTER},
    redirect,
};
use zeroize::Zeroizing;

use super::transport::{Request, Response, Unreachable};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
};

/// Time to connect, TLS included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a whole call, from connecting to the last byte, in [`TICK`]s: 30 s in which this process runs.
const CALL_TICKS: u32 = 30;

/// What a call's time is counted in. A process that is stopped, or a machine that sleeps, for however long uses up one.
const TICK: Duration = Duration::from_secs(1);

/// Largest answer read from the session API: four tokens of the longest accepted kind and their JSON.
pub(crate) const MAX_ANSWER_BYTES: usize = 72 * 1024;

/// A `Retry-After` beyond this is taken as this: a server's typo must not lock a user out for a year.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// As much is believed of an answer without OTPless's own code: it may be that of a proxy, which is left behind with its network.
pub(crate) const MAX_ANONYMOUS_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// The client; clones share its connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pub(crate) secure: reqwest::Client,
    /// For loopback addresses, never through a proxy: it would see the tokens in the clear.
    pub(crate) local: reqwest::Client,
}

impl HttpClient {
    /// A client with the platform's certificates.
    ///
    /// # Errors
    ///
    /// `Internal` if the platform's TLS cannot be set up.
    pub fn new() -> Result<Self> {
        let built = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|_| Error::internal("the HTTP client could not be set up"))
        };
        Ok(Self { secure: built(Self::builder()?.https_only(true))?, local: built(local(Self::builder()?))? })
    }

    fn builder() -> Result<reqwest::ClientBuilder> {
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            // A redirect would carry the tokens to a host nobody configured (requirement E2).
            .redirect(redirect::Policy::none())
            // A lost connection must not be tried again silently: the first try may have spent the refresh token.
            .retry(reqwest::retry::never())
            // Whatever other crates of the app have turned on: here it would leave tokens in buffers that nobody wipes, and
            // answers to the page are unpacked where they are read.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            // No timeout for the whole call here: see `bounded`.
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("tauri-plugin-otpless/", env!("CARGO_PKG_VERSION"))))
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response> {
        bounded(self.exchange(request)).await
    }

    async fn exchange(&self, request: Request) -> Result<Response> {
        let Request { method, url, headers, body, limit } = request;
        let client = if url.scheme() == "https" { &self.secure } else { &self.local };
        // Unpacking would leave tokens in buffers that nobody wipes.
        let mut request = client.request(method, url).headers(headers).header(ACCEPT_ENCODING, "identity");
        if let Some(body) = body {
            // `Bytes` from an owner, so that the buffer is wiped when the last part of the stack lets go of it.
            request = request.body(reqwest::Body::from(bytes_of(body)));
        }
        let mut response = request.send().await.map_err(transport_error)?;
        let status = response.status();
        let date = server_date(response.headers());
        let retry_after = retry_after(response.headers(), date);
        let mut body = Zeroizing::new(Vec::with_capacity(limit.min(4096)));
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if body.len() + chunk.len() > limit {
                return Err(Error::new(
                    ErrorKind::Server,
                    "the server sent an answer far larger than any it should send; it was not read. \
                     The session is kept",
                ));
            }
            // Growing would leave the old, unwiped buffer behind.
            if body.capacity() < body.len() + chunk.len() {
                let mut larger = Zeroizing::new(Vec::with_capacity(limit));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status: status.as_u16(), body, date, retry_after })
    }
}

/// For this machine alone: no proxy, and `localhost` is what RFC 6761 says, whatever a resolver makes of it.
fn local(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    // Port 0 stands for the URL's.
    let loopback = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
    builder.no_proxy().resolve_to_addrs("localhost", &loopback)
}

/// Gives a call its time, counted in ticks.
///
/// One long timer is over the moment a stopped process goes on, and would throw away an answer that has been in the
/// socket all along. It may hold the only refresh token that is still good.
async fn bounded<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let mut call = std::pin::pin!(call);
    for _ in 0..CALL_TICKS {
        if let Ok(outcome) = tokio::time::timeout(TICK, &mut call).await {
            return outcome;
        }
    }
    Err(Unreachable::Timeout.into())
}

/// `Bytes` that are wiped when the last clone of them is dropped.
pub(crate) fn bytes_of(body: Zeroizing<Vec<u8>>) -> bytes::Bytes {
    struct Owner(Zeroizing<Vec<u8>>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    bytes::Bytes::from_owner(Owner(body))
}

/// ring is handed over explicitly: a process-wide default would decide for the whole app.
fn tls_config() -> Result<rustls::ClientConfig> {
    #[cfg(not(target_os = "android"))]
    use rustls_platform_verifier::BuilderVerifierExt;

    let failed = |_| Error::internal("TLS could not be set up");
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(failed)?;
    // The platform verifier needs a Kotlin component on Android; without it the bundled roots are used there.
    #[cfg(target_os = "android")]
    let builder = builder
        .with_root_certificates(rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() });
    #[cfg(not(target_os = "android"))]
    let builder = builder.with_platform_verifier().map_err(failed)?;
    Ok(builder.with_no_client_auth())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The server's `Date`, moved on by the time it stood in a cache.
pub(crate) fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    let age = header(headers, AGE.as_str()).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    Some(parse_http_date(header(headers, DATE.as_str())?)? + Duration::from_secs(age))
}

/// `Retry-After` in seconds or as a date, which is read against the server's own `Date`.
pub(crate) fn retry_after(headers: &HeaderMap, date: Option<Timestamp>) -> Option<Duration> {
    let value = header(headers, RETRY_AFTER.as_str())?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => parse_http_date(value)?.saturating_since(date?),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn parse_http_date(value: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}

/// The mobile SDKs' numbers for transport failures. reqwest's own text is dropped: it contains the URL, and the
/// URL of a revocation contains the session id (requirement E3).
fn transport_error(error: reqwest::Error) -> Error {
    why_unreachable(&error).into()
}

/// What [`transport_error`] makes an error of.
pub(crate) fn why_unreachable(error: &reqwest::Error) -> Unreachable {
    if error.is_timeout() {
        Unreachable::Timeout
    } else if is_tls(error) {
        Unreachable::Tls
    } else if error.is_connect() {
        let causes = causes(error);
        if causes.contains("dns") || causes.contains("lookup") {
            Unreachable::Dns
        } else if causes.contains("certificate") || causes.contains("tls") || causes.contains("handshake") {
            Unreachable::Tls
        } else if causes.contains("network is unreachable") || causes.contains("network is down") {
            Unreachable::Offline
        } else {
            Unreachable::CannotConnect
        }
    } else {
        Unreachable::ConnectionLost
    }
}

/// Whether TLS itself failed. By type, because the texts mislead: a certificate for another host is one that is "only
/// valid for DnsName(…)", and plain HTTP is a "corrupt message".
fn is_tls(error: &reqwest::Error) -> bool {
    let mut at: &(dyn std::error::Error + 'static) = error;
    loop {
        if at.is::<rustls::Error>() {
            return true;
        }
        // `source` passes over what an `io::Error` is made of.
        let inside = at.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inside.map(|inside| inside as _).or_else(|| at.source()) {
            Some(next) => at = next,
            None => return false,
        }
    }
}

fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&error.to_string().to_lowercase());
        text.push(' ');
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_retry_after_is_read_in_both_forms_and_bounded() {
        let read = |value: &str, date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, reqwest::header::HeaderValue::from_str(value).unwrap());
            retry_after(&headers, parse_http_date(date))
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(read("120", date), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", date), Some(Duration::from_secs(30)));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(read("999999999999", date), Some(MAX_RETRY_AFTER));
        assert_eq!(read("soon", date), None);
    }

    #[tokio::test]
    async fn e1_localhost_is_this_machine_whatever_the_resolver_says() {
        struct Elsewhere;
        impl reqwest::dns::Resolve for Elsewhere {
            fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
                panic!("{} is looked up", name.as_str());
            }
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://localhost:{}/", listener.local_addr().expect("an address").port());
        let answered = std::thread::spawn(move || {
            use io::{BufRead, BufReader, Write};
            let (mut connection, _) = listener.accept().expect("a caller");
            let head = BufReader::new(&connection).lines().map_while(io::Result::ok);
            assert!(head.take_while(|line| !line.is_empty()).count() > 1, "a request");
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        });
        let builder = HttpClient::builder().expect("TLS").dns_resolver(Arc::new(Elsewhere));
        let client = local(builder).build().expect("a client");
        assert_eq!(client.get(url).send().await.expect("an answer").status(), 204);
        answered.join().expect("no panic").expect("the answer is sent");
    }

    #[tokio::test(start_paused = true)]
    async fn c5_a_call_has_thirty_seconds() {
        let asked = tokio::time::Instant::now();
        let error = bounded(std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (Some("9100"), true));
        assert_eq!(asked.elapsed().as_secs(), 30);
    }

    /// C1: the timers of a process that was stopped are over when it goes on, before anything else has run.
    #[tokio::test(start_paused = true)]
    async fn c1_an_answer_that_came_while_the_process_stood_still_is_taken() {
        let (answer, call) = tokio::sync::oneshot::channel();
        let call = tokio::spawn(bounded(async { Ok(call.await.expect("an answer")) }));
        tokio::task::yield_now().await;
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(120)).await;
            tokio::task::yield_now().await;
            assert!(!call.is_finished(), "standing still is not waiting");
        }
        answer.send("rotated").expect("somebody waits for it");
        assert_eq!(call.await.expect("no panic").expect("the answer"), "rotated");
    }
}
