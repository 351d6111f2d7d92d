//! Devices whose app talks to a relay.

use std::net::SocketAddr;

use otpless_local::Settings;
use otpless_relay::Relay;

use super::Device;

/// What the app sends to the relay as `x-api-key`; recognisable, because it must not be logged.
pub(crate) const GATEWAY_KEY: &str = "canary-of-a-gateway-key";

impl Device {
    /// A device whose app is in relay mode, and the relay.
    pub(crate) async fn behind_relay(settings: Settings) -> Self {
        let mut device = Self::with(settings).await;
        device.relay_comes_back("local-client-secret").await;
        device
    }

    /// No connection to the relay any more: its port is closed.
    pub(crate) async fn relay_goes_away(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.shutdown().await;
        }
    }

    /// The relay is there again, at the same address, with this client secret.
    pub(crate) async fn relay_comes_back(&mut self, client_secret: &str) {
        let secret = client_secret.to_owned();
        self.start_relay(otpless_relay::Settings::new("LOCALCLIENTID", secret).rate(1000, 1000)).await;
    }

    /// The relay is there again, at the same address, with some of its settings changed.
    pub(crate) async fn relay_comes_back_with(
        &mut self,
        change: impl FnOnce(otpless_relay::Settings) -> otpless_relay::Settings,
    ) {
        self.start_relay(change(otpless_relay::Settings::new("LOCALCLIENTID", "local-client-secret"))).await;
    }

    async fn start_relay(&mut self, settings: otpless_relay::Settings) {
        let address: Option<SocketAddr> =
            self.relay_url.as_ref().map(|url| url.trim_start_matches("http://").parse().expect("an address"));
        let mut settings = settings.upstream(self.otpless.url());
        if let Some(address) = address {
            settings = settings.bind(address);
        }
        let relay = Relay::start(settings).await.expect("the relay starts");
        self.relay_url = Some(relay.url());
        self.relay = Some(relay);
    }
}
