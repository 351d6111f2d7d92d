//! What is remembered of sessions outside the keychain, where it may be lost: the last activity, which is too frequent for
//! a keychain, and ends, for the day the keychain could not be told.

use std::sync::Arc;

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

/// Of how many the app's processes tell each other, which takes effect at once and fits into one line.
const MOST_TOLD: usize = 3;

impl Inner {
    pub(super) fn log_activity(&self, sign_in: &SignInId, at: Timestamp) {
        let notes = self.log.get(ACTIVITY_KEY);
        self.log.put(ACTIVITY_KEY, noted_too(notes.as_ref().and_then(Value::as_str), sign_in, at).into());
    }

    /// Remembers outside the keychain that a sign-in is over and why, for the day the keychain could not be told.
    pub(super) fn log_ended(&self, sign_in: &SignInId, reason: EndReason) {
        let ended = self.post_ended(sign_in, reason);
        self.log.put(ENDED_KEY, json!(ended));
    }

    /// The same where the keychain is held: the other processes are told at once, and the log later, since whoever listens to
    /// its changes may take their time. A reason that is known stands.
    pub(super) fn tell_ended(self: &Arc<Self>, sign_in: &SignInId, reason: EndReason) {
        if self.ended().iter().any(|end| end.sign_in == *sign_in) {
            return;
        }
        self.post_ended(sign_in, reason);
        let (inner, sign_in) = (self.clone(), sign_in.clone());
        self.runtime.spawn(Box::pin(async move { inner.log_ended(&sign_in, reason) }));
    }

    /// Tells the other processes, and answers all that is to be remembered.
    fn post_ended(&self, sign_in: &SignInId, reason: EndReason) -> Vec<End> {
        let mut ended = self.ended();
        remember(&mut ended, End { sign_in: sign_in.clone(), reason });
        self.over.post(&told(&ended));
        ended
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

    /// What this process remembers, and what others have told since.
    fn ended(&self) -> Vec<End> {
        let ended = self.log.get(ENDED_KEY).and_then(|ends| serde_json::from_value(ends).ok());
        let mut ended: Vec<End> = ended.unwrap_or_default();
        for told in self.over.read().iter().flat_map(|line| heard(line)) {
            if !ended.iter().any(|end| end.sign_in == told.sign_in) {
                ended.push(told);
            }
        }
        ended
    }
}

/// A sign-in that is over.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    sign_in: SignInId,
    reason: EndReason,
}

/// Puts `new` at the end of `ended`, and leaves no more than are remembered.
fn remember(ended: &mut Vec<End>, new: End) {
    ended.retain(|end| end.sign_in != new.sign_in);
    ended.push(new);
    ended.drain(..ended.len().saturating_sub(MAX_ENDED));
}

/// The latest of `ended` as one line, the last end last.
fn told(ended: &[End]) -> String {
    let latest = &ended[ended.len().saturating_sub(MOST_TOLD)..];
    let words = |end: &End| format!("{} {}", json!(end.reason).as_str()?, end.sign_in.as_str()).into();
    latest.iter().filter_map(words).collect::<Vec<String>>().join(",")
}

/// What such a line says.
fn heard(line: &str) -> impl Iterator<Item = End> {
    line.split(',').filter_map(|end| {
        let (reason, sign_in) = end.split_once(' ')?;
        let reason = serde_json::from_value(reason.into()).ok()?;
        Some(End { sign_in: SignInId::named(sign_in), reason })
    })
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

    /// Why `sign_in` has ended, if it has.
    pub(super) fn why_ended(&self, sign_in: &SignInId) -> Option<EndReason> {
        self.ended.iter().find(|end| end.sign_in == *sign_in).map(|end| end.reason)
    }

    /// Why `record` is over, if its end was decided: by this process or another.
    pub(super) fn why_over(&self, record: &SessionRecord) -> Option<EndReason> {
        let remembered = self.why_ended(&record.sign_in);
        let signed_out = self.signed_out_at.is_some_and(|at| record.started_at <= at)
            || self.logout.as_ref().is_some_and(|logout| logout.ends(record));
        remembered.or(signed_out.then_some(EndReason::Logout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_ends_are_remembered_than_there_is_room_for_whoever_has_told_of_them() {
        let end = |n: usize| End { sign_in: SignInId::named(&n.to_string()), reason: EndReason::Revoked };
        let mut ended: Vec<_> = (0..MAX_ENDED + MOST_TOLD).map(end).collect();
        remember(&mut ended, end(5));
        let names: Vec<_> = ended.iter().map(|end| end.sign_in.as_str()).collect();
        assert_eq!((names.len(), names[0], names[MAX_ENDED - 1]), (MAX_ENDED, "3", "5"));
    }

    #[test]
    fn what_is_told_of_ended_sessions_fits_into_a_line_and_is_understood() {
        let end =
            |n: u32| End { sign_in: SignInId::named(&format!("{n:032x}")), reason: EndReason::InvalidToken };
        let line = told(&(0..5).map(end).collect::<Vec<_>>());
        assert!(line.len() <= 170, "two thirds of what is read: {}", line.len());
        let understood: Vec<_> = heard(&line).map(|end| (end.sign_in, end.reason)).collect();
        let latest: Vec<_> = (2..5).map(end).map(|end| (end.sign_in, end.reason)).collect();
        assert_eq!(understood, latest);
        assert_eq!(heard("junk,,x y,revoked").count(), 0);
    }
}
