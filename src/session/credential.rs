//! What a call to the app's own backend carries: the session as it is at this moment.

use std::fmt;

use super::{SessionManager, verify::DEFAULT_MIN_VALIDITY};
use crate::{
    error::{Error, Result},
    fetch::Attach,
    secret::{SessionId, SessionToken},
};

/// The credentials of one session, valid now.
#[derive(Clone)]
pub(crate) struct Credential {
    /// Which session it is: a call that goes on with another one would speak for another user.
    generation: u64,
    pub(crate) session_id: SessionId,
    /// With at least [`DEFAULT_MIN_VALIDITY`] of its life left when it was asked for.
    pub(crate) token: SessionToken,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Credential {
    /// Whether they are of the session of `generation`.
    pub(crate) fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Whether both are of one session.
    pub(crate) fn is_of_the_same_session(&self, other: &Self) -> bool {
        self.generation == other.generation
    }
}

impl SessionManager {
    /// How calls to the app's own backend are to carry the session.
    pub(crate) fn attach(&self) -> &Attach {
        &self.0.attach
    }

    /// Which session is here now, for a call that is to be of that one; `None` if nobody is signed in.
    pub(crate) fn session_here(&self) -> Option<u64> {
        self.0.with_live(|_, _, _| ()).ok().map(|(generation, ())| generation)
    }

    /// The credentials of the session, renewed first if the token has less than [`DEFAULT_MIN_VALIDITY`] left.
    ///
    /// # Errors
    ///
    /// Those of [`session_token`](Self::session_token).
    pub(crate) async fn credential(&self) -> Result<Credential> {
        // A renewal, here or by another process, may come between the two looks; two in a row do not.
        for _ in 0..2 {
            let token = self.session_token(DEFAULT_MIN_VALIDITY).await?.token;
            let (generation, session_id) = self.0.with_live(|live, _, _| {
                (live.record.tokens.session_token == token).then(|| live.record.tokens.session_id.clone())
            })?;
            if let Some(session_id) = session_id {
                return Ok(Credential { generation, session_id, token });
            }
        }
        Err(Error::session_changed())
    }

    /// Other credentials of the same session than `refused`, which the backend has answered with a 401: those that
    /// have been renewed meanwhile, or that are renewed now. `None` if there are none to be had.
    pub(crate) async fn renewed(&self, refused: &Credential) -> Option<Credential> {
        let other = |credential: Credential| {
            (credential.is_of_the_same_session(refused) && credential.token != refused.token)
                .then_some(credential)
        };
        if let Some(credential) = other(self.credential().await.ok()?) {
            return Some(credential);
        }
        // How often this reaches OTPless the engine bounds, whatever a page or a backend does (requirement D9).
        self.refresh().await.ok()?;
        other(self.credential().await.ok()?)
    }
}

#[cfg(test)]
impl Credential {
    pub(crate) fn for_tests(session_id: &str, token: &str) -> Self {
        Self { generation: 1, session_id: session_id.into(), token: token.into() }
    }
}
