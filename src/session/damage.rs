//! An entry that rots while a process of the app shows its session: whoever finds it erases nothing, and asks that process to
//! write it anew. The tokens in its memory are good.

use super::{manager::Inner, snapshot::Storage};
use crate::store::{
    StoreError,
    kept::{NOTHING_KEPT, kept},
    outbox::Revocation,
    record::Unreadable,
    step::Stored,
};

const BEING_MENDED: &str =
    "it is damaged; a process of this app that has the session is asked to write it anew";

impl Inner {
    /// What was `loaded` by a process that shows no session, unless it is for another to mend.
    pub(super) fn unless_another_mends(
        &self,
        loaded: Result<(Stored, Vec<Revocation>), StoreError>,
    ) -> Result<(Stored, Vec<Revocation>), StoreError> {
        match (loaded, self.vault.bulletin().read()) {
            (Ok((Stored::Unreadable(Unreadable::Corrupt), _)), Some(line))
                if line != NOTHING_KEPT && self.presence.of_another() =>
            {
                // Whoever has those tokens is meant, and nobody who is behind.
                self.damaged.post(&line);
                Err(StoreError::Unavailable(BEING_MENDED))
            }
            (loaded, _) => loaded,
        }
    }

    /// Writes our entry anew if another process has found it damaged, and ours are the tokens that belong there.
    pub(super) fn hear_damage(&self) {
        let Some(found) = self.damaged.read().filter(|found| found != NOTHING_KEPT) else { return };
        if self.vault.bulletin().read().as_ref() != Some(&found) {
            return;
        }
        let ours = self.update(|state, _| {
            let busy = state.is_busy_with_keychain();
            let live = state.live_mut().filter(|live| live.stored && !busy && kept(&live.record) == found);
            let Some(live) = live else { return false };
            live.stored = false;
            state.storage = Storage::Ephemeral;
            state.storage_error = Some("what the keychain held was damaged and is being written anew".into());
            state.retries.persist.succeeded();
            true
        });
        if ours {
            tracing::warn!("the stored session is damaged and is written anew");
            self.damaged.post(NOTHING_KEPT);
            self.wake.notify_one();
        }
    }
}
