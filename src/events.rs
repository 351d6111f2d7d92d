//! What pages are told: that something changed, never what. A listener asks again, under its own permission.

use serde::Serialize;
use tauri::{AppHandle, Emitter, Runtime};
use tokio::sync::watch;

use crate::session::snapshot::{EndReason, Session, SessionStatus};

/// Emitted to every webview whenever the session has changed.
pub const SESSION_CHANGED: &str = "otpless://session-changed";

/// The payload of [`SESSION_CHANGED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SessionChanged {
    /// The session's new revision.
    pub revision: u64,
    /// Its status.
    pub status: SessionStatus,
    /// Why it ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

impl From<&Session> for SessionChanged {
    fn from(session: &Session) -> Self {
        Self { revision: session.revision, status: session.status, reason: session.end_reason }
    }
}

/// Passes changes on until the manager is gone. A burst becomes one event with the newest state.
pub(crate) async fn forward<R: Runtime>(app: AppHandle<R>, mut sessions: watch::Receiver<Session>) {
    while sessions.changed().await.is_ok() {
        let change = SessionChanged::from(&*sessions.borrow_and_update());
        if let Err(error) = app.emit(SESSION_CHANGED, change) {
            tracing::warn!(%error, "a session change could not be announced");
        }
    }
}
