//! Waiting for things to become true, never longer than a bound.

use std::fmt::Debug;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Between two looks: short beside anything a person would notice, long beside the cost of a look.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Looks until `look` returns `Ok`; panics with the last `Err`, what was seen instead, when `bound` has passed.
pub(crate) async fn eventually<T, E: Debug>(
    what: &str,
    bound: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + bound;
    loop {
        // A look may hang, when a webview does not answer for instance.
        let left = deadline.saturating_duration_since(Instant::now());
        let seen = match timeout(left.max(LOOK_AGAIN), look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => format!("{seen:?}"),
            Err(_) => "no answer".to_owned(),
        };
        assert!(Instant::now() < deadline, "not within {} s: {what}; seen instead: {seen}", bound.as_secs());
        sleep(LOOK_AGAIN).await;
    }
}

/// The result of `work`; panics when `bound` has passed.
pub(crate) async fn bounded<T>(what: &str, bound: Duration, work: impl Future<Output = T>) -> T {
    match timeout(bound, work).await {
        Ok(value) => value,
        Err(_) => panic!("not within {} s: {what}", bound.as_secs()),
    }
}
