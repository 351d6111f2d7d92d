//! The way back: tokens that a refresh brought and that could not be verified then turn out to be nobody's.
//!
//! What comes with a refresh is stored before anything else happens to it, for the token that bought it may be spent (requirement
//! C1). If its key is not at hand it may be the issuer's next one, or somebody's who answers in the server's place. So the tokens
//! before are kept with it until the next exchange shows that the server knows it: they are good still if it has never heard of this
//! one. There is one way back and no second: of several exchanges in a row none of which could be verified, the tokens before the
//! first are kept.

use std::sync::Arc;

use super::manager::Inner;
use crate::{
    jwt::{Claims, verify::LEEWAY},
    store::record::SessionRecord,
};

impl Inner {
    /// Whether tokens that have been verified at last were issued before those that they have replaced: the answer of an earlier
    /// exchange, whose refresh token is spent, or of a server whose clock was put right. The server knows.
    pub(super) fn is_before_proven(&self, record: &SessionRecord) -> bool {
        let issued = |token: &str| self.verifier.verify(token).ok().as_ref().and_then(Claims::issued_at);
        let Some(proven) = &record.proven else { return false };
        let (came, before) = if proven.refresh_token == record.tokens.refresh_token {
            (record.tokens.session_token.expose(), proven.session_token.expose())
        } else {
            (record.tokens.refresh_token.expose(), proven.refresh_token.expose())
        };
        issued(came).zip(issued(before)).is_some_and(|(at, before)| at + LEEWAY < before)
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
        let others = self.update_live(generation, |state, now| {
            let due = state.server_now(now);
            let Some(live) = state.live_mut() else { return false };
            if live.record.tokens != distrusted.tokens {
                return true;
            }
            let Some((before, claims)) = before else { return false };
            live.set_tokens(Arc::new(before), claims);
            // What is stored is to be what is used, by the other processes as well.
            live.stored = false;
            // The server is to be asked what it knows of them; if they cannot be verified now, once they could.
            live.refresh_at = live.refresh_at.map(|at| at.min(due));
            true
        });
        others == Ok(true)
    }
}
