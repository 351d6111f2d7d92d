//! Exchanges with OTPless run to their end, detached from whoever asked for them.
//!
//! An app may go away while OTPless works on its call, and OTPless does not stop at that: it may have spent a refresh token or
//! ended a session already. A call that is broken off there leaves nobody who knows what came of it.

use std::time::Instant;

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use tokio::sync::{oneshot, watch};

use crate::{answer, call::Call};

/// The exchanges under way: each holds a receiver until it has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanges(watch::Sender<()>);

impl Exchanges {
    /// Starts `exchange` and waits for its answer. Dropping the future gives up the answer and not the exchange, which must be bounded
    /// in time by itself.
    pub(crate) async fn run(
        &self,
        call: Call,
        exchange: impl Future<Output = Response<Body>> + Send + 'static,
    ) -> Response<Body> {
        let (tell, told) = oneshot::channel();
        let under_way = self.0.subscribe();
        tokio::spawn(async move {
            let began = Instant::now();
            let response = exchange.await;
            let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
            if tell.send(response).is_err() {
                // The client's own line is written when it gets its answer, and so is missing.
                tracing::info!(path = call.path(), status, ms, "answered, and the client had gone");
            }
            drop(under_way);
        });
        told.await.unwrap_or_else(|_| {
            answer::own(StatusCode::INTERNAL_SERVER_ERROR, "the relay lost this call by a defect of its own")
        })
    }

    /// Returns when none is under way.
    pub(crate) async fn ended(&self) {
        self.0.closed().await;
    }
}
