//! The session in requests of the app's own Rust code: `authorize`, and the middleware for reqwest.

use std::time::Duration;

use otpless_local::Operation;
use tauri_plugin_otpless::{
    Attach, CookieValue, ErrorKind, SessionManager, SessionMiddleware, reqwest,
    reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error},
};

use crate::support::{App, Backend, Device};

fn http() -> reqwest::ClientBuilder {
    // Features add up in the workspace, so which provider a plain client would use is not decided by this package.
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("ring does them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls)
}

fn client(app: &App, origins: &[String]) -> ClientWithMiddleware {
    let session = SessionMiddleware::new(SessionManager::clone(app), origins).expect("good origins");
    ClientBuilder::new(http().build().expect("a client")).with(session).build()
}

fn get(url: &str) -> reqwest::Request {
    reqwest::Request::new(reqwest::Method::GET, url.parse().expect("a URL"))
}

#[tokio::test(flavor = "multi_thread")]
async fn authorize_attaches_the_session_as_it_is_configured() {
    for (attach, name, prefix) in [
        (Attach::Bearer, "authorization", "Bearer "),
        (Attach::Cookie { name: "s".into(), value: CookieValue::SessionToken }, "cookie", "s="),
    ] {
        let mut device = Device::new().await;
        device.attach = attach;
        let (app, issued) = device.signed_in().await;
        let request = app.authorize(get("https://api.example.com/orders?x")).await.expect("signed in");
        let value = &request.headers()[name];
        assert_eq!(value.to_str().unwrap(), format!("{prefix}{}", issued.session_token));
        assert!(value.is_sensitive());
        assert!(!format!("{request:?}").contains(&*issued.session_token), "A2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_authorize_attaches_nothing_where_no_token_may_travel_and_nothing_for_nobody() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    for url in [
        "http://api.example.com/",
        "http://127.0.0.1.example.com/",
        "https://user:pw@api.example.com/",
        "ftp://127.0.0.1/",
    ] {
        let error = app.authorize(get(url)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}");
        assert!(!error.message().contains("pw"), "{error}");
    }
    app.authorize(get("http://[::1]:8080/")).await.expect("a loopback address");
    app.logout().await;
    let error = app.authorize(get("https://api.example.com/")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSignedIn);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorize_renews_a_token_that_is_about_to_expire() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.time_passes(Duration::from_secs(24 * 3600 - 20));
    let request = app.authorize(get("https://api.example.com/")).await.expect("renewed");
    let renewed = device.control.tokens(&issued.session_id).expect("the session is good").session_token;
    assert_ne!(renewed, issued.session_token);
    assert_eq!(request.headers()["authorization"].to_str().unwrap(), format!("Bearer {renewed}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_middleware_renews_once_for_a_401_and_tries_once_more() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    backend.refuse(&issued.session_token);
    device.time_passes(Duration::from_secs(60));
    let client = client(&app, &[backend.url("/ignored/path")]);
    let response = client.post(backend.url("/guarded")).body("a body").send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let asked = backend.asked();
    assert_eq!(asked.iter().map(|asked| &*asked.body).collect::<Vec<_>>(), [b"a body", b"a body"]);
    assert_ne!(asked[0].header("authorization"), asked[1].header("authorization"));
    assert_eq!(device.control.count(Operation::Refresh), 1);
    for _ in 0..5 {
        assert_eq!(client.get(backend.url("/status/401")).send().await.expect("an answer").status(), 401);
    }
    assert_eq!((backend.asked().len(), device.control.count(Operation::Refresh)), (2 + 5, 1), "D9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_a_stream_is_sent_once() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let backend = Backend::start().await;
    backend.refuse(&issued.session_token);
    device.time_passes(Duration::from_secs(60));
    let body = reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from_static(b"a stream")));
    let request = client(&app, &[backend.url("/")]).post(backend.url("/guarded")).body(body);
    assert_eq!(request.send().await.expect("an answer").status(), 401);
    assert_eq!((backend.asked().len(), device.control.count(Operation::Refresh)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_the_middleware_gives_the_session_to_its_origins_alone() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let (ours, other) = (Backend::start().await, Backend::start().await);
    let client = client(&app, &[ours.url("")]);
    client.get(other.url("/")).send().await.expect("an answer");
    let refused = client.get(ours.redirect(302, &other.url("/status/401"))).send().await.expect("an answer");
    assert_eq!((refused.status().as_u16(), ours.asked().len()), (401, 1));
    assert!(ours.asked()[0].header("authorization").is_some());
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
    assert_eq!(device.control.count(Operation::Refresh), 0);
    app.logout().await;
    match client.get(ours.url("/")).send().await {
        Err(Error::Middleware(error)) => {
            let error = error.downcast::<tauri_plugin_otpless::Error>().expect("our own error");
            assert_eq!(error.kind(), ErrorKind::NotSignedIn);
        }
        other => panic!("{other:?}"),
    }
    client.get(other.url("/")).send().await.expect("what is not ours needs no session");
    assert_eq!(ours.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn e1_an_origin_must_be_one_that_tokens_may_travel_to() {
    let device = Device::new().await;
    let app = device.start();
    for origin in ["nonsense", "http://api.example.com", "https://user:pw@api.example.com", "data:x"] {
        let error = SessionMiddleware::new(SessionManager::clone(&app), [origin]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{origin}");
    }
}
