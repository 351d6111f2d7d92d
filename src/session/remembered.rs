//! What is remembered of sessions outside the keychain, where it may be lost: the last activity, which is too frequent for
//! a keychain, and ends, for the day the keychain could not be told.

use serde_json::json;

use super::manager::Inner;
use crate::{
    clock::Timestamp,
    store::record::{SessionRecord, SignInId},
};

const ACTIVITY_KEY: &str = "activity";
const ENDED_KEY: &str = "ended";
const SIGNED_OUT_KEY: &str = "signedOutAt";

/// How many ended sign-ins are remembered outside the keychain.
const MAX_ENDED: usize = 16;

impl Inner {
    pub(super) fn log_activity(&self, sign_in: &SignInId, at: Timestamp) {
        self.log.put(ACTIVITY_KEY, json!({ "signIn": sign_in, "lastActiveAt": at }));
    }

    /// Remembers outside the keychain that a sign-in is over, for the day the keychain could not be told.
    pub(super) fn log_ended(&self, sign_in: &SignInId) {
        let mut ended = self.ended();
        ended.retain(|id| id != sign_in.as_str());
        if ended.len() >= MAX_ENDED {
            ended.remove(0);
        }
        ended.push(sign_in.as_str().to_owned());
        self.log.put(ENDED_KEY, json!(ended));
    }

    /// All that is remembered. Never asked for with the state lock held: the log has a lock of its own, and whoever
    /// listens to its changes may ask for the session in turn.
    pub(super) fn remembered(&self) -> Remembered {
        let activity = self.log.get(ACTIVITY_KEY).and_then(|entry| {
            let sign_in = entry.get("signIn")?.as_str()?.to_owned();
            Some((sign_in, Timestamp(entry.get("lastActiveAt")?.as_i64()?)))
        });
        Remembered { activity, ended: self.ended(), signed_out_at: self.signed_out_at() }
    }

    /// Remembers a logout of whatever the keychain holds: it did not answer, so it is not known what that is.
    pub(super) fn log_signed_out(&self, at: Option<Timestamp>) {
        if at.is_some() || self.signed_out_at().is_some() {
            self.log.put(SIGNED_OUT_KEY, json!(at));
        }
    }

    fn signed_out_at(&self) -> Option<Timestamp> {
        self.log.get(SIGNED_OUT_KEY)?.as_i64().map(Timestamp)
    }

    fn ended(&self) -> Vec<String> {
        self.log.get(ENDED_KEY).and_then(|ids| serde_json::from_value(ids).ok()).unwrap_or_default()
    }
}

/// What the log knows of earlier runs.
pub(super) struct Remembered {
    activity: Option<(String, Timestamp)>,
    ended: Vec<String>,
    signed_out_at: Option<Timestamp>,
}

impl Remembered {
    /// When the user of `sign_in` was last active.
    pub(super) fn activity(&self, sign_in: &SignInId) -> Option<Timestamp> {
        self.activity.as_ref().filter(|(id, _)| id == sign_in.as_str()).map(|(_, at)| *at)
    }

    /// Whether the end of `record` was decided and only the keychain could not be told.
    pub(super) fn is_over(&self, record: &SessionRecord) -> bool {
        self.ended.iter().any(|id| id == record.sign_in.as_str())
            || self.signed_out_at.is_some_and(|at| record.started_at <= at)
    }
}
