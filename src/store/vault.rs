//! What the engine asks of the keychain, each as one step that is whole or did not happen.
//!
//! Every step that writes runs under a file lock shared by the app's processes, because "read, compare, write" on a
//! keychain is three calls. The lock is held for milliseconds, never across the network.

use std::{path::PathBuf, sync::Arc};

use super::{
    SessionStore, Slot, StoreError,
    bulletin::Bulletin,
    kept::{NOTHING_KEPT, is_later, kept, sign_in_of},
    lock::StoreLock,
    outbox::{self, Revocation},
    record::{SessionRecord, Unreadable},
    step::{Commit, Ended, Erase, Expect, Loaded, Stored},
    worker::{StoreWorker, Urgency},
};
use crate::{clock::Timestamp, generation::GenerationGuard, secret::SessionId};

#[derive(Debug)]
pub(crate) struct Vault {
    worker: StoreWorker,
    lock: Option<Arc<PathBuf>>,
    bulletin: Bulletin,
}

impl Vault {
    /// `lock` and `bulletin` are files that all processes of the app share; without them there is only this process.
    pub(crate) fn new(worker: StoreWorker, lock: Option<PathBuf>, bulletin: Bulletin) -> Self {
        Self { worker, lock: lock.map(Arc::new), bulletin }
    }

    /// What the keychain holds, by the word of whichever process changed it last.
    pub(crate) fn bulletin(&self) -> &Bulletin {
        &self.bulletin
    }

    pub(crate) fn backend(&self) -> &'static str {
        self.worker.backend()
    }

    pub(crate) async fn load(&self) -> Loaded {
        self.worker
            .run(Urgency::CanWait, |store| {
                let (mut stored, noted) = (read(store)?, read_revocations(store)?);
                // Somebody may have signed in to what is noted between the two, which go without the lock.
                if noted.iter().any(|revocation| revocation.if_replaced) {
                    stored = read(store)?;
                }
                let revocations = due(noted, &stored);
                Ok((stored, revocations))
            })
            .await
    }

    pub(crate) async fn read(&self, urgency: Urgency) -> Result<Stored, StoreError> {
        self.worker.run(urgency, read).await
    }

    /// Writes `record` if `expect` still holds, and reads it back: a rotated token that only seems to be stored is
    /// a session lost at the next start (requirement C1).
    pub(crate) async fn commit(
        &self,
        guard: GenerationGuard,
        expect: Expect,
        record: Arc<SessionRecord>,
    ) -> Result<Commit, StoreError> {
        let (lock, bulletin) = (self.lock.clone(), self.bulletin.clone());
        let waiting = Arc::new(());
        let still_waiting = Arc::downgrade(&waiting);
        let outcome = self
            .worker
            .run(Urgency::CanWait, move |store| {
                let _lock = StoreLock::take(lock.as_deref())?;
                let stored = read(store)?;
                // A sign-in replaces whatever there is when it is brought. If the keychain held it up for longer than anybody waits,
                // somebody may have signed in since, whom it does not replace.
                let expect =
                    if still_waiting.strong_count() == 0 { expect.when_late(&record) } else { expect };
                let said = bulletin.read();
                if !expect.allows(&stored, &record, said.as_deref()) {
                    if let Stored::Session(there) = &stored {
                        correct(&bulletin, there, |line| sign_in_of(line).as_ref() == Some(&record.sign_in));
                    }
                    return Ok(Commit::Conflict(stored));
                }
                let bytes = record.to_bytes();
                if !guard.holds() {
                    return Ok(Commit::Superseded);
                }
                // Nothing is replaced that nobody would revoke: whether this write came to something may never be known, and whoever
                // does not know owes nothing.
                if let Stored::Session(old) = &stored
                    && old.tokens.session_id != record.tokens.session_id
                {
                    note(store, Revocation { if_replaced: true, ..old.revocation() })?;
                }
                // Nor may a session that is signed in to again be taken for over by who reads it before the note of its end is gone.
                if expect.is_sign_in_after(&stored, &record) {
                    doubt(store, &record.tokens.session_id)?;
                }
                // Before the write, whose outcome may stay unknown: whoever counts on from here must count beyond it. One
                // that the keychain held up for long must not hide that there are newer tokens by now.
                if !said.is_some_and(|line| is_later(&line, &record)) {
                    bulletin.post(&kept(&record));
                }
                let mut bytes = bytes;
                let mut written = store.write(Slot::Session, &bytes);
                if let Err(StoreError::TooLong { .. }) = written
                    && record.proven.is_some()
                {
                    // What is most likely good comes first.
                    bytes = SessionRecord { proven: None, ..(*record).clone() }.to_bytes();
                    written = store.write(Slot::Session, &bytes);
                }
                match written {
                    // Nothing can be written over what is there: several entries of one name.
                    Err(StoreError::Corrupt(_)) if stored == Stored::Unreadable(Unreadable::Corrupt) => {
                        store.erase(Slot::Session)?;
                        store.write(Slot::Session, &bytes)?;
                    }
                    written => written?,
                }
                match store.read(Slot::Session)? {
                    Some(there) if *there == *bytes => Ok(Commit::Written { replaced: stored }),
                    _ => Err(StoreError::Failed("it did not keep what was written")),
                }
            })
            .await;
        drop(waiting);
        outcome
    }

    /// Ends a session in the keychain: first notes the revocation, then erases the entry, so that a crash between
    /// the two leaves a session that the next start knows to be over.
    ///
    /// An entry of a newer version of the app is left alone unless `erase` is [`Erase::NotAfter`].
    ///
    /// With `unless_newer` nothing is erased if a newer session began after the end was decided. `before_erase` is told of the
    /// session that [`Erase::NotAfter`] has found, whatever becomes of the steps that follow.
    pub(crate) async fn end(
        &self,
        erase: Erase,
        revocation: Option<Revocation>,
        unless_newer: Option<GenerationGuard>,
        before_erase: impl FnOnce(&SessionRecord) + Send + 'static,
    ) -> Result<Ended, StoreError> {
        let (lock, bulletin) = (self.lock.clone(), self.bulletin.clone());
        self.worker
            .run(Urgency::MustHappen, move |store| {
                // An end does not wait for a frozen process: erasing twice is harmless, not erasing is not.
                let lock = StoreLock::take(lock.as_deref()).ok();
                let mut ended = Ended::default();
                // Not blindly, if it cannot be read: another process may have signed in.
                let stored = read(store);
                let mut noted = match revocation {
                    Some(mut revocation) => {
                        // What goes now must not come back should this end between the two.
                        revocation.if_replaced &= !matches!(
                            &stored,
                            Ok(Stored::Session(there))
                                if there.tokens.session_id == revocation.session_id && erase.takes(there)
                        );
                        let stays = stored
                            .as_ref()
                            .ok()
                            .filter(|stored| matches!(stored, Stored::Session(there) if !erase.takes(there)));
                        note_unless_there(store, revocation, stays).map(|again| ended.again = again)
                    }
                    None => Ok(()),
                };
                if unless_newer.is_some_and(|guard| !guard.holds()) {
                    return noted.map(|()| ended);
                }
                match (&erase, stored?) {
                    (erase, Stored::Session(there)) if !erase.takes(&there) => {
                        if lock.is_some() && !matches!(erase, Erase::Damaged) {
                            correct(&bulletin, &there, |line| erase.takes_damaged(Some(line)));
                        }
                        return noted.map(|()| ended);
                    }
                    (Erase::SignIn(_), Stored::Unreadable(Unreadable::FromTheFuture)) => {
                        return noted.map(|()| ended);
                    }
                    (erase, Stored::Unreadable(Unreadable::Corrupt))
                        if !erase.takes_damaged(bulletin.read().as_deref()) =>
                    {
                        return noted.map(|()| ended);
                    }
                    (Erase::Damaged, stored) if stored != Stored::Unreadable(Unreadable::Corrupt) => {
                        return noted.map(|()| ended);
                    }
                    (Erase::NotAfter(..), Stored::Session(there)) => {
                        // Erased even if this fails: an entry that stays is worse than a server that is not told.
                        noted = noted.and(note(store, there.revocation()));
                        ended.found = Some(there.revocation());
                        before_erase(&there);
                    }
                    _ => {}
                }
                store.erase(Slot::Session)?;
                bulletin.post(NOTHING_KEPT);
                noted.map(|()| ended)
            })
            .await
    }

    /// Has the bulletin say what the entry holds, if it names another sign-in: one that has come to nothing.
    pub(crate) async fn correct_bulletin(&self) -> Result<(), StoreError> {
        let (lock, bulletin) = (self.lock.clone(), self.bulletin.clone());
        self.worker
            .run(Urgency::CanWait, move |store| {
                let _lock = StoreLock::take(lock.as_deref())?;
                if let Stored::Session(there) = read(store)? {
                    correct(&bulletin, &there, |_| true);
                }
                Ok(())
            })
            .await
    }

    /// Notes that the server is to be told. Answers the session if somebody has signed in to it again: if the entry is of it,
    /// and `is_over` does not know it for the one that has ended.
    pub(crate) async fn note_revocation(
        &self,
        revocation: Revocation,
        is_over: impl FnOnce(&SessionRecord) -> bool + Send + 'static,
    ) -> Result<Option<SessionId>, StoreError> {
        let lock = self.lock.clone();
        self.worker
            .run(Urgency::MustHappen, move |store| {
                let _lock = StoreLock::take(lock.as_deref()).ok();
                // Unless it cannot be read: then it is noted as it came.
                let stored = read(store).ok();
                let stays =
                    stored.filter(|stored| !matches!(stored, Stored::Session(there) if is_over(there)));
                note_unless_there(store, revocation, stays.as_ref())
            })
            .await
    }

    /// Forgets a revocation that was delivered, answers what is left, and forgets those that do not matter any more at `now`.
    pub(crate) async fn settle_revocation(
        &self,
        delivered: SessionId,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.forget_revocation(delivered, now, |_| true).await
    }

    /// Forgets the revocation of a session that somebody has signed in to again, unless it has ended again by now: then
    /// what stands there is of that end.
    pub(crate) async fn take_revocation_back(
        &self,
        again: SessionId,
        now: Timestamp,
        guard: GenerationGuard,
    ) -> Result<(), StoreError> {
        let id = again.clone();
        // Asked of the keychain, too: another process may have ended it, and this one not have heard of it yet.
        let is_there = move |stored: &Stored| {
            matches!(stored, Stored::Session(there) if there.tokens.session_id == id) && guard.holds()
        };
        self.forget_revocation(again, now, is_there).await.map(drop)
    }

    async fn forget_revocation(
        &self,
        session_id: SessionId,
        now: Timestamp,
        only_if: impl FnOnce(&Stored) -> bool + Send + 'static,
    ) -> Result<Vec<Revocation>, StoreError> {
        let lock = self.lock.clone();
        self.worker
            .run(Urgency::MustHappen, move |store| {
                let _lock = StoreLock::take(lock.as_deref())?;
                let (mut waiting, stored) = (read_revocations(store)?, read(store)?);
                if !only_if(&stored) {
                    return Ok(due(waiting, &stored));
                }
                let before = waiting.len();
                waiting.retain(|r| r.session_id != session_id && r.expires_at > now);
                match waiting.len() {
                    left if left == before => {}
                    0 => store.erase(Slot::Revocations)?,
                    _ => store.write(Slot::Revocations, &outbox::to_bytes(&waiting))?,
                }
                Ok(due(waiting, &stored))
            })
            .await
    }
}

/// The entry holds `there`: nobody is to go by a word that it holds another sign-in, if that `is_wrong`.
fn correct(bulletin: &Bulletin, there: &SessionRecord, is_wrong: impl FnOnce(&str) -> bool) {
    let Some(line) = bulletin.read() else { return };
    if sign_in_of(&line).is_some_and(|named| named != there.sign_in) && is_wrong(&line) {
        bulletin.post(&kept(there));
    }
}

fn read(store: &mut dyn SessionStore) -> Result<Stored, StoreError> {
    match store.read(Slot::Session) {
        Ok(None) => Ok(Stored::Nothing),
        Ok(Some(bytes)) => Ok(match SessionRecord::from_bytes(&bytes) {
            Ok(record) => Stored::Session(Box::new(record)),
            Err(unreadable) => Stored::Unreadable(unreadable),
        }),
        Err(StoreError::Corrupt(_)) => Ok(Stored::Unreadable(Unreadable::Corrupt)),
        Err(error) => Err(error),
    }
}

/// Revocations that cannot be read are lost, not waited for: the sessions expire by themselves.
fn read_revocations(store: &mut dyn SessionStore) -> Result<Vec<Revocation>, StoreError> {
    match store.read(Slot::Revocations) {
        Ok(Some(bytes)) => Ok(outbox::from_bytes(&bytes).unwrap_or_default()),
        Ok(None) | Err(StoreError::Corrupt(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Of what is noted, what the server is to be told: not that a session was replaced that is still there.
fn due(mut noted: Vec<Revocation>, stored: &Stored) -> Vec<Revocation> {
    noted.retain_mut(|revocation| {
        let planned = std::mem::take(&mut revocation.if_replaced);
        !planned
            || match stored {
                Stored::Session(there) => there.tokens.session_id != revocation.session_id,
                Stored::Nothing => true,
                Stored::Unreadable(_) => false,
            }
    });
    noted
}

fn note(store: &mut dyn SessionStore, revocation: Revocation) -> Result<(), StoreError> {
    let mut waiting = read_revocations(store)?;
    if outbox::add(&mut waiting, revocation) {
        store.write(Slot::Revocations, &outbox::to_bytes(&waiting))?;
    }
    Ok(())
}

/// The same, but for a session that somebody has signed in to again, as the entry shows that `stays`: that is over once it is
/// replaced. Answers it then.
fn note_unless_there(
    store: &mut dyn SessionStore,
    revocation: Revocation,
    stays: Option<&Stored>,
) -> Result<Option<SessionId>, StoreError> {
    let is_there = |stored: &&Stored| matches!(stored, Stored::Session(there) if there.tokens.session_id == revocation.session_id);
    let again = stays.filter(is_there).map(|_| revocation.session_id.clone());
    let if_replaced = revocation.if_replaced || again.is_some();
    note(store, Revocation { if_replaced, ..revocation })?;
    Ok(again)
}

fn doubt(store: &mut dyn SessionStore, again: &SessionId) -> Result<(), StoreError> {
    let mut waiting = read_revocations(store)?;
    if outbox::doubt(&mut waiting, again) {
        store.write(Slot::Revocations, &outbox::to_bytes(&waiting))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
