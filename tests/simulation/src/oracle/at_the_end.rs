//! What must hold when all has been well for long.

use std::collections::HashSet;

use otpless_local::SessionState;
use tauri_plugin_otpless::{Session, SessionStatus, Storage};

use super::{Oracle, Truth, short};
use crate::world::World;

impl Oracle {
    /// An hour after everything has been put right.
    pub(crate) fn all_is_well(&mut self, process: &str, session: &Session, world: &World) {
        let mut wrong = Vec::new();
        match session.status {
            SessionStatus::Active => {}
            SessionStatus::SignedOut => {
                let open = |truth: &Truth| {
                    truth.ever_stored && !truth.ended && !truth.replaced && !truth.logout_called
                };
                if self.truths.values().any(open) {
                    wrong.push(format!(
                        "all is well, and {process} shows nobody, although somebody is signed in"
                    ));
                }
            }
            status => wrong.push(format!("all is well, and {process} is {status:?}")),
        }
        // The keychain has worked for long: what is kept in memory only was forgotten (rule 11).
        if session.status != SessionStatus::SignedOut && session.storage != Storage::Keychain {
            wrong.push(format!("all is well, and {process} keeps its session in memory only"));
        }
        for (user, session_id) in self.owed() {
            if world.service().session_state(&session_id) == Some(SessionState::Active) {
                let truth = self.truths.get(&user);
                world.tell(|| {
                    let known = truth.map(|t| (t.logout_called, t.replaced, t.verdict, t.ever_stored));
                    format!(
                        "{} is owed a revocation (logout, replaced, verdict, stored: {known:?})",
                        short(&user)
                    )
                });
                wrong.push(format!("{process} is done, and the service still has a session that is over"));
            }
        }
        for what in wrong {
            self.violated(world, what);
        }
    }

    /// The sessions that are over and that the service should not have any more.
    pub(super) fn owed(&self) -> Vec<(String, String)> {
        let shown: HashSet<_> =
            self.seen.values().filter(|s| s.alive).filter_map(|s| s.shows.clone()).collect();
        (self.truths.iter())
            .filter(|(user, truth)| {
                // What is damaged does not say any more which session it was.
                truth.ended && truth.owed && truth.ever_stored && !truth.damaged && !shown.contains(*user)
            })
            .map(|(user, truth)| (user.clone(), truth.session_id.clone()))
            .collect()
    }
}
