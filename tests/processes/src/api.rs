//! The server, with points before a call and after its answer.

use std::sync::Arc;

use tauri_plugin_otpless::engine::{
    Answer, BoxFuture, Credentials, RefreshToken, Refreshed, SessionApi, SessionId, SessionToken,
};

use crate::points::Points;

#[derive(Debug)]
pub(crate) struct WatchedApi {
    inner: Box<dyn SessionApi>,
    points: Arc<Points>,
}

impl WatchedApi {
    pub(crate) fn new(inner: Box<dyn SessionApi>, points: Arc<Points>) -> Self {
        Self { inner, points }
    }

    /// On a thread of its own: whoever stands still must not hold up the rest of the process.
    async fn reach(&self, point: &'static str) {
        let points = self.points.clone();
        tokio::task::spawn_blocking(move || points.reach(point))
            .await
            .expect("reaching a point does not panic");
    }
}

impl SessionApi for WatchedApi {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Answer<Option<SessionToken>>> {
        self.inner.authenticate(credentials)
    }

    fn refresh<'a>(
        &'a self,
        refresh_token: &'a RefreshToken,
        state: Option<&'a str>,
    ) -> BoxFuture<'a, Answer<Refreshed>> {
        Box::pin(async move {
            self.reach("before-send").await;
            let answer = self.inner.refresh(refresh_token, state).await;
            self.reach("received").await;
            answer
        })
    }

    fn revoke<'a>(&'a self, session_id: &'a SessionId) -> BoxFuture<'a, Answer<()>> {
        Box::pin(async move {
            self.reach("before-revoke").await;
            let answer = self.inner.revoke(session_id).await;
            self.reach("revoked").await;
            answer
        })
    }
}
