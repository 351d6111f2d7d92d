//! Asking the server whether the session is still good: on request, and as a heartbeat after real activity.

use std::{sync::Arc, time::Duration};

use super::{
    SessionManager,
    adopt::{Adopted, hidden},
    budget::Purpose,
    manager::{Inner, MIN_EXCHANGE_INTERVAL},
    revocation::lost,
    schedule::Job,
    snapshot::{EndReason, Exchange, Session, SessionStatus},
    state::Revoke,
    under_way::Running,
};
use crate::{
    api::{ApiError, Credentials, Verdict},
    clock::{ServerDate, Timestamp},
    error::{Error, ErrorKind, Result},
    jwt::{Claims, Unverified, verify::LEEWAY},
    secret::SessionToken,
    store::{
        record::SessionRecord,
        step::{Commit, Expect},
    },
};

/// A session token is handed out with at least this much life in it, unless the caller says otherwise.
pub const DEFAULT_MIN_VALIDITY: Duration = Duration::from_secs(30);

/// A session token on its way out of the core.
#[derive(Clone, Debug)]
pub struct ValidToken {
    /// The session JWT.
    pub token: SessionToken,
    /// When it expires, by this machine's clock.
    pub expires_at: Timestamp,
}

impl SessionManager {
    /// Asks the server now whether the session is still good (`authenticate`), and answers the session as it is then:
    /// a revoked one is signed out. Answers from the last time within [`MIN_EXCHANGE_INTERVAL`].
    ///
    /// # Errors
    ///
    /// `NotSignedIn`, or why the server could not be asked; the session is kept then.
    pub async fn verify(&self) -> Result<Session> {
        self.0.wait_for_restore().await;
        let (_, (recent, waiting)) = self.0.with_live(|live, state, now| {
            let recent = live.verified.is_some_and(|at| now.monotonic < at + MIN_EXCHANGE_INTERVAL);
            let waiting = state.retries.heartbeat.holds_callers(now).then(|| state.last_verify_failed(now));
            (recent, waiting.flatten())
        })?;
        if !recent {
            let asked = match waiting {
                // A token that is over proves nothing to the server; one that it renews is proof enough.
                _ if self.0.read(|state, now| state.status(now)) != SessionStatus::Active => {
                    self.0.refresh_on_request().await
                }
                Some(error) => return Err(error),
                None => self.0.authenticate_shared().await,
            };
            match asked {
                Err(error) if !matches!(error.kind(), ErrorKind::Rejected | ErrorKind::SessionChanged) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(self.current())
    }

    /// A session token that is valid for at least `min_validity`, renewed first if need be.
    ///
    /// # Errors
    ///
    /// `NotSignedIn`; `InvalidArgument` if OTPless's tokens do not live that long; or why there is none now.
    pub async fn session_token(&self, min_validity: Duration) -> Result<ValidToken> {
        self.0.wait_for_restore().await;
        if let Some(token) = self.0.valid_token(min_validity)? {
            return Ok(token);
        }
        self.refresh().await?;
        match self.0.valid_token(min_validity)? {
            Some(token) => Ok(token),
            None => match self.0.valid_token(Duration::ZERO)? {
                Some(_) => Err(Error::invalid_argument(format!(
                    "minValidity of {} s is more than a fresh session token has left",
                    min_validity.as_secs()
                ))),
                None => Err(Error::new(
                    ErrorKind::Server,
                    "there is no verified session token now; the session is kept and will be tried again",
                )),
            },
        }
    }
}

impl Inner {
    fn valid_token(&self, min_validity: Duration) -> Result<Option<ValidToken>> {
        let (_, token) = self.with_live(|live, state, now| {
            let claims = live.claims.as_ref()?;
            let server_now = state.server_now(now);
            // Checked at both ends, so that an immense `min_validity` cannot wrap around (requirement C12).
            let valid = claims.is_valid_at(server_now) && claims.is_valid_at(server_now + min_validity);
            valid.then(|| ValidToken {
                token: live.record.tokens.session_token.clone(),
                expires_at: now.wall + claims.expires_at().saturating_since(server_now),
            })
        })?;
        Ok(token)
    }

    /// Joins the question under way or asks.
    pub(super) async fn authenticate_shared(self: &Arc<Self>) -> Result<()> {
        let inner = self.clone();
        let flight = self.verifying.run(&*self.runtime, || inner.authenticate_once());
        flight.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn authenticate_once(self: Arc<Self>) -> Result<()> {
        let _running = Running::start(&self, Job::Heartbeat);
        self.network_settled().await;
        let (generation, (record, is_verified)) =
            self.with_live(|live, _, _| (live.record.clone(), live.claims.is_some()))?;
        if !is_verified {
            // Tokens that came while the network was waited for: one that cannot be verified proves nothing to the server.
            return Ok(());
        }
        let (outcome, wait) = self.ask(generation, &record).await;
        let random = self.random();
        self.update(|state, now| {
            // Unless somebody else has signed in since, whom it does not concern.
            if self.generation() == generation || state.live().is_none() {
                state.last_verify = Some(Exchange {
                    at: now.wall,
                    ok: outcome.is_ok(),
                    error: outcome.as_ref().err().cloned(),
                });
            }
            if self.generation() != generation {
                state.retries.heartbeat.asked_to_wait(wait, now);
                return;
            }
            match &outcome {
                Ok(()) => {
                    let server_now = state.server_now(now);
                    state.retries.heartbeat.succeeded();
                    if let Some(live) = state.live_mut() {
                        live.heartbeat_at = server_now;
                        live.verified = Some(now.monotonic);
                    }
                }
                Err(error) => state.retries.heartbeat.failed_with(error, wait, now, random),
            }
        });
        outcome
    }

    /// What came of the question, and the wait that the answer asked for. What a refresh that followed was told is the
    /// refresh's.
    async fn ask(
        self: &Arc<Self>,
        generation: u64,
        record: &Arc<SessionRecord>,
    ) -> (Result<()>, Option<Duration>) {
        // Whoever shared the last question, and was told to wait, may be the next to ask.
        let held = self.read(|state, now| {
            state.retries.heartbeat.wait_left(now).and_then(|_| state.last_verify_failed(now))
        });
        if let Some(error) = held {
            return (Err(error), None);
        }
        if let Err(error) = self.may_call(Purpose::Question) {
            let wait = error.retry_after();
            return (Err(error), wait);
        }
        let asked = self.now();
        let answer = self
            .api
            .authenticate(Credentials {
                session_id: &record.tokens.session_id,
                session_token: &record.tokens.session_token,
                state: record.state.as_deref(),
            })
            .await;
        self.update_quietly(|state, now| {
            state.counters.heartbeats += 1;
            state.learn_server_time(ServerDate::heard(answer.server_date, asked), now);
        });
        let wait = answer.outcome.as_ref().err().and_then(ApiError::retry_after);
        let outcome = match answer.outcome {
            Ok(renewed) => {
                if let Some(token) = renewed.filter(|token| *token != record.tokens.session_token) {
                    self.take_renewed(generation, record, token).await;
                }
                Ok(())
            }
            // The token may have been replaced, or have expired, while it was on its way: then the verdict is about that
            // token and not about the session, which the next refresh will hear about.
            Err(error) if error.verdict == Verdict::Over && self.is_outdated(generation, record) => Ok(()),
            // Whether the token has expired is not known as long as the time is not; the refresh token can tell.
            Err(error) if error.verdict == Verdict::Over && !self.read(|state, _| state.skew_known) => {
                self.refresh_on_request().await
            }
            Err(error) if error.verdict == Verdict::Over => {
                self.heed_verdict(generation, record, error.error).await
            }
            Err(error) => Err(error.error),
        };
        (outcome, wait)
    }

    /// The server says that the session is over: it ends, unless our tokens are only old and another process holds
    /// newer ones (requirement C4).
    pub(super) async fn heed_verdict(
        self: &Arc<Self>,
        generation: u64,
        asked: &SessionRecord,
        verdict: Error,
    ) -> Result<()> {
        match self.adopt_from_store(generation).await {
            Adopted::Settled => Ok(()),
            // The verdict is about a token that another process has replaced: nothing was verified.
            Adopted::Hidden(why) => Err(hidden(&why)),
            // Taken over, and due again.
            Adopted::Nothing if self.is_replaced(generation, asked) => Ok(()),
            Adopted::Nothing | Adopted::NotOurs => {
                self.end(generation, EndReason::Revoked, Revoke::No);
                Err(verdict)
            }
        }
    }

    fn is_outdated(&self, generation: u64, asked: &SessionRecord) -> bool {
        // What is known of the server's time is good for the tolerance that OTPless grants to `exp`, and no better.
        let server_now = self.read(|state, now| state.server_now(now)) + LEEWAY;
        asked.expires_at.is_none_or(|at| server_now >= at) || self.is_replaced(generation, asked)
    }

    fn is_replaced(&self, generation: u64, asked: &SessionRecord) -> bool {
        self.still_live(generation, |live| live.record.tokens != asked.tokens) != Ok(false)
    }

    /// Keeps the token that came with the answer if it is better than ours. Nothing is lost if it is not kept: unlike
    /// a refresh, this spends nothing.
    async fn take_renewed(self: &Arc<Self>, generation: u64, old: &Arc<SessionRecord>, token: SessionToken) {
        let claims = match self.verifier.verify(token.expose()) {
            Ok(claims) => claims,
            Err(Unverified::UnknownKey) => return,
            Err(Unverified::Invalid(why)) => {
                tracing::warn!(
                    why,
                    "authenticate answered with a token that does not verify; it is not used"
                );
                return;
            }
        };
        let better = token.expose() != old.tokens.refresh_token.expose()
            && claims.user_id() == old.user_id
            && claims.session_id() == old.tokens.session_id.expose()
            && old.expires_at.is_none_or(|at| claims.expires_at() > at)
            && old.refresh_expires_at.is_some_and(|at| claims.expires_at() <= at);
        if !better {
            return;
        }
        let mut record = (**old).clone();
        record.rotation = record.rotation.saturating_add(1);
        record.tokens.session_token = token;
        record.expires_at = Some(Claims::expires_at(&claims));
        let record = Arc::new(record);
        let expect = Expect::Renewable { sign_in: old.sign_in.clone(), rotation: old.rotation };
        let outcome = self.vault.commit(self.guard(generation), expect, record.clone()).await;
        if matches!(outcome, Ok(Commit::Conflict(_) | Commit::Superseded)) {
            // A refresh came first and has the newer tokens, or it is over, or nobody can tell.
            return;
        }
        let kept = self.update_live(generation, |state, _| {
            // A refresh that came first and could not be stored has the newer tokens, however often it has counted.
            let refresh_token = &record.tokens.refresh_token;
            let Some(live) = state.live_mut().filter(|live| {
                live.record.rotation < record.rotation && live.record.tokens.refresh_token == *refresh_token
            }) else {
                return;
            };
            match outcome {
                Ok(committed) => {
                    live.set_tokens(record, Some(claims));
                    if let Commit::Written { replaced } = committed {
                        state.doubt_is_gone(&replaced);
                    }
                }
                // What must not be lost is in the keychain. Counted on by ourselves, our tokens would pass for newer than
                // those of another process that has refreshed meanwhile.
                Err(error) => {
                    let record = SessionRecord { rotation: live.record.rotation, ..(*record).clone() };
                    live.set_tokens(Arc::new(record), Some(claims));
                    state.said.later(move || {
                        tracing::debug!(%error, "a renewed session token is kept in memory only");
                    });
                }
            }
        });
        match kept {
            Ok(()) => self.read_outbox_later(),
            Err(_) => tracing::debug!("the session ended while its token was being renewed"),
        }
    }
}
