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
                if !expect.allows(&stored, &record) {
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
                if !bulletin.read().is_some_and(|line| is_later(&line, &record)) {
                    bulletin.post(&kept(&record));
                }
                match store.write(Slot::Session, &bytes) {
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
                let _lock = StoreLock::take(lock.as_deref()).ok();
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
                    (erase, Stored::Session(there)) if !erase.takes(&there) => return noted.map(|()| ended),
                    (Erase::SignIn(_), Stored::Unreadable(Unreadable::FromTheFuture)) => {
                        return noted.map(|()| ended);
                    }
                    // Whose it was cannot be read any more, but who wrote there last has said so.
                    (Erase::SignIn(ours), Stored::Unreadable(Unreadable::Corrupt))
                        if bulletin
                            .read()
                            .and_then(|line| sign_in_of(&line))
                            .is_some_and(|theirs| theirs != *ours) =>
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
mod tests {
    use super::*;
    use crate::generation::Generation;
    use crate::store::{
        MemoryStore,
        record::{SignInId, tests::sample},
        worker::tests::{Gate, GatedStore, worker},
    };

    fn vault(store: &MemoryStore) -> Vault {
        let store = store.clone();
        Vault::new(worker(Box::new(move || Box::new(store.clone()))), None, Bulletin::default())
    }

    fn guard(expected: u64) -> GenerationGuard {
        let generation = Generation::default();
        generation.next();
        generation.guard(expected)
    }

    #[tokio::test]
    async fn c11_a_write_decided_before_the_end_is_dropped_after_it() {
        let store = MemoryStore::new();
        let outcome =
            vault(&store).commit(guard(0), Expect::Anything { over: None }, Arc::new(sample())).await;
        assert_eq!(outcome, Ok(Commit::Superseded));
        assert!(store.peek(Slot::Session).is_none());
    }

    // Time is paused, so the bound passes at once while the keychain's thread stands at the gate.
    #[tokio::test(start_paused = true)]
    async fn b12_a_sign_in_that_nobody_waits_for_any_more_replaces_no_later_one() {
        let (ours, another) = (Arc::new(sample()), SignInId::named("another"));
        // Not even one that began later by its clock stays, if it is the one that was to be replaced.
        for (began, over, replaced) in [(-1, None, true), (1, None, false), (1, Some(another.clone()), true)]
        {
            let (store, gate) = (MemoryStore::new(), Gate::default());
            let vault = Vault::new(worker(GatedStore::maker(&store, &gate)), None, Bulletin::default());
            let outcome = vault.commit(guard(1), Expect::Anything { over }, ours.clone()).await;
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");

            let other = SessionRecord {
                sign_in: another.clone(),
                started_at: ours.started_at.shifted(began),
                ..sample()
            };
            store.plant(Slot::Session, &other.to_bytes());
            GatedStore::open(&gate);
            tokio::time::resume();
            let there = vault.read(Urgency::MustHappen).await;
            let expected = if replaced { (*ours).clone() } else { other };
            assert_eq!(there, Ok(Stored::Session(Box::new(expected))), "began {began} ms apart");
            tokio::time::pause();
        }
    }

    #[tokio::test]
    async fn c4_a_peers_rotation_is_not_overwritten() {
        let store = MemoryStore::new();
        let mut peers = sample();
        peers.rotation += 1;
        store.plant(Slot::Session, &peers.to_bytes());
        let ours = SessionRecord { rotation: peers.rotation, ..peers.clone() };
        let expect = Expect::Rotation { sign_in: ours.sign_in.clone(), rotation: ours.rotation - 1 };
        let outcome = vault(&store).commit(guard(1), expect, Arc::new(ours)).await;
        assert_eq!(outcome, Ok(Commit::Conflict(Stored::Session(Box::new(peers)))));
    }

    #[tokio::test]
    async fn c1_a_store_that_does_not_keep_what_was_written_is_reported() {
        #[derive(Debug)]
        struct Forgetful;
        impl SessionStore for Forgetful {
            fn read(&mut self, _: Slot) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
                Ok(None)
            }
            fn write(&mut self, _: Slot, _: &[u8]) -> Result<(), StoreError> {
                Ok(())
            }
            fn erase(&mut self, _: Slot) -> Result<(), StoreError> {
                Ok(())
            }
            fn backend(&self) -> &'static str {
                "forgetful"
            }
        }
        let vault = Vault::new(worker(Box::new(|| Box::new(Forgetful))), None, Bulletin::default());
        let outcome = vault.commit(guard(1), Expect::Anything { over: None }, Arc::new(sample())).await;
        assert_eq!(outcome, Err(StoreError::Failed("it did not keep what was written")));
    }

    #[tokio::test]
    async fn a9_an_end_notes_the_revocation_and_leaves_a_newer_sign_in_alone() {
        let store = MemoryStore::new();
        let vault = vault(&store);
        let ours = sample();
        let newer = SessionRecord { sign_in: SignInId::new(&"0b".into(), Timestamp(2)), ..sample() };
        store.plant(Slot::Session, &newer.to_bytes());
        let revocation = Revocation { session_id: "0a".into(), expires_at: Timestamp(9), if_replaced: false };
        vault.end(Erase::SignIn(ours.sign_in), Some(revocation.clone()), None, |_| ()).await.unwrap();
        assert_eq!(
            vault.load().await.unwrap(),
            (Stored::Session(Box::new(newer.clone())), vec![revocation.clone()])
        );
        vault.end(Erase::SignIn(newer.sign_in), None, None, |_| ()).await.unwrap();
        assert_eq!(vault.load().await.unwrap(), (Stored::Nothing, vec![revocation]));
        vault.settle_revocation("0a".into(), Timestamp(0)).await.unwrap();
        assert!(store.peek(Slot::Revocations).is_none(), "nothing is left behind");
    }

    /// A process that learns that its session has been replaced long ago must not take what stands there for its own because
    /// nobody can read it: whoever it belongs to puts it right.
    #[tokio::test]
    async fn a4_an_end_leaves_a_damaged_entry_alone_that_another_sign_in_has_written() {
        let (dir, store) = (tempfile::tempdir().unwrap(), MemoryStore::new());
        let bulletin = Bulletin::at(Some(dir.path().join("bulletin")));
        let making = store.clone();
        let vault = Vault::new(worker(Box::new(move || Box::new(making.clone()))), None, bulletin);
        let (ours, theirs) = (sample(), SessionRecord { sign_in: SignInId::named("theirs"), ..sample() });
        let damaged = || store.plant(Slot::Session, b"something else");
        for (last_writer, left) in [(&theirs, true), (&ours, false)] {
            vault
                .commit(guard(1), Expect::Anything { over: None }, Arc::new(last_writer.clone()))
                .await
                .unwrap();
            damaged();
            vault.end(Erase::SignIn(ours.sign_in.clone()), None, None, |_| ()).await.unwrap();
            assert_eq!(store.peek(Slot::Session).is_some(), left);
        }
        damaged();
        vault.end(Erase::NotAfter(theirs.started_at, None), None, None, |_| ()).await.unwrap();
        assert!(store.peek(Slot::Session).is_none(), "a logout means whatever is there");
    }

    /// A crash between the two writes of a sign-in leaves no session that is over and still good for the server, and none
    /// that is ended without another in its place.
    #[tokio::test]
    async fn b12_the_revocation_of_a_replaced_session_is_planned_before_it_is_replaced() {
        let (old, store) = (sample(), MemoryStore::new());
        store.plant(Slot::Session, &old.to_bytes());
        let planned = Revocation { if_replaced: true, ..old.revocation() };
        let vault = vault(&store);
        vault.note_revocation(planned, |_| false).await.unwrap();
        let (stored, due) = vault.load().await.unwrap();
        assert_eq!((stored, due), (Stored::Session(Box::new(old.clone())), vec![]), "it came to nothing");

        let tokens = crate::secret::Tokens { session_id: "0b".into(), ..old.tokens.clone() };
        let new = SessionRecord { sign_in: SignInId::named("new"), tokens, ..old.clone() };
        let outcome = vault.commit(guard(1), Expect::Anything { over: None }, Arc::new(new.clone())).await;
        assert_eq!(outcome, Ok(Commit::Written { replaced: Stored::Session(Box::new(old.clone())) }));
        let (stored, due) = vault.load().await.unwrap();
        assert_eq!((stored, due), (Stored::Session(Box::new(new)), vec![old.revocation()]));
    }

    /// The write may be done and said to have failed, and its process die before it asks again: who would tell the server?
    #[tokio::test]
    async fn b12_no_session_is_replaced_whose_revocation_cannot_be_noted() {
        #[derive(Debug)]
        struct TakesNoNotes(MemoryStore);
        impl SessionStore for TakesNoNotes {
            fn read(&mut self, slot: Slot) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
                self.0.read(slot)
            }
            fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
                match slot {
                    Slot::Revocations => Err(StoreError::Failed("it is full")),
                    Slot::Session => self.0.write(slot, value),
                }
            }
            fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
                self.0.erase(slot)
            }
            fn backend(&self) -> &'static str {
                "takes no notes"
            }
        }
        let (old, store) = (sample(), MemoryStore::new());
        store.plant(Slot::Session, &old.to_bytes());
        let making = store.clone();
        let vault = Vault::new(
            worker(Box::new(move || Box::new(TakesNoNotes(making.clone())))),
            None,
            Bulletin::default(),
        );
        let tokens = crate::secret::Tokens { session_id: "0b".into(), ..old.tokens.clone() };
        let new = SessionRecord { sign_in: SignInId::named("new"), tokens, ..old.clone() };
        let outcome = vault.commit(guard(1), Expect::Anything { over: None }, Arc::new(new)).await;
        assert_eq!(outcome, Err(StoreError::Failed("it is full")));
        assert_eq!(vault.load().await, Ok((Stored::Session(Box::new(old.clone())), vec![])));
        // What replaces nothing needs no note.
        let renewed = SessionRecord { rotation: old.rotation + 1, ..old.clone() };
        let expect = Expect::Rotation { sign_in: old.sign_in.clone(), rotation: old.rotation };
        let outcome = vault.commit(guard(1), expect, Arc::new(renewed)).await;
        assert_eq!(outcome, Ok(Commit::Written { replaced: Stored::Session(Box::new(old)) }));
    }

    /// Whoever owes the server the earlier end comes late.
    #[tokio::test]
    async fn c11_the_note_of_an_end_is_none_of_the_same_session_again() {
        let mut store = MemoryStore::new();
        let vault = vault(&store);
        let (ended, again) = (sample(), SessionRecord { sign_in: SignInId::named("again"), ..sample() });
        let revocation = ended.revocation();
        let id = Some(ended.tokens.session_id.clone());
        let due = async || vault.load().await.unwrap().1;
        store.plant(Slot::Session, &again.to_bytes());
        let erase = Erase::SignIn(ended.sign_in.clone());
        let outcome = vault.end(erase.clone(), Some(revocation.clone()), None, |_| ()).await;
        assert_eq!(outcome, Ok(Ended { found: None, again: id.clone() }));
        assert_eq!(vault.note_revocation(revocation.clone(), |_| false).await, Ok(id));
        assert_eq!(due().await, [], "it goes on");
        // Its own end, or the entry that is still of the one that has ended.
        assert_eq!(vault.note_revocation(revocation.clone(), |_| true).await, Ok(None));
        assert_eq!(due().await, std::slice::from_ref(&revocation));
        // What is to go is over, even if it stays for now: the next start must know.
        store.erase(Slot::Revocations).unwrap();
        store.plant(Slot::Session, &ended.to_bytes());
        let planned = Revocation { if_replaced: true, ..revocation.clone() };
        let outcome = vault.end(erase, Some(planned), Some(guard(0)), |_| ()).await;
        assert!(store.peek(Slot::Session).is_some(), "a newer generation began");
        assert_eq!((outcome, due().await), (Ok(Ended::default()), vec![revocation]));
    }

    /// Several entries of one name, which the keychain neither tells apart nor writes over.
    #[tokio::test]
    async fn a4_what_nothing_can_be_written_over_is_erased_before() {
        const SEVERAL: StoreError = StoreError::Corrupt("there are several entries of the same name");
        #[derive(Debug)]
        struct Several(MemoryStore, bool);
        impl SessionStore for Several {
            fn read(&mut self, slot: Slot) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
                if self.1 && slot == Slot::Session { Err(SEVERAL) } else { self.0.read(slot) }
            }
            fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
                if self.1 && slot == Slot::Session { Err(SEVERAL) } else { self.0.write(slot, value) }
            }
            fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
                self.1 &= slot != Slot::Session;
                self.0.erase(slot)
            }
            fn backend(&self) -> &'static str {
                "has several"
            }
        }
        let store = MemoryStore::new();
        let making = store.clone();
        let vault = Vault::new(
            worker(Box::new(move || Box::new(Several(making.clone(), true)))),
            None,
            Bulletin::default(),
        );
        let ours = Arc::new(sample());
        let expect = Expect::Older { sign_in: ours.sign_in.clone(), rotation: ours.rotation };
        let outcome = vault.commit(guard(1), expect, ours.clone()).await;
        let replaced = Stored::Unreadable(Unreadable::Corrupt);
        assert_eq!(outcome, Ok(Commit::Written { replaced }));
        assert_eq!(store.peek(Slot::Session), Some(ours.to_bytes()));
    }

    #[tokio::test]
    async fn a9_a_revocation_is_taken_back_only_for_a_session_that_is_there() {
        let store = MemoryStore::new();
        let vault = vault(&store);
        let ours = sample();
        let (id, revocation) = (ours.tokens.session_id.clone(), ours.revocation());
        vault.note_revocation(revocation.clone(), |_| false).await.unwrap();
        // Another process has replaced it, and its own revocation is the one that stands there.
        let newer = SessionRecord {
            tokens: crate::secret::Tokens { session_id: "0b".into(), ..ours.tokens.clone() },
            ..sample()
        };
        store.plant(Slot::Session, &newer.to_bytes());
        vault.take_revocation_back(id.clone(), Timestamp(0), guard(1)).await.unwrap();
        assert_eq!(vault.load().await.unwrap().1, std::slice::from_ref(&revocation));
        store.plant(Slot::Session, &ours.to_bytes());
        vault.take_revocation_back(id.clone(), Timestamp(0), guard(0)).await.unwrap();
        assert_eq!(vault.load().await.unwrap().1, [revocation], "it has ended here meanwhile");
        vault.take_revocation_back(id, Timestamp(0), guard(1)).await.unwrap();
        assert_eq!(vault.load().await.unwrap().1, []);
    }
}
