//! Asking the server what it knows of the session: from whom, from where, since when. Only v1 has this question, so only
//! an app with a relay can ask it.

use std::{sync::Arc, time::Duration};

use super::{
    SessionManager,
    budget::Purpose,
    manager::{Inner, MIN_EXCHANGE_INTERVAL},
    revocation::lost,
};
use crate::{
    api::{ApiError, SessionDetails, Verdict},
    clock::ServerDate,
    error::{Error, ErrorKind, Result},
    secret::Tokens,
    store::record::SessionRecord,
};

/// What came of the last question, and until when it is the answer to the next (requirement D9), unless the server has asked for
/// a longer wait.
#[derive(Debug)]
pub(crate) struct LastDetails {
    outcome: Result<SessionDetails>,
    /// Monotonic time.
    until: Duration,
}

impl SessionManager {
    /// What OTPless knows of the session: identities, device, network, start and last activity, by its own clock. Asked
    /// at most once in [`MIN_EXCHANGE_INTERVAL`]; until then callers get the last answer. A session that turns out to be
    /// over is ended here too.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` unless `mode` is `relay`; `NotSignedIn`; `Rejected` (the session has ended); or why the server could
    /// not be asked, and the session is kept then.
    pub async fn session_details(&self) -> Result<SessionDetails> {
        self.0.wait_for_restore().await;
        let inner = self.0.clone();
        let flight = self.0.asking_details.run(&*self.0.runtime, || inner.details());
        flight.await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Inner {
    async fn details(self: Arc<Self>) -> Result<SessionDetails> {
        self.network_settled().await;
        let (generation, (record, last, left)) = self.with_live(|live, state, now| {
            let (last, left) = (live.details.as_ref(), state.retries.details.wait_left(now));
            let last = last.filter(|last| now.monotonic < last.until || left.is_some());
            (live.record.clone(), last.map(|last| last.outcome.clone()), left)
        })?;
        match (last, left) {
            (Some(outcome), _) => return outcome.map_err(|error| error.with_retry_after(left)),
            // It was said to another session of this app.
            (None, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::RateLimited,
                    "the server asked for a wait before it is asked for session details again; the session is kept",
                )
                .with_retry_after(left));
            }
            (None, None) => {}
        }
        let outcome = self.ask_details(generation, &record).await;
        // If the session ended meanwhile, what came of the question is still what the caller gets, but nobody else.
        let kept = self.update_live(generation, |state, now| {
            if let Some(live) = state.live_mut() {
                let until = now.monotonic + MIN_EXCHANGE_INTERVAL;
                live.details = Some(LastDetails { outcome: outcome.clone(), until });
            }
        });
        match (outcome, kept) {
            (Ok(_), Err(ended)) => Err(ended),
            (outcome, _) => outcome,
        }
    }

    async fn ask_details(
        self: &Arc<Self>,
        generation: u64,
        record: &SessionRecord,
    ) -> Result<SessionDetails> {
        let tokens = &record.tokens;
        let Some(question) = self.api.session_details(&tokens.session_id) else {
            return Err(Error::invalid_config(
                "session details are known only to OTPless's v1, which an app reaches through its own backend: set \
                 plugins.otpless.mode to \"relay\" and relayUrl to its address",
            ));
        };
        self.may_call(Purpose::Question)?;
        let asked = self.now();
        let answer = question.await;
        let wait = answer.outcome.as_ref().err().and_then(ApiError::retry_after);
        self.update_quietly(|state, now| {
            state.learn_server_time(ServerDate::heard(answer.server_date, asked), now);
            state.retries.details.asked_to_wait(wait, now);
        });
        match answer.outcome {
            Ok(details) if details.user_id != record.user_id => Err(not_ours("another user")),
            Ok(details) if self.of_question_and_answer(tokens, |tokens| shows(&details, tokens)) => {
                Err(not_ours("a credential of this session in a field that is shown"))
            }
            Ok(details) => Ok(details),
            Err(error) if error.verdict == Verdict::Over => {
                self.heed_verdict(generation, record, error.error).await?;
                // Another process has newer tokens of this session, and finds out with them.
                Err(Error::session_changed())
            }
            Err(error) => Err(error.error),
        }
    }

    /// Whether `is_so` of the credentials that the question was asked with, or of those that have replaced them meanwhile.
    fn of_question_and_answer(&self, asked_with: &Tokens, is_so: impl Fn(&Tokens) -> bool) -> bool {
        let present = self.read(|state, _| state.live().map(|live| live.record.clone()));
        is_so(asked_with) || present.is_some_and(|record| is_so(&record.tokens))
    }
}

/// Whether one of `tokens` stands in what would be shown.
fn shows(details: &SessionDetails, tokens: &Tokens) -> bool {
    let Tokens { session_id, session_token, refresh_token } = tokens;
    [session_id.expose(), session_token.expose(), refresh_token.expose()]
        .into_iter()
        .any(|secret| details.holds(secret))
}

fn not_ours(what: &str) -> Error {
    Error::new(
        ErrorKind::Server,
        format!(
            "the relay answered with {what}; its details are not shown, and the session is kept. Check the relay"
        ),
    )
}
