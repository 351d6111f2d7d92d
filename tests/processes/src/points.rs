//! Points at which a process stands still, so that it can be killed or stopped exactly there.
//!
//! Of a refresh, in order: `re-read`, `before-send`, `received`, `before-write`, `written`, `read-back`. Of a logout:
//! `before-note`, `noted`, `before-erase`, `erased`, `before-revoke`, `revoked`, `before-settle`, `settled`. What lies
//! between sending and receiving is up to the server's gates.

use std::sync::{Condvar, Mutex, PoisonError};

use serde_json::json;

/// At most one point is chosen at a time.
#[derive(Debug, Default)]
pub(crate) struct Points {
    chosen: Mutex<Option<String>>,
    changed: Condvar,
}

impl Points {
    /// Whoever stands at another point goes on.
    pub(crate) fn choose(&self, point: Option<String>) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = point;
        self.changed.notify_all();
    }

    /// Announces `point` and stands still if it is the chosen one. Blocks the thread.
    pub(crate) fn reach(&self, point: &str) {
        let chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if chosen.as_deref() == Some(point) {
            crate::say(&json!({ "at": point }));
            let stand_still = |chosen: &mut Option<String>| chosen.as_deref() == Some(point);
            drop(self.changed.wait_while(chosen, stand_still).unwrap_or_else(PoisonError::into_inner));
        }
    }
}
