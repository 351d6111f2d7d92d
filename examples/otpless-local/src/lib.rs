//! A local OTPless, for the demo and for tests: it speaks v4 and v1 as documented, signs tokens with keys of its own,
//! serves them as JWKS, lets a page sign in, and does on demand everything that goes wrong between a client and a
//! service.
//!
//! It listens on 127.0.0.1 only and is no place for anybody's real data: `/control/*` has no password, and any page
//! may call it.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use otpless_local::{Fault, Operation, OtplessLocal, Settings, SignIn};
//!
//! let otpless = OtplessLocal::start(Settings { session_token_seconds: 60, ..Settings::default() }).await?;
//! let control = otpless.state();
//! let issued = control.sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
//!
//! control.fault(Operation::Refresh, Fault::ServerError500, 2);
//! // … let the client under test refresh against `otpless.url()` …
//! control.wait_for(Operation::Refresh, 3).await;
//! assert_eq!(control.replays(), 0);
//! # let _ = issued;
//! otpless.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod call;
mod clock;
mod control;
mod dashboard;
mod faults;
mod gate;
mod in_process;
mod keys;
mod operation;
mod routes;
mod serve;
mod sessions;
mod settings;
mod sign_in;
mod v1;
mod v4;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    net::TcpListener,
    sync::{Mutex, oneshot},
    task::{JoinHandle, spawn_blocking},
};

pub use crate::{
    call::LoggedRequest,
    control::Control,
    faults::Fault,
    gate::Gate,
    in_process::InProcessAnswer,
    operation::Operation,
    sessions::{Issued, SessionState, SignIn},
    settings::{DEMO_APP_ID, ISSUER, Rotation, Settings, SettingsError},
    sign_in::SentCode,
};

/// A running local OTPless. Dropping it stops it.
pub struct OtplessLocal {
    control: Control,
    port: u16,
    /// The task that serves; none while offline.
    serving: Mutex<Option<Serving>>,
}

struct Serving {
    /// Asks the task to end; so does dropping it, which is how a dropped server stops.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl OtplessLocal {
    /// Binds 127.0.0.1 and serves on the caller's tokio runtime.
    ///
    /// # Errors
    ///
    /// When the port is taken, or the settings are impossible (`InvalidInput`, the message names the setting).
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let settings = settings
            .with(&serde_json::json!({}))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let first_key = spawn_blocking(keys::Key::generate).await.map_err(io::Error::other)?;
        let listener = bind(settings.port).await?;
        let port = listener.local_addr()?.port();
        let control = Control::new(settings, first_key);
        control.set_url(&format!("http://127.0.0.1:{port}"));
        let local = Self { control, port, serving: Mutex::new(None) };
        local.serve_on(listener).await;
        Ok(local)
    }

    async fn serve_on(&self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve::serve(listener, routes::router(&self.control), stopped));
        *self.serving.lock().await = Some(Serving { stop, task });
    }

    /// The address: `http://127.0.0.1:` and the port, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.control.url()
    }

    /// The port, also while offline.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.control.settings()
    }

    /// The handle on what the server knows and does: all the controls.
    #[must_use]
    pub fn state(&self) -> Control {
        self.control.clone()
    }

    /// Closes the port and all connections, held and hanging calls included. Sessions, keys and log stay; clients find
    /// the connection refused until [`go_online`](Self::go_online).
    pub async fn go_offline(&self) {
        if let Some(Serving { stop, task }) = self.serving.lock().await.take() {
            drop(stop);
            // The port and the connections are closed when the task is gone, not before.
            let _ = task.await;
        }
    }

    /// Serves again, on the same port. Does nothing if it is online.
    ///
    /// # Errors
    ///
    /// When another process took the port in the meantime.
    pub async fn go_online(&self) -> io::Result<()> {
        if self.serving.lock().await.is_none() {
            let listener = bind(self.port).await?;
            self.serve_on(listener).await;
        }
        Ok(())
    }

    /// Stops serving and returns when the port is free.
    pub async fn shutdown(self) {
        self.go_offline().await;
    }
}

impl fmt::Debug for OtplessLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtplessLocal").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Loopback, always: nothing here is for other machines.
async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}
