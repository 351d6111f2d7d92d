//! A plain HTTP client that shows everything, and a server per test.

use std::{future::Future, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use otpless_local::{Control, Issued, OtplessLocal, Settings, SignIn};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) const PHONE: &str = "919876543210";
pub(crate) const AUTHENTICATE: &str = "/v4/session/authenticate";
pub(crate) const REFRESH: &str = "/v4/session/refresh";
pub(crate) const JWKS: &str = "/.well-known/jwks";

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers here are ASCII"))
    }

    /// The status and the error code.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errorCode"].as_str().unwrap_or("none").to_owned())
    }
}

/// Bounds what a failing test would wait for for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it comes within 30 seconds")
}

/// Sends a request on a connection of its own and returns the answer's head and its body, not yet read.
pub(crate) async fn open(
    port: u16,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<hyper::Response<Incoming>, hyper::Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server is there");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(Bytes::from(body))).expect("the request is valid")).await
}

/// A server with one signed-in session, and the calls a client makes.
pub(crate) struct Fixture {
    pub(crate) local: OtplessLocal,
    pub(crate) control: Control,
    pub(crate) issued: Issued,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let local = OtplessLocal::start(settings).await.expect("a free port");
        let control = local.state();
        let issued = control.sign_in(SignIn {
            phone: Some(PHONE.to_owned()),
            name: Some("Asha Rao".to_owned()),
            email: Some("asha@example.com".to_owned()),
        });
        Self { local, control, issued }
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Reply, hyper::Error> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        within(async {
            let response = open(self.local.port(), method, path, headers, body).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        })
        .await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Reply {
        self.try_send(method, path, headers, body).await.expect("there is a whole answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, &[("content-type", "application/json")], &body).await
    }

    /// A v4 call with the right headers and common fields.
    pub(crate) async fn try_v4(&self, path: &str, fields: Value) -> Result<Reply, hyper::Error> {
        self.try_send(Method::POST, path, &V4_HEADERS, &v4_body(fields)).await
    }

    pub(crate) async fn v4(&self, path: &str, fields: Value) -> Reply {
        self.try_v4(path, fields).await.expect("there is a whole answer")
    }

    pub(crate) async fn authenticate(&self, issued: &Issued) -> Reply {
        let fields = json!({ "sessionToken": issued.session_id, "sessionTokenJWT": issued.session_token });
        self.v4(AUTHENTICATE, fields).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Reply {
        self.v4(REFRESH, json!({ "refreshToken": refresh_token })).await
    }

    pub(crate) async fn delete(&self, session_id: &str) -> Reply {
        self.send(Method::DELETE, &format!("/v4/session/{session_id}"), &V4_HEADERS, &Value::Null).await
    }

    /// A v1 call with the right client id and secret.
    pub(crate) async fn v1(&self, call: &str, body: Value) -> Reply {
        let headers = [
            ("clientId", "LOCALCLIENTID"),
            ("clientSecret", "local-client-secret"),
            ("content-type", "application/json"),
        ];
        self.send(Method::POST, &format!("/v1/sessions/{call}"), &headers, &body).await
    }
}

pub(crate) const V4_HEADERS: [(&str, &str); 3] =
    [("appId", "DEMOAPP00000000000001"), ("state", ""), ("content-type", "application/json")];

/// The common fields and these.
pub(crate) fn v4_body(fields: Value) -> Value {
    let mut body = json!({
        "appId": "DEMOAPP00000000000001",
        "origin": "https://otpless.com",
        "loginUri": "https://otpless.com/rc5/appid/DEMOAPP00000000000001",
    });
    for (name, value) in fields.as_object().expect("fields are an object") {
        body[name] = value.clone();
    }
    body
}
