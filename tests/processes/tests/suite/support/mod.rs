//! What these tests share.

mod crash;
mod desktop;
mod memory;
mod process;
mod stage;

pub(crate) use crash::play;
pub(crate) use desktop::{Desktop, Display};
pub(crate) use process::Process;
pub(crate) use stage::{Stage, Stored};

use std::time::Duration;

/// Bound on every wait: far more than anything here takes, so that only a real hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Waits for something that nothing announces.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for {what}");
}
