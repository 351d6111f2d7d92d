//! What is remembered of sessions outside the keychain, where it may be lost: the last activity, which is too frequent for
//! a keychain, and ends, for the day the keychain could not be told.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    activity::{noted_too, notes},
    manager::Inner,
    peers::Logout,
    snapshot::EndReason,
};
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
        let notes = self.log.get(ACTIVITY_KEY);
        self.log.put(ACTIVITY_KEY, noted_too(notes.as_ref().and_then(Value::as_str), sign_in, at).into());
    }

    /// Remembers outside the keychain that a sign-in is over and why, for the day the keychain could not be told.
    pub(super) fn log_ended(&self, sign_in: &SignInId, reason: EndReason) {
        let mut ended = self.ended();
        ended.retain(|end| end.sign_in != *sign_in);
        if ended.len() >= MAX_ENDED {
            ended.remove(0);
        }
        ended.push(End { sign_in: sign_in.clone(), reason });
        self.log.put(ENDED_KEY, json!(ended));
    }

    /// All that is remembered. Never asked for with the state lock held: the log has a lock of its own, and whoever
    /// listens to its changes may ask for the session in turn.
    pub(super) fn remembered(&self) -> Remembered {
        let activity = self.log.get(ACTIVITY_KEY).and_then(|line| Some(line.as_str()?.to_owned()));
        Remembered {
            activity: activity.unwrap_or_default(),
            ended: self.ended(),
            signed_out_at: self.signed_out_at(),
            logout: self.last_logout(),
        }
    }

    /// Remembers a logout of whatever the keychain holds: it did not answer, so it is not known what that is.
    pub(super) fn log_signed_out(&self, at: Option<Timestamp>) {
        if at.is_some() || self.signed_out_at().is_some() {
            self.log.put(SIGNED_OUT_KEY, json!(at));
        }
    }

    /// A session began at `started_at`: a logout that was noted for later than that was noted by a wrong clock.
    pub(super) fn log_signed_in(&self, started_at: Timestamp) {
        if self.signed_out_at().is_some_and(|at| at >= started_at) {
            self.log.put(SIGNED_OUT_KEY, json!(started_at.shifted(-1)));
        }
    }

    fn signed_out_at(&self) -> Option<Timestamp> {
        self.log.get(SIGNED_OUT_KEY)?.as_i64().map(Timestamp)
    }

    fn ended(&self) -> Vec<End> {
        self.log.get(ENDED_KEY).and_then(|ends| serde_json::from_value(ends).ok()).unwrap_or_default()
    }
}

/// A sign-in that is over.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    sign_in: SignInId,
    reason: EndReason,
}

/// What is known of earlier runs.
pub(super) struct Remembered {
    activity: String,
    ended: Vec<End>,
    signed_out_at: Option<Timestamp>,
    /// What other processes have said of a logout: the log may have been lost.
    logout: Option<Logout>,
}

impl Remembered {
    /// When the user of `sign_in` was last active.
    pub(super) fn activity(&self, sign_in: &SignInId) -> Option<Timestamp> {
        notes(&self.activity).find(|(_, whose)| *whose == sign_in.as_str()).map(|(at, _)| at)
    }

    /// When any user was last active.
    pub(super) fn last_activity(&self) -> Option<Timestamp> {
        notes(&self.activity).map(|(at, _)| at).max()
    }

    /// Why `record` is over, if its end was decided and only the keychain could not be told.
    pub(super) fn why_over(&self, record: &SessionRecord) -> Option<EndReason> {
        let remembered = self.ended.iter().find(|end| end.sign_in == record.sign_in).map(|end| end.reason);
        let signed_out = self.signed_out_at.is_some_and(|at| record.started_at <= at)
            || self.logout.as_ref().is_some_and(|logout| logout.ends(record));
        remembered.or(signed_out.then_some(EndReason::Logout))
    }
}
