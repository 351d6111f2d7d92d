//! The way back: tokens that a refresh brought and that could not be verified then turn out to be nobody's.
//!
//! What comes with a refresh is stored before anything else happens to it, for the token that bought it may be spent (requirement
//! C1). If its key is not at hand it may be the issuer's next one, or somebody's who answers in the server's place. So the tokens
//! before are kept with it until it could be verified: they are good still if the server has never heard of the exchange.

use std::sync::Arc;

use super::manager::Inner;
use crate::{
    jwt::{Claims, verify::LEEWAY},
    store::record::SessionRecord,
};

impl Inner {
    /// Whether a session token that has been verified at last was issued before the one that it has replaced: an answer of some
    /// earlier exchange, whose refresh token is spent, or of no exchange at all.
    pub(super) fn is_before_proven(&self, record: &SessionRecord, session: &Claims) -> bool {
        let Some(proven) = &record.proven else { return false };
        let before = self.verifier.verify(proven.session_token.expose()).ok();
        let issued = before.as_ref().and_then(Claims::issued_at);
        session.issued_at().zip(issued).is_some_and(|(at, before)| at + LEEWAY < before)
    }

    /// The record with the tokens before those of `record`, and their claims as far as they can be verified; `None` if none are kept,
    /// or if they are not genuine either.
    pub(super) fn go_back(&self, record: &SessionRecord) -> Option<(SessionRecord, Option<Claims>)> {
        let before = record.with_proven()?;
        let claims = self.check_restored(&before).ok()?;
        tracing::warn!("the tokens that the last refresh brought are not good; those before are used again");
        Some((before, claims))
    }

    /// Takes the tokens before those of `distrusted`, if there are any and those are still what the session goes by. Answers whether
    /// it goes by others now, for whatever reason.
    pub(super) fn goes_by_others(&self, generation: u64, distrusted: &SessionRecord) -> bool {
        let before = self.go_back(distrusted);
        let others = self.update_live(generation, |state, _| {
            let Some(live) = state.live_mut() else { return false };
            if live.record.tokens != distrusted.tokens {
                return true;
            }
            let Some((before, claims)) = before else { return false };
            live.set_tokens(Arc::new(before), claims);
            // The keychain has them beside the others, so there is no danger, but others go by it as well.
            live.stored = false;
            // Nor has anybody renewed it.
            live.refreshed = None;
            true
        });
        others == Ok(true)
    }
}
