//! An entry that rots while a process of the app shows its session: whoever finds it so erases nothing, and asks that process
//! to write it anew. The tokens in its memory are good.

use std::{sync::Arc, time::Duration};

use super::{
    adopt::Adopted,
    manager::Inner,
    snapshot::{EndReason, Storage},
    state::Revoke,
};
use crate::store::{
    StoreError,
    kept::{NOTHING_KEPT, count_of, kept, sign_in_of},
    outbox::Revocation,
    record::{SignInId, Unreadable},
    step::{Loaded, Stored},
};

/// Between two looks at the keychain because somebody says that it is damaged, who may be wrong or mean ill: as long as that
/// one waits before it says so again, at most.
const LOOKS: Duration = Duration::from_secs(30);

impl Inner {
    /// What was `loaded` by a process that shows no session, unless it is for another to mend; and what revocations it brought
    /// all the same.
    pub(super) fn unless_another_mends(&self, loaded: Loaded) -> (Loaded, Vec<Revocation>) {
        match (loaded, self.vault.bulletin().read()) {
            (Ok((Stored::Unreadable(Unreadable::Corrupt), revocations)), Some(line))
                if line != NOTHING_KEPT && self.presence.of_another() =>
            {
                // Whoever has those tokens is meant, and nobody who is behind.
                self.damaged.post(&line);
                let why =
                    "it is damaged; a process of this app that has the session is asked to write it anew";
                (Err(StoreError::Unavailable(why)), revocations)
            }
            (loaded, _) => (loaded, Vec::new()),
        }
    }

    /// Whether another process says that it has found our entry damaged, and it is time to look.
    pub(super) fn is_said_to_be_damaged(&self) -> bool {
        let Some(found) = self.damaged.read().filter(|found| found != NOTHING_KEPT) else { return false };
        let said_now = self.vault.bulletin().read().as_ref() == Some(&found);
        let ours = said_now
            && self.update_quietly(|state, now| {
                let waits = state.looked_for_damage.is_some_and(|at| now.monotonic < at + LOOKS);
                let ours = !waits
                    && !state.is_busy_with_keychain()
                    && state.live().is_some_and(|live| count_of(&found, &live.record).is_some());
                if ours {
                    state.looked_for_damage = Some(now.monotonic);
                }
                ours
            });
        if ours {
            self.damaged.post(NOTHING_KEPT);
        }
        ours
    }

    /// Whether `line` names a sign-in that is known to be over, and ours is not: it has not replaced ours.
    fn has_come_to_nothing(&self, line: &str, ours: &SignInId) -> bool {
        let remembered = self.remembered();
        let is_over = |sign_in: &SignInId| remembered.why_ended(sign_in).is_some();
        sign_in_of(line).is_some_and(|theirs| is_over(&theirs)) && !is_over(ours)
    }

    /// The entry was found damaged: it is what was said of it last. If the tokens that belong there are ours it is written anew;
    /// if it is another sign-in's that has taken our place, ours is over.
    pub(super) fn found_damaged(&self, generation: u64) -> Adopted {
        let Some(line) = self.vault.bulletin().read() else { return Adopted::Nothing };
        let Ok((ours, replaced)) =
            self.still_live(generation, |live| (live.record.clone(), live.expected().gives_way_to(&line)))
        else {
            return Adopted::Nothing;
        };
        let to_nothing = replaced && self.has_come_to_nothing(&line, &ours.sign_in);
        let line = if to_nothing { kept(&ours) } else { line };
        if to_nothing {
            self.vault.bulletin().post(&line);
        } else if replaced {
            tracing::warn!("another process has signed in, and what the keychain has of that is damaged");
            // Whoever has replaced it may not have been able to read whose end is owed; nor can we whose session this is now.
            self.end(generation, EndReason::Replaced, Revoke::IfReplaced);
            return Adopted::Settled;
        }
        let ours = self.update_live(generation, |state, _| {
            let live = state.live_mut().filter(|live| live.stored)?;
            let count = count_of(&line, &live.record)?;
            // Whoever changed the entry last may have come no further than to say so.
            let record = Arc::make_mut(&mut live.record);
            record.rotation = record.rotation.max(count);
            live.stored = false;
            state.storage = Storage::Ephemeral;
            state.storage_error = Some("what the keychain held was damaged and is being written anew".into());
            state.retries.persist.succeeded();
            Some(())
        });
        if let Ok(Some(())) = ours {
            tracing::warn!("the stored session is damaged and is written anew");
            self.wake.notify_one();
        }
        Adopted::Nothing
    }
}
