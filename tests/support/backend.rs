//! An app's own backend: it keeps what it was asked, and answers as its tests want.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// What `/stream` sends and `/upload` receives.
type Pieces = mpsc::Receiver<io::Result<Bytes>>;

struct Inner {
    asked: Mutex<Vec<Asked>>,
    /// Values of `Authorization` that are answered with a 401.
    refused: Mutex<BTreeSet<String>>,
    stream: Mutex<Option<Pieces>>,
    uploaded: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    /// How many requests are at `/gate`, and the permits that let them through.
    waiting: watch::Sender<usize>,
    gate: Semaphore,
}

/// A backend on a port of its own, which makes it an origin of its own.
pub(crate) struct Backend {
    inner: Arc<Inner>,
    port: u16,
    server: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Inner {
            asked: Mutex::default(),
            refused: Mutex::default(),
            stream: Mutex::default(),
            uploaded: Mutex::default(),
            waiting: watch::Sender::new(0),
            gate: Semaphore::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the backend serves");
        });
        Self { inner, port, server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The address of a redirect to `to`.
    pub(crate) fn redirect(&self, status: u16, to: &str) -> String {
        let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
        self.url(&format!("/redirect/{status}?{to}"))
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.inner.asked).clone()
    }

    /// From now on requests with this `Authorization` get a 401 at `/guarded`.
    pub(crate) fn refuse(&self, token: &str) {
        lock(&self.inner.refused).insert(format!("Bearer {token}"));
    }

    /// What `/stream` sends next; an error breaks the answer off. Closed when nobody receives it any more.
    pub(crate) fn stream(&self) -> mpsc::Sender<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(1);
        *lock(&self.inner.stream) = Some(receiver);
        sender
    }

    /// What `/upload` receives, piece by piece, and `/early`, when it has all.
    pub(crate) fn uploaded(&self) -> mpsc::UnboundedReceiver<Bytes> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *lock(&self.inner.uploaded) = Some(sender);
        receiver
    }

    /// Waits until `count` requests stand at `/gate`.
    pub(crate) async fn until_waiting(&self, count: usize) {
        let mut waiting = self.inner.waiting.subscribe();
        let arrived = tokio::time::timeout(super::PATIENCE, waiting.wait_for(|now| *now == count));
        assert!(arrived.await.is_ok(), "{} at the gate, not {count}", *self.inner.waiting.borrow());
    }

    /// How many requests stand at `/gate`.
    pub(crate) fn waiting(&self) -> usize {
        *self.inner.waiting.borrow()
    }

    /// Lets that many requests through `/gate`.
    pub(crate) fn let_through(&self, count: usize) {
        self.inner.gate.add_permits(count);
    }
}

/// The word "unpacked", packed.
const GZIP: [u8; 28] =
    [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 43, 205, 43, 72, 76, 206, 78, 77, 1, 0, 150, 98, 47, 202, 8, 0, 0, 0];
const DEFLATE: [u8; 16] = [120, 156, 43, 205, 43, 72, 76, 206, 78, 77, 1, 0, 15, 50, 3, 76];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path_and_query().expect("a path").to_string(),
        headers: head.headers,
        body: Vec::new(),
    };
    let authorization = asked.header("authorization").unwrap_or_default().to_owned();
    let cookie = asked.header("cookie").unwrap_or_default().to_owned();
    let index = {
        let mut all = lock(&inner.asked);
        all.push(asked);
        all.len() - 1
    };
    if path.starts_with("/gate") {
        let _here = Here::new(&inner.waiting);
        inner.gate.acquire().await.expect("never closed").forget();
    }
    if path == "/deaf" {
        // Never reads the body, never answers.
        std::future::pending::<()>().await;
    }
    if path == "/early" {
        // Answers before it has read the body, and reads it to its end all the same.
        let uploaded = lock(&inner.uploaded).clone().expect("the test listens");
        tokio::spawn(async move {
            if let Ok(body) = body.collect().await {
                let _ = uploaded.send(body.to_bytes());
            }
        });
        return Response::builder().status(202).body(Body::from("later")).expect("a response");
    }
    let pieces = lock(&inner.uploaded).clone().filter(|_| path == "/upload");
    let body = read(body, pieces).await;
    lock(&inner.asked)[index].body.clone_from(&body);
    let builder = Response::builder();
    let query = head.uri.query().unwrap_or_default();
    let response = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "redirect", status] => {
            let (to, _) = url::form_urlencoded::parse(query.as_bytes()).next().expect("where to");
            builder.status(status).header(header::LOCATION, &*to).body(Body::from("moved"))
        }
        // Redirects to itself as often as the number says.
        ["", "again", times] => match times.parse::<u32>().expect("a number") {
            0 => builder.body(Body::from("arrived")),
            times => builder
                .status(302)
                .header(header::LOCATION, format!("/again/{}", times - 1))
                .body(Body::empty()),
        },
        ["", "gate", "then", "redirect"] => {
            builder.status(302).header(header::LOCATION, "/arrived").body(Body::from("moved"))
        }
        // As `/guarded`, but with a wait before.
        ["", "gate", "guarded"] | ["", "guarded"] if lock(&inner.refused).contains(&authorization) => {
            builder.status(StatusCode::UNAUTHORIZED).body(Body::from("who are you?"))
        }
        ["", "empty", status] => builder.status(status).body(Body::empty()),
        ["", "status", status] => builder.status(status).body(Body::from("some body")),
        ["", "stream"] => {
            let pieces = lock(&inner.stream).take().expect("the test has made a stream");
            builder.header("content-type", "text/plain").body(Body::new(Stream(pieces)))
        }
        // Everything that a page must not see, and something that it may.
        ["", "talkative"] => builder
            .header("set-cookie", "backend=1; HttpOnly")
            .header("set-cookie", "other=2")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-echo", authorization)
            .header("x-echo-cookie", cookie)
            .header("x-fine", "1")
            .body(Body::from("talk")),
        ["", "packed", coding] => {
            let (coding, packed) = match coding {
                "gzip" => (coding, &GZIP[..]),
                "deflate" => (coding, &DEFLATE[..]),
                // What it holds does not matter: nobody has asked for it.
                "br" => (coding, &b"whatever"[..]),
                _ => ("gzip", &b"not packed at all"[..]),
            };
            builder.header("content-encoding", coding).body(Body::from(packed))
        }
        _ => builder.body(Body::from(format!("{} {path} {}", head.method, body.len()))),
    };
    response.expect("a response")
}

/// Counts a request for as long as it waits.
struct Here<'a>(&'a watch::Sender<usize>);

impl<'a> Here<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn read(body: Body, pieces: Option<mpsc::UnboundedSender<Bytes>>) -> Vec<u8> {
    let mut body = pin!(body);
    let mut all = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(piece) = frame.into_data() else { continue };
        all.extend_from_slice(&piece);
        if let Some(pieces) = &pieces {
            let _ = pieces.send(piece);
        }
    }
    all
}

struct Stream(Pieces);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
