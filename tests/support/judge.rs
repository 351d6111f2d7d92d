//! The verifier alone, with a genuine token to start from: each test changes what it is about and asks for the verdict.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tauri_plugin_otpless::engine::{Claims, JwksVerifier, KeySource, TokenVerifier, Unverified};
use tokio::runtime::Handle;

use super::Device;

pub(crate) struct Judge {
    pub(crate) device: Device,
    pub(crate) verifier: JwksVerifier,
    /// What a session token says that the server would make now.
    pub(crate) claims: Value,
}

impl Judge {
    /// A verifier that has the server's keys.
    pub(crate) async fn new() -> Self {
        let device = Device::new().await;
        let source = device.key_set();
        let judge = Self::with(device, source);
        judge.verifier.fetch_keys().await.expect("the keys are fetched");
        judge
    }

    /// A verifier that has no keys yet.
    pub(crate) fn with(device: Device, source: KeySource) -> Self {
        let issued = device.issue();
        let claims = device.control.claims(&issued.session_id).expect("the session is there");
        let verifier = device.verifier(source, device.log.clone(), Arc::new(Handle::current()));
        Self { device, verifier, claims }
    }

    /// The verifier of the app's next start, with what the last one left in the activity log.
    pub(crate) fn restarted(&self, source: KeySource) -> JwksVerifier {
        self.device.verifier(source, self.device.log.clone(), Arc::new(Handle::current()))
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.device.control.kids().last()})
    }

    /// A genuine token.
    pub(crate) fn token(&self) -> String {
        self.device.control.mint(self.claims.clone(), self.header())
    }

    pub(crate) fn verdict(&self, token: &str) -> Result<Claims, Unverified> {
        self.verifier.verify(token)
    }

    /// Whether a genuine token passes whose claims are changed so.
    pub(crate) fn accepts(&self, change: impl FnOnce(&mut Value)) -> bool {
        let mut claims = self.claims.clone();
        change(&mut claims);
        self.verdict(&self.device.control.mint(claims, self.header())).is_ok()
    }

    /// Whether a genuine token passes whose header is changed so.
    pub(crate) fn accepts_header(&self, change: impl FnOnce(&mut Value)) -> bool {
        let mut header = self.header();
        change(&mut header);
        self.verdict(&self.device.control.mint(self.claims.clone(), header)).is_ok()
    }

    /// The verdict on these very texts under a good signature, whatever they are.
    pub(crate) fn verdict_on(&self, header: &str, payload: &str) -> Result<Claims, Unverified> {
        let [header, payload] = [header, payload].map(|text| URL_SAFE_NO_PAD.encode(text));
        self.verdict(&self.device.control.mint_raw(&header, &payload))
    }
}
