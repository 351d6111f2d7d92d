//! The beginning: a sign-in result becomes a session.

use std::sync::Arc;

use serde_json::Value;

use super::{
    SessionManager,
    manager::Inner,
    snapshot::{Session, Storage},
    state::{Live, Phase},
};
use crate::{
    api::sign_in::SignIn,
    error::{Error, ErrorKind, Result},
    jwt::{Claims, Unverified},
    store::{
        outbox,
        record::{SessionRecord, SignInId},
        vault::{Commit, Expect, Stored},
    },
};

impl SessionManager {
    /// Takes what the OTPless SDK handed to the app after a sign-in, in either dialect, verifies both tokens and
    /// makes it the session. A session that existed is replaced and revoked, never merged (requirement B12).
    ///
    /// # Errors
    ///
    /// `InvalidArgument` or `InvalidToken` name the field; `Network` and `Server` mean that the tokens could not be
    /// verified now. Nothing has been stored then, and a session that existed is untouched. `SessionChanged` if a
    /// logout or another sign-in came first.
    pub async fn start_session(&self, result: Value) -> Result<Session> {
        self.0.wait_for_restore().await;
        let before = self.0.read(|state, _| state.user_actions);
        let sign_in = SignIn::from_json(result)?;
        let verified = self.0.verify_sign_in(&sign_in).await?;
        // From here on the caller may go away; the session is stored all the same (requirement C2).
        let inner = self.0.clone();
        let stored =
            self.0.runtime.spawn(async move { inner.adopt_sign_in(before, sign_in, verified).await });
        stored.await.unwrap_or_else(|_| Err(Error::internal("the sign-in ended without a result")))?;
        Ok(self.current())
    }
}

/// The claims of both tokens of a sign-in.
struct Verified {
    session: Claims,
    refresh: Claims,
}

impl Inner {
    async fn verify_sign_in(&self, sign_in: &SignIn) -> Result<Verified> {
        let field = sign_in.session_token_field;
        let mut fetched = false;
        let verified = loop {
            let session = self.verifier.verify(sign_in.tokens.session_token.expose());
            let refresh = self.verifier.verify(sign_in.tokens.refresh_token.expose());
            match (session, refresh) {
                (Err(Unverified::Invalid(why)), _) => return Err(unverifiable(field, why)),
                (_, Err(Unverified::Invalid(why))) => return Err(unverifiable("refreshToken", why)),
                (Ok(session), Ok(refresh)) => {
                    let server_now = self.read(|state, now| state.server_now(now));
                    let in_time =
                        session.is_acceptable_at(server_now) && refresh.is_acceptable_at(server_now);
                    // Before a token is called expired the server is asked what time it is.
                    if in_time || fetched || self.read(|state, _| state.skew_known) {
                        break Verified { session, refresh };
                    }
                }
                _ if fetched => {
                    return Err(unverifiable(field, "is signed with a key that is not in OTPless's key set"));
                }
                _ => {}
            }
            let keys = self.verifier.fetch_keys().await?;
            if !keys.fetched {
                return Err(Error::new(
                    ErrorKind::Server,
                    "the sign-in cannot be verified now: its key is not known, and the key set was fetched only a \
                     moment ago. Nothing was stored; try again in half a minute",
                ));
            }
            fetched = true;
            self.update(|state, now| state.learn_server_time(keys.server_date, now));
        };
        self.check_together(sign_in, &verified, field)?;
        Ok(verified)
    }

    /// What one token alone cannot show.
    fn check_together(&self, sign_in: &SignIn, verified: &Verified, field: &str) -> Result<()> {
        let Verified { session, refresh } = verified;
        let server_now = self.read(|state, now| state.server_now(now));
        if !session.is_acceptable_at(server_now) {
            return Err(unverifiable(field, "has expired"));
        }
        if !refresh.is_acceptable_at(server_now) {
            return Err(unverifiable("refreshToken", "has expired"));
        }
        if !session.same_session(refresh) {
            return Err(unverifiable("refreshToken", "belongs to another session"));
        }
        if session.session_id() != sign_in.tokens.session_id.expose() {
            return Err(unverifiable(field, "belongs to another session id"));
        }
        // Their claims are alike; only the longer life tells a refresh token from a session token (requirement B8).
        if session.expires_at() > refresh.expires_at()
            || sign_in.tokens.session_token.expose() == sign_in.tokens.refresh_token.expose()
        {
            return Err(unverifiable(field, "is a refresh token: the two stand in each other's place"));
        }
        Ok(())
    }

    async fn adopt_sign_in(self: Arc<Self>, before: u64, sign_in: SignIn, verified: Verified) -> Result<()> {
        let record = Arc::new(self.new_record(sign_in, &verified));
        // Claim the next generation first: a refresh of the old session that is under way is dropped from here on.
        let generation = self.update_quietly(|state, _| {
            (state.user_actions == before).then(|| {
                state.user_actions += 1;
                self.next_generation(state)
            })
        });
        let Some(generation) = generation else {
            self.revoke_dropped(&record).await;
            return Err(Error::session_changed());
        };
        let stored = self.vault.commit(self.guard(generation), Expect::Anything, record.clone()).await;
        let (storage, error) = match &stored {
            Ok(Commit::Written { .. }) => (Storage::Keychain, None),
            // Superseded is caught below, by the generation.
            Ok(Commit::Superseded | Commit::Conflict(_)) => (Storage::Keychain, None),
            Err(error) => (Storage::Ephemeral, Some(error.to_string())),
        };
        if let Some(error) = &error {
            tracing::warn!(%error, "the new session is kept in memory only");
        }
        let jitter = self.random();
        let adopted = self.update(|state, now| {
            if self.generation() != generation {
                return false;
            }
            if let Phase::SignedIn(old) = &state.phase {
                outbox::add(&mut state.waiting, old.revocation());
            }
            if let Ok(Commit::Written { replaced: Stored::Session(old) }) = &stored
                && old.tokens.session_id != record.tokens.session_id
            {
                outbox::add(&mut state.waiting, old.revocation());
            }
            state.waiting.retain(|waiting| waiting.session_id != record.tokens.session_id);
            let mut live = Live::new(record.clone(), Some(verified.session.clone()), now, jitter);
            live.stored = storage == Storage::Keychain;
            live.ever_stored = live.stored;
            state.sign_in(live, storage, error);
            if !matches!(storage, Storage::Keychain) {
                state.retries.persist.failed(super::schedule::Pace::Quick, now, None, jitter);
            }
            true
        });
        if !adopted {
            // A logout came between the write and here; its erase may have come before our write.
            self.revoke_dropped(&record).await;
            return Err(Error::session_changed());
        }
        self.log_activity(&record.sign_in, record.last_active_at);
        self.note_waiting_revocations().await;
        self.wake.notify_one();
        tracing::info!(?storage, "signed in");
        Ok(())
    }

    fn new_record(&self, sign_in: SignIn, verified: &Verified) -> SessionRecord {
        let now = self.now().wall;
        SessionRecord {
            sign_in: SignInId::random(),
            rotation: 0,
            user_id: verified.session.user_id().to_owned(),
            started_at: now,
            expires_at: Some(verified.session.expires_at()),
            refresh_expires_at: Some(verified.refresh.expires_at()),
            last_active_at: now,
            state: sign_in.state,
            tokens: sign_in.tokens,
        }
    }

    /// A sign-in that lost a race has made a session on the server that nobody will use.
    async fn revoke_dropped(&self, record: &SessionRecord) {
        let revocation = record.revocation();
        self.log_ended(&record.sign_in);
        self.update_quietly(|state, _| outbox::add(&mut state.waiting, revocation.clone()));
        if self.vault.end(Some(record.sign_in.clone()), Some(revocation), None).await.is_err() {
            tracing::warn!("the keychain could not be told of a dropped sign-in");
        }
        self.wake.notify_one();
    }
}

fn unverifiable(field: &str, why: &str) -> Error {
    Error::invalid_token(format!("{field} {why}. Nothing was stored; a session that existed is unchanged"))
}
