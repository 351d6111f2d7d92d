//! Taking over what another process of the app has put into the keychain: newer tokens of this session, or another one.

use std::{sync::Arc, time::Duration};

use super::{
    live::Live,
    manager::Inner,
    snapshot::{EndReason, Storage},
    state::{Phase, Revoke},
};
use crate::{
    error::{Error, ErrorKind},
    jwt::Claims,
    store::{
        StoreError,
        kept::sign_in_of,
        record::{SessionRecord, SignInId, Unreadable},
        step::Stored,
        worker::Urgency,
    },
};

/// The pauses before a keychain is read again that holds another process's tokens. With the 5 s that each of three reads may
/// take this is a third of the 45 s that others wait for the lock.
const READ_AGAIN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// What another look at the keychain brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Adopted {
    /// Nothing newer: our tokens are the ones to use.
    Nothing,
    /// Another process has newer tokens, and the keychain does not answer.
    Hidden(StoreError),
    /// A newer version of the app keeps its session there; an exchange could spend the token it has.
    NotOurs,
    /// The matter is settled without an exchange: newer tokens were adopted, or the session is over.
    Settled,
}

impl Inner {
    /// Reads the keychain again and takes over what another process has put there.
    pub(super) async fn adopt_from_store(self: &Arc<Self>, generation: u64) -> Adopted {
        let Ok((sign_in, started_at, ever_stored, over)) = self.still_live(generation, |live| {
            (live.record.sign_in.clone(), live.record.started_at, live.ever_stored, live.over.clone())
        }) else {
            return Adopted::Settled;
        };
        match self.read_patiently(generation).await {
            Ok(Stored::Session(there)) if there.sign_in == sign_in => {
                if self.still_live(generation, |live| live.is_superseded_by(&there)) != Ok(true) {
                    return Adopted::Nothing;
                }
                self.adopt_rotated(generation, *there)
            }
            // What ours has replaced, and has not been stored over yet.
            Ok(Stored::Session(other)) if !ever_stored && over.as_ref() == Some(&other.sign_in) => {
                Adopted::Nothing
            }
            Ok(Stored::Session(other)) if ever_stored || other.started_at > started_at => {
                self.adopt_other(generation, *other);
                Adopted::Settled
            }
            Ok(Stored::Nothing) if ever_stored => {
                self.end(generation, self.why_erased(&sign_in), Revoke::No);
                Adopted::Settled
            }
            Ok(Stored::Unreadable(Unreadable::FromTheFuture)) if ever_stored => Adopted::NotOurs,
            Ok(Stored::Unreadable(Unreadable::Corrupt)) => self.found_damaged(generation),
            Err(why) if self.peers_are_ahead(generation) => Adopted::Hidden(why),
            _ => Adopted::Nothing,
        }
    }

    /// Why there is no entry of `sign_in` any more: whoever has erased it has said so. Erased by hand it is a logout.
    pub(super) fn why_erased(&self, sign_in: &SignInId) -> EndReason {
        self.remembered().why_ended(sign_in).unwrap_or(EndReason::Logout)
    }

    /// Reads the keychain, more than once if it does not answer while another process has the tokens that are good: there
    /// is nothing else to go on with, and whoever waits for the refresh lock needs the same answer.
    async fn read_patiently(self: &Arc<Self>, generation: u64) -> std::result::Result<Stored, StoreError> {
        let mut stored = self.vault.read(Urgency::CanWait).await;
        for pause in READ_AGAIN {
            // Whoever has dismissed a prompt is not shown another.
            let worth_it = stored.as_ref().is_err_and(|error| *error != StoreError::Locked);
            if !worth_it || !self.peers_are_ahead(generation) {
                break;
            }
            tokio::time::sleep(pause).await;
            stored = self.vault.read(Urgency::MustHappen).await;
        }
        stored
    }

    /// Another process refreshed this session.
    fn adopt_rotated(&self, generation: u64, record: SessionRecord) -> Adopted {
        let Ok(claims) = self.check_restored(&record) else {
            tracing::warn!("what another process stored does not verify; it is not adopted");
            return Adopted::Nothing;
        };
        let mut record = self.completed(record, claims.as_ref());
        let due = self.update_live(generation, |state, now| {
            state.witness(claims.as_ref().and_then(Claims::issued_at), now);
            let server_now = state.server_now(now);
            let live = state.live_mut()?;
            live.last_active_at = live.last_active_at.max(record.last_active_at.min(server_now));
            let refreshed = record.refreshes > live.record.refreshes;
            // Where the keychain had no room for the tokens before them, they are those that we have.
            let is_unproven = claims.is_none() && record.expires_at.is_none() && record.proven.is_none();
            if is_unproven && record.refreshes == live.record.refreshes + 1 {
                record.proven = Some(live.record.last_proven());
            }
            live.set_tokens(Arc::new(record), claims);
            // One that cannot be verified yet is not due either: its key is, and that is looked for elsewhere.
            let due = live.refresh_at.is_some_and(|at| server_now >= at);
            if !due {
                live.refreshed = Some(now.monotonic);
                // A session token that was renewed by itself says nothing of the exchange that failed (requirement C6).
                if refreshed {
                    state.retries.refresh.succeeded();
                }
            }
            state.note_stored();
            state.said.later(|| tracing::debug!("adopted the tokens another process has refreshed"));
            Some(due)
        });
        // Theirs may be due as well: then the exchange goes on with it.
        if due == Ok(Some(true)) { Adopted::Nothing } else { Adopted::Settled }
    }

    /// Another process signed in anew, and revoked our session if it knew of it.
    pub(super) fn adopt_other(&self, generation: u64, record: SessionRecord) {
        // Whoever has written over an entry that could not be read could not note whose end is owed.
        let unread = self.damaged.read().and_then(|line| sign_in_of(&line));
        self.update_quietly(|state, _| {
            let unknown = state.live().filter(|live| {
                let replaced = live.record.tokens.session_id != record.tokens.session_id;
                let was_read = live.stored && unread.as_ref() != Some(&live.record.sign_in);
                !live.ever_stored || replaced && !was_read
            });
            if self.generation() == generation
                && let Some(unknown) = unknown.map(Live::revocation)
            {
                state.owe(unknown);
            }
        });
        if self.remembered().why_over(&record).is_some() {
            // Somebody signed in, and out again, and the keychain could not be told of the latter.
            self.end(generation, EndReason::Replaced, Revoke::No);
            return;
        }
        let Ok(claims) = self.check_restored(&record) else {
            self.end(generation, EndReason::Replaced, Revoke::No);
            return;
        };
        let random = self.random();
        let record = Arc::new(self.completed(record, claims.as_ref()));
        self.update(|state, now| {
            if self.generation() != generation {
                return;
            }
            self.next_generation(state);
            state.witness(claims.as_ref().and_then(Claims::issued_at), now);
            state.is_there_again(&record.tokens.session_id);
            let live = Live::stored(record, claims, state.server_now(now), random);
            state.phase = Phase::SignedOut(None);
            state.sign_in(live, Storage::Keychain, None);
        });
    }
}

/// What a caller is told who needs tokens that only the keychain has.
pub(super) fn hidden(why: &StoreError) -> Error {
    Error::new(
        ErrorKind::StorageUnavailable,
        format!(
            "another process of this app has refreshed the session, and its tokens cannot be had now: {why}. Ours are \
             spent; the session is kept and will be tried again"
        ),
    )
}
