//! The way of a call through the relay.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, Response, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    routing::post,
};
use zeroize::Zeroizing;

use crate::{
    answer,
    call::{Call, MAX_BODY_BYTES},
    exchange::Exchanges,
    rate::Rate,
    settings::Settings,
    upstream::Upstream,
};

/// How long a client may take to send a body of a few kilobytes.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(10);

/// The methods that the log names: those of RFC 9110 §9 and PATCH (RFC 5789). Any other is a word of the client's own choosing.
const NAMED_METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// What all calls share.
pub(crate) struct Shared {
    upstream: Upstream,
    exchanges: Exchanges,
    rate: Mutex<Rate>,
    started: Instant,
    behind_proxy: bool,
}

impl Shared {
    pub(crate) fn new(upstream: Upstream, exchanges: Exchanges, settings: &Settings) -> Self {
        Self {
            upstream,
            exchanges,
            rate: Mutex::new(Rate::new(settings.burst, settings.per_minute)),
            started: Instant::now(),
            behind_proxy: settings.behind_proxy,
        }
    }

    /// Whose share a call comes out of.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        // The last entry of the last such header: those before it came from the client and may say anything.
        let forwarded =
            headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        let last = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|last| address(last.trim()));
        last.filter(|_| self.behind_proxy).unwrap_or(peer.ip())
    }
}

/// Some proxies write the port as well, and some an IPv6 address in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(with_port).or_else(in_brackets)
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let calls = Call::ALL.into_iter().fold(Router::new(), |router, call| {
        router.route(
            call.path(),
            post(move |State(shared): State<Arc<Shared>>, request: Request| async move {
                answer(&shared, call, request).await
            }),
        )
    });
    calls
        .fallback(async || answer::own(StatusCode::NOT_FOUND, "the relay has no such path"))
        .method_not_allowed_fallback(async || {
            answer::own(StatusCode::METHOD_NOT_ALLOWED, "the relay's calls are all POST")
        })
        // Laid around the fallbacks as well: what does not exist costs a share and has a line in the log.
        .layer(middleware::from_fn_with_state(shared.clone(), watched))
        .with_state(shared)
}

/// Every call in the log and out of somebody's share.
async fn watched(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let began = Instant::now();
    // Neither as it was sent: a path that is not ours may have a token in it, and so may a method that nobody knows.
    let method = NAMED_METHODS.iter().find(|named| *named == request.method()).map(Method::as_str);
    let path = Call::ALL.into_iter().map(Call::path).find(|path| *path == request.uri().path());
    let client = shared.client(peer, request.headers());
    let taken = {
        let mut rate = shared.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(client, shared.started.elapsed())
    };
    let response = match taken {
        Ok(()) => next.run(request).await,
        Err(wait) => answer::too_many(wait),
    };
    let method = method.unwrap_or("(no standard method)");
    let path = path.unwrap_or("(no path of the relay)");
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    tracing::info!(method, path, status, ms, "call");
    response
}

async fn answer(shared: &Arc<Shared>, call: Call, request: Request) -> Response<Body> {
    let json =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        });
    if !json {
        return answer::own(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the Content-Type is not application/json");
    }
    let read = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_BODY_BYTES));
    let body = match read.await {
        Ok(Ok(body)) => Zeroizing::new(Vec::from(body)),
        Ok(Err(_)) => {
            return answer::own(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than any token, or broke off",
            );
        }
        Err(_) => return answer::own(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    match call.body(&body) {
        Ok(body) => {
            let detached = Arc::clone(shared);
            shared.exchanges.run(call, async move { detached.upstream.call(call, body).await }).await
        }
        Err(why) => answer::own(StatusCode::BAD_REQUEST, why),
    }
}
