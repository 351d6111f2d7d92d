//! What a refresh brought: whether it is this session's, and how it comes to be stored before anybody sees it.

use std::sync::Arc;

use super::{adopt::Adopted, manager::Inner, state::Revoke};
use crate::{
    api::Refreshed,
    clock::Timestamp,
    error::{Error, Result},
    jwt::{Claims, Unverified, verify::LEEWAY},
    secret::Tokens,
    store::{
        StoreError,
        kept::{kept, rotation_of},
        record::{SessionRecord, Unreadable},
        step::{Commit, Expect, Stored},
    },
};

/// When a refresh was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// The `Date` of the answer.
    pub(super) date: Option<Timestamp>,
    /// What was known of the server's time before that.
    pub(super) known: Timestamp,
}

/// What a refresh brought, as far as it could be verified.
struct Came<'a> {
    session: Option<&'a Claims>,
    /// Of the new refresh token, if one came.
    refresh: Option<&'a Claims>,
    /// Of the refresh token from now on.
    refresh_expires_at: Option<Timestamp>,
}

impl Inner {
    pub(super) async fn take_refreshed(
        self: &Arc<Self>,
        generation: u64,
        old: &Arc<SessionRecord>,
        refreshed: Refreshed,
        when: When,
    ) -> Result<()> {
        let tokens = Tokens {
            session_id: old.tokens.session_id.clone(),
            session_token: refreshed.session_token,
            // Rotation is assumed, without grace: a new one makes the old one worthless (rule 4).
            refresh_token: refreshed.refresh_token.unwrap_or_else(|| old.tokens.refresh_token.clone()),
        };
        if refreshed.session_id.is_some_and(|id| id != old.tokens.session_id) {
            return Err(foreign("another session id"));
        }
        let session = self.check_refreshed(old, tokens.session_token.expose())?;
        let refresh = if tokens.refresh_token == old.tokens.refresh_token {
            None
        } else {
            Some(self.check_refreshed(old, tokens.refresh_token.expose())?)
        };
        if let (Some(session), Some(Some(refresh))) = (&session, &refresh)
            && session.expires_at() > refresh.expires_at()
        {
            return Err(foreign("a refresh token in the place of a session token"));
        }
        // Their claims are alike, so a refresh token could pass for a session token (requirement B8).
        let session_token = tokens.session_token.expose();
        let proven = old.proven.as_ref().map(|proven| &proven.refresh_token);
        if [Some(&tokens.refresh_token), Some(&old.tokens.refresh_token), proven]
            .into_iter()
            .flatten()
            .any(|refresh_token| refresh_token.expose() == session_token)
        {
            return Err(foreign("a refresh token in the place of a session token"));
        }
        if refresh.is_none()
            && session.as_ref().is_some_and(|session| self.lives_like_a_refresh_token(session, old))
        {
            return Err(foreign("a refresh token in the place of a session token"));
        }
        // Two that came together stand or fall together: one alone does not show that it is not in the other's place, nor
        // whose the other is. Until both could be verified neither is served (`check_restored`).
        let (session, refresh) = match (session, refresh) {
            (None, Some(Some(_))) | (Some(_), Some(None)) => (None, Some(None)),
            // Nor does one that came alone, beside a refresh token that was never verified.
            (Some(_), None) if old.refresh_expires_at.is_none() => (None, None),
            pair => pair,
        };
        let refresh_expires_at = match &refresh {
            None => old.refresh_expires_at,
            Some(claims) => claims.as_ref().map(Claims::expires_at),
        };
        let spent = self.still_live(generation, |live| live.spent.clone())?;
        if spent.is_some_and(|spent| spent == tokens.refresh_token) {
            return Err(foreign("the refresh token that has bought those at hand"));
        }
        let came = Came {
            session: session.as_ref(),
            refresh: refresh.as_ref().and_then(Option::as_ref),
            refresh_expires_at,
        };
        if self.are_old(old, &came, when) {
            return Err(foreign("tokens that have expired, or that were issued before those at hand"));
        }
        let last_active_at = self.still_live(generation, |live| live.last_active_at)?;
        let record = SessionRecord {
            rotation: old.rotation.saturating_add(1),
            refreshes: old.refreshes.saturating_add(1),
            tokens,
            expires_at: session.as_ref().map(Claims::expires_at),
            refresh_expires_at,
            last_active_at,
            // Nobody knows yet whose these are: the key may be the issuer's next one, or anybody's.
            proven: session.is_none().then(|| old.last_proven()),
            ..(**old).clone()
        };
        self.store_rotated(generation, record, session).await
    }

    /// Whether what a refresh brought is from some earlier time, so that the tokens before can do no worse: the answer of an
    /// earlier exchange, once more, whose refresh token is spent.
    fn are_old(&self, old: &SessionRecord, came: &Came<'_>, when: When) -> bool {
        let issued = |token: &str| self.verifier.verify(token).ok().as_ref().and_then(Claims::issued_at);
        let before = issued(old.tokens.session_token.expose());
        // When the tokens before were issued has been, whatever the clocks say.
        let been = before.unwrap_or(Timestamp(i64::MIN));
        let (wall, surely) = self.read(|state, now| (now.wall, state.surely_now(now)));
        // The date and the tokens stand in one answer: how old that is does not matter between them. The machine's clock has
        // to agree, unless it is surely wrong itself.
        let date = when.date.map_or(been, |date| if wall < been { date } else { date.min(wall) });
        let now = surely.max(been).max(date);
        let is_over = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
        // Both: a server with a grace window may give again what it has given, and a process may have been stopped with a good
        // answer in hand.
        if is_over(came.session.map(Claims::expires_at)) && is_over(came.refresh_expires_at) {
            return true;
        }
        // Of the refresh tokens, if there is a new one: `authenticate` may have renewed the session token since.
        let refreshed =
            came.refresh.and_then(Claims::issued_at).zip(issued(old.tokens.refresh_token.expose()));
        let renewed = came.session.and_then(Claims::issued_at).zip(before);
        // The server's clock may have been put right, as it has said already, or as the machine's confirms.
        let is_present =
            |at: Timestamp, now: Timestamp| u128::from(at.0.abs_diff(now.0)) <= LEEWAY.as_millis();
        refreshed.or(renewed).is_some_and(|(at, before)| {
            at + LEEWAY < before && !is_present(at, wall) && !is_present(at, when.known)
        })
    }

    /// Whether a token that came alone lives as long as the refresh token, which the session token before it did not. The
    /// moment of its end does not tell: that of a refresh token which is not rotated comes nearer.
    fn lives_like_a_refresh_token(&self, claims: &Claims, old: &SessionRecord) -> bool {
        let life = |claims: &Claims| Some(claims.expires_at().saturating_since(claims.issued_at()?));
        let of = |token: &str| self.verifier.verify(token).ok().as_ref().and_then(life);
        let session = of(old.tokens.session_token.expose());
        let refresh = of(old.tokens.refresh_token.expose());
        refresh.is_some() && session < refresh && life(claims) >= refresh
    }

    /// The claims of a token that a refresh brought; `None` if its key is not at hand. It must be stored even so, and
    /// is not served until it could be verified.
    fn check_refreshed(&self, old: &SessionRecord, token: &str) -> Result<Option<Claims>> {
        match self.verifier.verify(token) {
            Ok(claims)
                if claims.user_id() == old.user_id
                    && claims.session_id() == old.tokens.session_id.expose() =>
            {
                Ok(Some(claims))
            }
            Ok(_) => Err(foreign("a token of another user or session")),
            // Kept keys may be wrong or planted, and the token that bought these is spent: the issuer's own will tell.
            Err(Unverified::BAD_SIGNATURE) if !self.verifier.keys_are_first_hand() => Ok(None),
            Err(Unverified::Invalid(why)) => Err(foreign(&format!("a token that {why}"))),
            Err(Unverified::UnknownKey) => Ok(None),
        }
    }

    async fn store_rotated(
        self: &Arc<Self>,
        generation: u64,
        mut record: SessionRecord,
        claims: Option<Claims>,
    ) -> Result<()> {
        self.hear_logout();
        let (ever_stored, over) =
            self.still_live(generation, |live| (live.ever_stored, live.over.clone()))?;
        let (sign_in, rotation) = (record.sign_in.clone(), record.rotation);
        // Another process may have renewed the session token meanwhile: ours is counted beyond it, also if the keychain cannot show it.
        if let Some(counted) = self.vault.bulletin().read().and_then(|line| rotation_of(&line, &sign_in)) {
            record.rotation = rotation.max(counted.saturating_add(1));
        }
        let mut expect = if ever_stored {
            Expect::Rotation { sign_in, rotation: rotation.saturating_sub(1) }
        } else {
            Expect::NotAfter { started_at: record.started_at, sign_in, rotation, over }
        };
        // Before the keychain has it: it may refuse, and from now on nobody else may offer the old one. But not in the place of
        // what is said of another sign-in, which may have replaced this one: that the keychain tells.
        if self.kept_by_peers().is_none_or(|theirs| theirs == record.sign_in) {
            self.vault.bulletin().post(&kept(&record));
        }
        let outcome = loop {
            let outcome = self.vault.commit(self.guard(generation), expect, Arc::new(record.clone())).await;
            match outcome {
                Ok(Commit::Conflict(Stored::Unreadable(Unreadable::Corrupt))) => {
                    if self.found_damaged(generation) == Adopted::Settled {
                        return Err(Error::session_changed());
                    }
                    break Err(StoreError::Failed("what it holds is damaged, and not of this session"));
                }
                Ok(Commit::Conflict(Stored::Unreadable(Unreadable::FromTheFuture))) => {
                    break Err(StoreError::Failed("a newer version of this app keeps its session there"));
                }
                // A heartbeat of another process renewed the session token meanwhile. Ours came with the refresh
                // token that is good now, so ours goes on top.
                Ok(Commit::Conflict(Stored::Session(there))) if there.sign_in == record.sign_in => {
                    record.rotation = record.rotation.max(there.rotation.saturating_add(1));
                    expect = Expect::Rotation { sign_in: there.sign_in, rotation: there.rotation };
                }
                outcome => break outcome,
            }
        };
        match outcome {
            Ok(Commit::Superseded) => return Err(Error::session_changed()),
            Ok(Commit::Conflict(Stored::Nothing)) => {
                // It has ended elsewhere while we were asking; the end wins (requirement C11).
                self.end(generation, self.why_erased(&record.sign_in), Revoke::Yes);
                return Err(Error::session_changed());
            }
            Ok(Commit::Conflict(Stored::Session(other))) => {
                self.adopt_other(generation, *other);
                return Err(Error::session_changed());
            }
            _ => {}
        }
        let random = self.random();
        let updated = self.update_live(generation, |state, now| {
            state.counters.refreshes += 1;
            state.witness(claims.as_ref().and_then(Claims::issued_at), now);
            let record = Arc::new(record);
            if let Some(live) = state.live_mut() {
                live.set_tokens(record, claims);
            }
            state.note_refreshed(now, random);
            match outcome {
                Err(error) => state.note_not_stored(&error, now, random),
                Ok(Commit::Written { replaced }) => {
                    state.doubt_is_gone(&replaced);
                    state.note_stored();
                }
                Ok(Commit::Superseded | Commit::Conflict(_)) => {}
            }
        });
        self.read_outbox_later();
        updated
    }
}

fn foreign(what: &str) -> Error {
    Error::invalid_token(format!("the refresh brought {what}; it was refused and the session is as it was"))
}
