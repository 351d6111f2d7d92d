//! OTPless's side: one hardened client, two headers, bounded time and size, and nothing passed back but what is OTPless's.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONTENT_TYPE, DATE, RETRY_AFTER},
    },
};
use reqwest::{Url, redirect};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::{
    answer,
    call::Call,
    settings::{Settings, SettingsError},
};

/// Largest answer that is passed on: four tokens of the longest kind and their JSON.
pub(crate) const MAX_ANSWER_BYTES: usize = 72 * 1024;

/// The way to OTPless.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    http: reqwest::Client,
    base: String,
    client_id: HeaderValue,
    client_secret: HeaderValue,
    time: Duration,
}

impl Upstream {
    /// The way that `settings` name.
    ///
    /// # Errors
    ///
    /// When the settings are impossible or TLS cannot be set up.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let base = settings.checked_upstream()?;
        // Sensitive values are not printed and not kept in HTTP/2's header tables.
        let header = |value: &str| {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| SettingsError("the client id or secret cannot stand in a header".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self {
            http: client(&base).map_err(|()| SettingsError("TLS could not be set up".to_owned()))?,
            base: base.as_str().trim_end_matches('/').to_owned(),
            client_id: header(&settings.client_id)?,
            client_secret: header(&settings.client_secret)?,
            time: settings.upstream_time,
        })
    }

    /// Makes the call; whatever happens, there is an answer.
    pub(crate) async fn call(&self, call: Call, body: Zeroizing<Vec<u8>>) -> Response<Body> {
        match tokio::time::timeout(self.time, self.exchange(call, body)).await {
            Ok(Ok(response)) => response,
            Ok(Err(message)) => answer::own(StatusCode::BAD_GATEWAY, message),
            Err(_) => answer::own(StatusCode::GATEWAY_TIMEOUT, "OTPless did not answer in time"),
        }
    }

    async fn exchange(&self, call: Call, body: Zeroizing<Vec<u8>>) -> Result<Response<Body>, &'static str> {
        let mut response = self
            .http
            .post(format!("{}{}", self.base, call.path()))
            .header("clientId", self.client_id.clone())
            .header("clientSecret", self.client_secret.clone())
            .header(CONTENT_TYPE, "application/json")
            // `Bytes` from an owner, so that the buffer is wiped when the last part of the stack lets go of it.
            .body(Bytes::from_owner(body))
            .send()
            .await
            .map_err(|_| "OTPless cannot be reached from the relay")?;
        let status = response.status();
        if status.is_redirection() || status.is_informational() {
            return Err("what answered the relay is not OTPless");
        }
        let (retry_after, date) =
            (response.headers().get(RETRY_AFTER).cloned(), response.headers().get(DATE).cloned());
        // Of the most it may be at once: growing would leave the old, unwiped buffer behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
        while let Some(chunk) =
            response.chunk().await.map_err(|_| "OTPless's answer to the relay broke off")?
        {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err("what answered the relay is not OTPless: it sent far too much");
            }
            body.extend_from_slice(&chunk);
        }
        // As text: serde does not look at the bytes of what it passes over.
        let is_object = |text| serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).is_ok();
        if !str::from_utf8(&body).is_ok_and(is_object) {
            return Err("what answered the relay is not OTPless: it sent no JSON object");
        }
        let mut passed_on = answer::json_response(status, Bytes::from_owner(body));
        if let Some(retry_after) = retry_after {
            passed_on = answer::with(passed_on, RETRY_AFTER, retry_after);
        }
        // The apps keep deadlines by the clock that the tokens are dated by, which is OTPless's and not the relay's.
        if let Some(date) = date {
            passed_on = answer::with(passed_on, DATE, date);
        }
        Ok(passed_on)
    }
}

fn client(base: &Url) -> Result<reqwest::Client, ()> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config().map_err(|_| ())?)
        // A redirect would carry the client secret to a host nobody configured.
        .redirect(redirect::Policy::none())
        // A lost connection must not be tried again silently: the first try may have spent the refresh token.
        .retry(reqwest::retry::never())
        .user_agent(concat!("otpless-relay/", env!("CARGO_PKG_VERSION")));
    let builder = if base.scheme() == "https" {
        builder.https_only(true)
    } else {
        // http is for a local OTPless: no proxy's business, and no resolver's where `localhost` is. Port 0 stands for the URL's.
        let loopback = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        builder.no_proxy().resolve_to_addrs("localhost", &loopback)
    };
    builder.build().map_err(|_| ())
}

/// ring is handed over explicitly: no process-wide default is needed.
fn tls_config() -> Result<rustls::ClientConfig, rustls::Error> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}
