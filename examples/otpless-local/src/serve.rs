//! From the socket to the answer: the accept loop, and the way every call takes through gates, faults, work and log.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, header},
};
use hyper::{
    body::{Body as HttpBody, Frame},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    answer::Answer,
    call::Call,
    control::Control,
    faults::{Effect, Planned},
    gate::Place,
    operation::Operation,
};

/// How long [`Fault::Hang`](crate::Fault::Hang) keeps a client waiting that waits for ever.
const LONGEST_HANG: Duration = Duration::from_secs(10 * 60);

/// What a cut-off answer promises beyond what it sends.
const MISSING_BYTES: usize = 4096;

/// Serves until `stopped`; then no connection is left, and the port is free.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                // Out of file descriptors, most likely: without a pause this would be a busy loop.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router) {
    // Answers are small; none should wait for the client's acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let wire = TokioIo::new(Wire { stream, reset: Arc::clone(&reset) });
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let answered = router.call(request);
        let reset = Arc::clone(&reset);
        async move {
            let response = answered.await.unwrap_or_else(|never| match never {});
            match response.extensions().get::<HangUp>() {
                None => Ok(response),
                Some(how) => {
                    reset.store(*how == HangUp::Reset, Ordering::Relaxed);
                    // hyper closes the connection of a service that fails, without an answer.
                    Err(io::Error::from(io::ErrorKind::ConnectionAborted))
                }
            }
        }
    });
    // What fails here is the client's connection, or is meant to.
    let _ = http1::Builder::new().serve_connection(wire, service).await;
}

/// A connection that can end in a reset instead of a goodbye.
struct Wire {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Marks a response that is not to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HangUp {
    Close,
    Reset,
}

impl HangUp {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// The way every call takes.
pub(crate) async fn answer(control: Control, operation: Operation, request: Request<Body>) -> Response<Body> {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(refusal) => return Answer::from(refusal).into_response(),
    };
    control.pass_gates(operation, Place::BeforeWork).await;
    // Before the fault is taken: faults that are cleared in between must not leave this call hanging.
    let mut cleared = control.cleared();
    let planned = control.take_fault(operation);
    let (effect, delay, name) = match &planned {
        None => (Effect::Work, 0, None),
        Some(planned) => (planned.fault.effect(), planned.delay(), Some(planned.fault.name())),
    };
    let outcome = |answer: Option<&Answer>| match (&name, answer) {
        (Some(name), _) => format!("fault: {name}"),
        (None, answer) => answer.map(|answer| answer.outcome.clone()).unwrap_or_default(),
    };
    let log = |answer: Option<&Answer>| {
        control.log(operation, &call, answer.map(|answer| answer.status), outcome(answer));
    };
    let reply = match effect {
        Effect::Work => {
            let answer = control.work(operation, &call);
            log(Some(&answer));
            Reply::Answer(answer)
        }
        Effect::Answer(answer) => {
            log(Some(&answer));
            Reply::Answer(answer)
        }
        Effect::CutOff(answer) => {
            log(Some(&answer));
            Reply::CutOff(answer)
        }
        Effect::WorkThenDrop => {
            control.work(operation, &call);
            log(None);
            Reply::HangUp(HangUp::Close)
        }
        Effect::Reset => {
            log(None);
            Reply::HangUp(HangUp::Reset)
        }
        Effect::Hang => {
            log(None);
            let _ = timeout(LONGEST_HANG, cleared.changed()).await;
            Reply::HangUp(HangUp::Close)
        }
    };
    control.pass_gates(operation, Place::AfterWork).await;
    if delay > 0 {
        sleep(Duration::from_millis(delay)).await;
    }
    reply.into_response(control.now())
}

impl Planned {
    fn delay(&self) -> u64 {
        match self.fault {
            crate::Fault::Delay(ms) => self.delay_ms.saturating_add(ms),
            _ => self.delay_ms,
        }
    }
}

enum Reply {
    Answer(Answer),
    CutOff(Answer),
    HangUp(HangUp),
}

impl Reply {
    fn into_response(self, now_ms: i64) -> Response<Body> {
        let mut response = match self {
            Self::HangUp(how) => return how.into_response(),
            Self::Answer(answer) => answer.into_response(),
            Self::CutOff(answer) => {
                let bytes = Bytes::from(answer.body.clone());
                let mut response = answer.into_response();
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len() + MISSING_BYTES));
                *response.body_mut() = Body::new(CutOff { bytes: Some(bytes), sent: false });
                response
            }
        };
        if let Ok(date) = HeaderValue::from_str(&crate::clock::http_date(now_ms)) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }
}

/// A body that breaks off.
struct CutOff {
    bytes: Option<Bytes>,
    sent: bool,
}

impl HttpBody for CutOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.sent {
            // hyper writes out what it has when it must wait; failing at once would take the first bytes along.
            self.sent = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}
