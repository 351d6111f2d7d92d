//! Whether a sign-in is what it says: both tokens are genuine, in time, of one session, and in their own places.

use super::manager::Inner;
use crate::{
    api::sign_in::SignIn,
    error::{Error, ErrorKind, Result},
    jwt::{Claims, Fetched, Unverified},
};

/// The claims of both tokens of a sign-in.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) session: Claims,
    pub(super) refresh: Claims,
}

impl Inner {
    /// Verifies both tokens with keys that the issuer itself has sent in this run.
    pub(super) async fn verify_sign_in(&self, sign_in: &SignIn) -> Result<Verified> {
        let field = sign_in.session_token_field;
        let mut fetched = false;
        let mut good_enough = false;
        let verified = loop {
            let session = self.verifier.verify(sign_in.tokens.session_token.expose());
            let refresh = self.verifier.verify(sign_in.tokens.refresh_token.expose());
            match (&session, &refresh) {
                (Err(Unverified::Invalid(why)), _) => return Err(unverifiable(field, why)),
                (_, Err(Unverified::Invalid(why))) => return Err(unverifiable("refreshToken", why)),
                (Ok(claims), Ok(refresh_claims)) => {
                    let server_now = self.read(|state, now| state.server_now(now));
                    let in_time =
                        claims.is_acceptable_at(server_now) && refresh_claims.is_acceptable_at(server_now);
                    // Before a token is called expired the server is asked what time it is.
                    // Kept keys may have been planted: a session begins only with keys from the issuer itself.
                    let first_hand = self.verifier.keys_are_first_hand();
                    if first_hand && (fetched || self.read(|state, _| state.skew_known)) {
                        break Verified { session: claims.clone(), refresh: refresh_claims.clone() };
                    }
                    good_enough = first_hand && in_time;
                }
                _ if fetched => {
                    return Err(unverifiable(field, "is signed with a key that is not in OTPless's key set"));
                }
                _ => {}
            }
            let keys = match self.verifier.fetch_keys().await {
                // Only the time was asked for, and the machine's clock agrees with the tokens.
                Err(_) if good_enough => Fetched::default(),
                keys => keys?,
            };
            if !keys.fetched {
                if let (Ok(session), Ok(refresh), true) =
                    (session, refresh, self.verifier.keys_are_first_hand())
                {
                    // The key is known and only the time is in question: it stands as it is.
                    break Verified { session, refresh };
                }
                let wait = keys.held_for.unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::Server,
                    format!(
                        "the sign-in cannot be verified now: the key set could not be had, and is not asked for again \
                         yet. Nothing was stored; try again in {} s",
                        wait.as_secs() + 1
                    ),
                )
                .with_retry_after(keys.held_for));
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
}

fn unverifiable(field: &str, why: &str) -> Error {
    Error::invalid_token(format!("{field} {why}. Nothing was stored; a session that existed is unchanged"))
}
