//! Which path is which call, and who may ask from a web page.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header},
    middleware::{self, Next},
    response::Html,
    routing::{MethodRouter, delete, get, post},
};

use crate::{control::Control, dashboard, operation::Operation, serve};

/// A call: everything about it happens in [`serve::answer`].
fn call(route: fn(CallHandler) -> MethodRouter, control: &Control, operation: Operation) -> MethodRouter {
    route(CallHandler { control: control.clone(), operation })
}

#[derive(Clone)]
struct CallHandler {
    control: Control,
    operation: Operation,
}

impl axum::handler::Handler<((),), ()> for CallHandler {
    type Future = std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

    fn call(self, request: Request, (): ()) -> Self::Future {
        Box::pin(serve::answer(self.control, self.operation, request))
    }
}

pub(crate) fn router(control: &Control) -> Router {
    use Operation as Op;

    let delete_path = "/v4/session/{id}";
    let api = Router::new()
        .route("/v4/session/authenticate", call(post, control, Op::Authenticate))
        .route("/v4/session/refresh", call(post, control, Op::Refresh))
        .route(delete_path, call(delete, control, Op::Delete))
        .route("/v1/sessions/validate-session", call(post, control, Op::ValidateSession))
        .route("/v1/sessions/get-new-session-token", call(post, control, Op::GetNewSessionToken))
        .route("/v1/sessions/get-session-details", call(post, control, Op::GetSessionDetails))
        .route("/v1/sessions/revoke-session", call(post, control, Op::RevokeSession))
        .route("/.well-known/jwks", call(get, control, Op::Jwks))
        .route("/.well-known/openid-configuration", call(get, control, Op::OpenidConfiguration))
        .fallback(CallHandler { control: control.clone(), operation: Op::Unknown });
    let for_pages = Router::new()
        .route("/v4/headless.js", call(get, control, Op::Script))
        .route("/local/initiate", call(post, control, Op::Initiate))
        .route("/local/verify", call(post, control, Op::Verify))
        .merge(dashboard::router(control.clone()))
        .layer(middleware::from_fn(from_any_origin));
    let console = Router::new().route("/", get(async || Html(include_str!("console.html"))));
    api.merge(for_pages).merge(console)
}

/// Lets pages of any origin call: the demo's page comes from the app, not from here.
async fn from_any_origin(request: Request, next: Next) -> Response<Body> {
    let mut response = if request.method() == Method::OPTIONS {
        let mut preflight = Response::new(Body::empty());
        *preflight.status_mut() = StatusCode::NO_CONTENT;
        preflight
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        // Chromium asks before a page may call a loopback address.
        (HeaderName::from_static("access-control-allow-private-network"), "true"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
