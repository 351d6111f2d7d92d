//! The page calls the app's own backend and never has the token that the backend sees: `fetch` in a real webview, with bytes, headers
//! and streams as they really cross.

use crate::support::{Policy, Stage, Theme, eventually};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A backend that answers in two pieces, the second when it is told to.
struct Backend {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
    second_piece: Arc<Notify>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/orders", listener.local_addr().expect("an address"));
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let second_piece = Arc::new(Notify::new());
        let (log, released) = (seen.clone(), second_piece.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, log.clone(), released.clone()));
            }
        });
        Self { url, seen, second_piece }
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn answer(
    connection: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    released: Arc<Notify>,
) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let length = head
        .to_lowercase()
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next().and_then(|length| length.parse().ok()));
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().expect("no panic").push(format!("{head}{body}"));
    let first = format!("you sent {body:?}");
    let connection = connection.get_mut();
    let start = format!(
        "HTTP/1.1 201 Created\r\nset-cookie: canary=of-the-backend\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n",
        first.len()
    );
    connection.write_all(start.as_bytes()).await?;
    released.notified().await;
    connection.write_all(b"9\r\n, and end\r\n0\r\n\r\n").await?;
    connection.shutdown().await
}

/// D1.
#[tokio::test]
async fn d1_a_page_calls_the_backend_with_the_session_and_never_has_the_token() {
    let mut stage = Stage::new(Policy::default()).await;
    let backend = Backend::start().await;
    let app = stage.start_app(Theme::Light).await;
    app.fill("backend-url", &backend.url).await;
    stage.sign_in(&app).await;
    let token = stage.control().tokens(stage.session_id()).expect("the session is there").session_token;

    app.click("call-backend").await;
    app.shows("backend-result", "201 you sent \"hello from the page\"").await;
    backend.second_piece.notify_one();
    app.shows("backend-result", "201 you sent \"hello from the page\", and end").await;
    let requests = backend.requests();
    let [request] = &*requests else { panic!("one request and not {}", requests.len()) };
    assert!(
        request.starts_with("POST /orders HTTP/1.1\r\n"),
        "{}",
        request.lines().next().unwrap_or_default()
    );
    assert!(request.contains(&format!("authorization: Bearer {token}\r\n")), "the backend sees the session");
    stage.no_token_anywhere(Some(&app)).await;
    let kept = app.kept_by_page().await;
    assert!(
        kept.iter().all(|(_, text)| !text.contains("of-the-backend")),
        "nor has the page the backend's cookie"
    );

    // Outside of the scope.
    app.fill("backend-url", "https://127.0.0.1.attacker.example/orders").await;
    app.click("call-backend").await;
    app.shows("error", "notPermitted").await;

    // With nobody signed in nothing goes out.
    app.click("sign-out").await;
    app.shows("status", "signedOut").await;
    app.fill("backend-url", &backend.url).await;
    app.click("call-backend").await;
    eventually("it is refused", Duration::from_secs(20), async || match app.read("error").await {
        Ok(kind) if kind == "notSignedIn" => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(backend.requests().len(), 1);
    app.kill().await;
}
