//! The app's own backend, as careless as some are: it sends back what it was sent.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tauri::Url;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// In a cookie of its own, which is no page's business.
pub(crate) const COOKIE_CANARY: &str = "of-the-backend";

/// `/orders` answers in two pieces, the second when it is told to. `/echo` has the request's `Authorization` in a header,
/// `/redirect?to=` leads anywhere.
pub(crate) struct Backend {
    origin: String,
    seen: Arc<Mutex<Vec<String>>>,
    broken_off: Arc<AtomicUsize>,
    pub(crate) second_piece: Arc<Notify>,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let second_piece = Arc::new(Notify::new());
        let broken_off = Arc::<AtomicUsize>::default();
        let (log, released, lost) = (seen.clone(), second_piece.clone(), broken_off.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, log.clone(), released.clone(), lost.clone()));
            }
        });
        Self { origin, seen, broken_off, second_piece }
    }

    /// Without a path.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// How many were gone before their second piece.
    pub(crate) fn broken_off(&self) -> usize {
        self.broken_off.load(Ordering::Relaxed)
    }

    /// Heads and bodies, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn answer(
    connection: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    released: Arc<Notify>,
    broken_off: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let body = if header(&head, "transfer-encoding") == Some("chunked") {
        in_pieces(&mut connection).await?
    } else {
        let length = header(&head, "content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        connection.read_exact(&mut body).await?;
        body
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().expect("no panic").push(format!("{head}{body}"));
    let path = head.split(' ').nth(1).unwrap_or_default();
    let url = Url::parse(&format!("http://backend{path}")).expect("a path");
    let connection = connection.get_mut();
    let cookie = format!("set-cookie: canary={COOKIE_CANARY}\r\nconnection: close\r\n");
    match url.path() {
        "/echo" => {
            let echo = header(&head, "authorization").unwrap_or("nothing");
            let text = format!("HTTP/1.1 200 OK\r\n{cookie}x-echo: {echo}\r\ncontent-length: 5\r\n\r\nhello");
            connection.write_all(text.as_bytes()).await?;
        }
        "/redirect" => {
            let to = url.query_pairs().next().map(|(_, to)| to.into_owned()).unwrap_or_default();
            let text = format!("HTTP/1.1 302 Found\r\n{cookie}location: {to}\r\ncontent-length: 0\r\n\r\n");
            connection.write_all(text.as_bytes()).await?;
        }
        _ => {
            let first = format!("you sent {body:?}");
            let start = format!(
                "HTTP/1.1 201 Created\r\n{cookie}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n",
                first.len()
            );
            connection.write_all(start.as_bytes()).await?;
            tokio::select! {
                () = released.notified() => {}
                _ = connection.read_u8() => {
                    broken_off.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
            }
            connection.write_all(b"9\r\n, and end\r\n0\r\n\r\n").await?;
        }
    }
    connection.shutdown().await
}

/// A chunked body; the pieces are put together with a `|` between them.
async fn in_pieces(connection: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut pieces = Vec::new();
    loop {
        let mut length = String::new();
        connection.read_line(&mut length).await?;
        let length = usize::from_str_radix(length.trim(), 16).map_err(std::io::Error::other)?;
        let mut piece = vec![0; length + 2];
        connection.read_exact(&mut piece).await?;
        if length == 0 {
            return Ok(pieces.join(&b'|'));
        }
        piece.truncate(length);
        pieces.push(piece);
    }
}

/// By its name in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (other, value) = line.split_once(':')?;
        (other.eq_ignore_ascii_case(name)).then(|| value.trim())
    })
}
