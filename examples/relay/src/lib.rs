//! A relay for `tauri-plugin-otpless` in `"mode": "relay"`: it takes the app's four v1 calls, adds the client id and secret that no
//! app may hold, and passes them on to OTPless.
//!
//! What a call goes through, in this order:
//!
//! 1. **Rate** (`rate`). A token bucket per client address. Whoever guesses tokens does it slowly, and one client cannot
//!    use up what OTPless allows the whole backend.
//! 2. **Shape** (`call`). One of four paths, `POST`, a JSON object with the right field, a value that can be a token.
//!    Anything else is answered here and never reaches OTPless.
//! 3. **Upstream** (`upstream`). A new request with two headers and that one field. No header of the client's goes along, so
//!    none can smuggle anything in. It comes to its end even if the client goes away meanwhile (`exchange`).
//! 4. **Back**. The status, OTPless's JSON, `Retry-After` and `Date`. Whatever is not OTPless's JSON becomes a 502 of the
//!    relay's own, without an `errorCode`: the app keeps its session then.
//!
//! The log has a line per call: method, path, status, duration. Never a token, a body or a header, nor a word that a stranger chose.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use otpless_relay::{Relay, Settings};
//!
//! let settings = Settings::new("CLIENT_ID", "CLIENT_SECRET").upstream("http://127.0.0.1:8787");
//! let relay = Relay::start(settings).await?;
//! println!("relayUrl is {}", relay.url());
//! relay.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod call;
mod exchange;
mod rate;
mod serve;
mod settings;
mod upstream;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub use call::Call;
pub use settings::{DEFAULT_UPSTREAM, Settings, SettingsError};

use exchange::Exchanges;
use upstream::Upstream;

/// What a stopping relay waits for beyond the time that a request and OTPless's answer may take.
const GRACE: Duration = Duration::from_secs(5);

/// A running relay. Dropping it stops it; exchanges with OTPless that are under way then go on for as long as the runtime does.
pub struct Relay {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// How long calls under way are waited for when it stops.
    patience: Duration,
    task: JoinHandle<io::Result<()>>,
}

impl Relay {
    /// Binds the address of the settings and serves on the caller's tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address is taken, or the settings are impossible (`InvalidInput`, the message names the setting).
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let upstream =
            Upstream::new(&settings).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(settings.bind).await?;
        let address = listener.local_addr()?;
        let patience = serve::BODY_TIME + settings.upstream_time + GRACE;
        let exchanges = Exchanges::default();
        let shared = serve::Shared::new(upstream, exchanges.clone(), &settings);
        let router = serve::router(Arc::new(shared));
        let (stop, stopped) = oneshot::channel();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            let served = axum::serve(listener, service)
                .with_graceful_shutdown(async {
                    let _ = stopped.await;
                })
                .await;
            // Those whose clients have gone are nobody's connection.
            exchanges.ended().await;
            served
        });
        Ok(Self { address, stop: Some(stop), patience, task })
    }

    /// The address, for the app's `relayUrl`: without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, answers those under way, and returns when the port is free and no exchange with OTPless is under way any
    /// more; after the request's 10 s, the upstream time and 5 s at the latest: one that is cut off may have spent a refresh token.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(self.patience, &mut self.task).await.is_err() {
            self.task.abort();
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}
