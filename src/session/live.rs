//! A session that is not over.

use std::{sync::Arc, time::Duration};

use super::{details::LastDetails, lock::RefreshLock, manager::MIN_EXCHANGE_INTERVAL, schedule};
use crate::{
    clock::{Now, Timestamp},
    jwt::Claims,
    secret::RefreshToken,
    store::{
        outbox::Revocation,
        record::{SessionRecord, SignInId},
        step::Expect,
    },
};

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) record: Arc<SessionRecord>,
    /// Of the session token in `record`; `None` until it could be verified.
    pub(crate) claims: Option<Claims>,
    /// When to renew, by the server's clock.
    pub(crate) refresh_at: Option<Timestamp>,
    /// Whether `record` stands in the keychain as it is here, but for a session token that may have been renewed.
    pub(crate) stored: bool,
    /// Whether any record of this sign-in was seen there: then its absence means somebody else ended it.
    pub(crate) ever_stored: bool,
    /// The session that this sign-in has replaced in this process.
    pub(crate) over: Option<SignInId>,
    /// The refresh token our last exchange has spent: a record that carries it is older, whatever it says.
    pub(crate) spent: Option<RefreshToken>,
    /// The issuer's own key set does not have the token's key: only another token can be verified.
    pub(crate) key_is_gone: bool,
    pub(crate) last_active_at: Timestamp,
    /// What was known of the server's time when that was noted, in milliseconds ahead of the machine's; `None` if it was
    /// noted by an earlier run, or before the machine slept or its clock was set: a sleep may hide in the latter, and after
    /// a sleep it was right. One that was set before the server's time was known is wrong by as much as before.
    pub(crate) noted_with_skew: Option<i64>,
    pub(crate) activity_logged_at: Timestamp,
    pub(crate) warned: bool,
    pub(crate) heartbeat_at: Timestamp,
    /// Monotonic time of the last successful refresh.
    pub(crate) refreshed: Option<Duration>,
    /// Monotonic time of the last successful authenticate.
    pub(crate) verified: Option<Duration>,
    /// What the server last said of the session, for those who ask again at once.
    pub(crate) details: Option<LastDetails>,
    pub(crate) jitter: u32,
    /// Another process has refreshed this session: what we hold says nothing about when it is over.
    pub(crate) peers_are_ahead: bool,
    /// What was said of that, and turned out not to be so when the keychain was read.
    pub(crate) disproved: Option<String>,
    /// Held while our tokens are the only ones that are good and the keychain has not taken them: a peer that offered
    /// the ones it finds there would spend them a second time.
    pub(crate) unsaved: Option<RefreshLock>,
}

impl Live {
    /// `now` is the server's time.
    pub(crate) fn new(
        record: Arc<SessionRecord>,
        claims: Option<Claims>,
        now: Timestamp,
        jitter: u32,
    ) -> Self {
        let last_active_at = record.last_active_at.min(now);
        let mut live = Self {
            record: record.clone(),
            claims: None,
            refresh_at: None,
            stored: false,
            ever_stored: false,
            over: None,
            spent: None,
            key_is_gone: false,
            last_active_at,
            noted_with_skew: None,
            activity_logged_at: last_active_at,
            warned: false,
            heartbeat_at: now,
            refreshed: None,
            verified: None,
            details: None,
            jitter,
            peers_are_ahead: false,
            disproved: None,
            unsaved: None,
        };
        live.set_tokens(record, claims);
        live
    }

    /// A session as it was found in the keychain.
    pub(crate) fn stored(
        record: Arc<SessionRecord>,
        claims: Option<Claims>,
        now: Timestamp,
        jitter: u32,
    ) -> Self {
        Self { stored: true, ever_stored: true, ..Self::new(record, claims, now, jitter) }
    }

    pub(crate) fn set_tokens(&mut self, record: Arc<SessionRecord>, claims: Option<Claims>) {
        self.refresh_at = claims.as_ref().map(|claims| {
            let issued = claims.issued_at().unwrap_or(record.started_at);
            schedule::refresh_at(issued, claims.expires_at(), self.jitter)
        });
        if record.tokens.refresh_token != self.record.tokens.refresh_token {
            self.spent = Some(self.record.tokens.refresh_token.clone());
        }
        self.key_is_gone = false;
        self.peers_are_ahead = false;
        self.record = record;
        self.claims = claims;
    }

    /// What must stand in the keychain for the tokens to be stored that it has not taken so far.
    pub(crate) fn expected(&self) -> Expect {
        let SessionRecord { sign_in, rotation, started_at, .. } = &*self.record;
        let (sign_in, rotation) = (sign_in.clone(), *rotation);
        if self.ever_stored {
            Expect::Older { sign_in, rotation }
        } else {
            Expect::NotAfter { started_at: *started_at, sign_in, rotation, over: self.over.clone() }
        }
    }

    /// Whether `there`, found in the keychain, has tokens that are newer than ours.
    pub(crate) fn is_superseded_by(&self, there: &SessionRecord) -> bool {
        if self.spent.as_ref() == Some(&there.tokens.refresh_token) {
            return false;
        }
        if self.stored {
            // Both stood in the keychain, where every writer counts on from the one before.
            there.rotation > self.record.rotation
        } else {
            // After the same exchange only those that were verified can be told apart.
            let comparable =
                there.refreshes != self.record.refreshes || self.record.refresh_expires_at.is_some();
            comparable && there.is_newer_than(&self.record)
        }
    }

    /// The server's time is known better. Moments that were noted by the wrong time move along, or somebody who was active
    /// a minute ago would count as idle for as long as the clock was wrong; none may be in the future.
    /// Answers whether the last activity did.
    pub(crate) fn server_time_corrected(&mut self, skew_ms: i64, server_now: Timestamp) -> bool {
        let before = self.last_active_at;
        let by = self.noted_with_skew.map_or(0, |noted| skew_ms.saturating_sub(noted));
        self.noted_with_skew = self.noted_with_skew.map(|_| skew_ms);
        for moment in [&mut self.last_active_at, &mut self.activity_logged_at, &mut self.heartbeat_at] {
            *moment = moment.shifted(by).min(server_now);
        }
        before != self.last_active_at
    }

    /// Whether its tokens are so new, here or from another process, that it is not refreshed again.
    pub(crate) fn was_refreshed_lately(&self, now: Now) -> bool {
        self.refreshed.is_some_and(|at| now.monotonic < at + MIN_EXCHANGE_INTERVAL)
    }

    pub(crate) fn revocation(&self) -> Revocation {
        self.record.revocation()
    }
}
