//! Each step of the vault against a store of this process's memory.

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
    let outcome = vault(&store).commit(guard(0), Expect::Anything { over: None }, Arc::new(sample())).await;
    assert_eq!(outcome, Ok(Commit::Superseded));
    assert!(store.peek(Slot::Session).is_none());
}

// Time is paused, so the bound passes at once while the keychain's thread stands at the gate.
#[tokio::test(start_paused = true)]
async fn b12_a_sign_in_that_nobody_waits_for_any_more_replaces_no_later_one() {
    let (ours, another) = (Arc::new(sample()), SignInId::named("another"));
    // Not even one that began later by its clock stays, if it is the one that was to be replaced.
    for (began, over, replaced) in [(-1, None, true), (1, None, false), (1, Some(another.clone()), true)] {
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
        vault.commit(guard(1), Expect::Anything { over: None }, Arc::new(last_writer.clone())).await.unwrap();
        damaged();
        vault.end(Erase::SignIn(ours.sign_in.clone()), None, None, |_| ()).await.unwrap();
        assert_eq!(store.peek(Slot::Session).is_some(), left);
    }
    vault.bulletin().post(&kept(&theirs));
    for (at, named, left) in [
        (theirs.started_at.shifted(-1), None, true),
        (theirs.started_at.shifted(-1), Some(theirs.sign_in.clone()), false),
        (theirs.started_at, None, false),
    ] {
        damaged();
        vault.bulletin().post(&kept(&theirs));
        vault.end(Erase::NotAfter(at, named.clone()), None, None, |_| ()).await.unwrap();
        assert_eq!(store.peek(Slot::Session).is_some(), left, "an end at {at:?} of {named:?}");
    }
}

/// What cannot be read is what was said of it last.
#[tokio::test]
async fn a4_what_is_damaged_of_whoever_has_replaced_us_is_not_written_over() {
    let (dir, store) = (tempfile::tempdir().unwrap(), MemoryStore::new());
    let said = Bulletin::at(Some(dir.path().join("bulletin")));
    let making = store.clone();
    let vault = Vault::new(worker(Box::new(move || Box::new(making.clone()))), None, said.clone());
    let (ours, name) = (Arc::new(sample()), SignInId::named("theirs"));
    let theirs = |ms| {
        let started_at = ours.started_at.shifted(ms);
        kept(&SessionRecord { sign_in: name.clone(), started_at, ..sample() })
    };
    let (sign_in, rotation) = (ours.sign_in.clone(), ours.rotation);
    let late = |over: Option<&SignInId>| Expect::NotAfter {
        started_at: ours.started_at,
        sign_in: ours.sign_in.clone(),
        rotation,
        over: over.cloned(),
    };
    let tokens = crate::secret::Tokens { refresh_token: "h.next.r".into(), ..ours.tokens.clone() };
    let refreshed = SessionRecord { tokens, rotation: rotation - 1, ..sample() };
    let before = SessionRecord { rotation: rotation - 1, ..sample() };
    let rotated = Expect::Rotation { sign_in: sign_in.clone(), rotation };
    let renewed = Expect::Renewable { sign_in: sign_in.clone(), rotation };
    let older = Expect::Older { sign_in, rotation };
    for (said_last, expect, written) in [
        (theirs(-1), rotated.clone(), false),
        (theirs(-1), renewed.clone(), false),
        (theirs(-1), older.clone(), false),
        (kept(&refreshed), renewed.clone(), false),
        (kept(&ours), renewed.clone(), false),
        (theirs(1), late(None), false),
        (theirs(0), late(None), true),
        (theirs(1), late(Some(&name)), true),
        (theirs(1), Expect::Anything { over: None }, true),
        (kept(&ours), rotated.clone(), true),
        (kept(&before), renewed, true),
        (kept(&ours), older, true),
        (NOTHING_KEPT.to_owned(), rotated.clone(), true),
        ("what nobody has said".to_owned(), late(None), true),
    ] {
        store.plant(Slot::Session, b"something else");
        said.post(&said_last);
        let outcome = vault.commit(guard(1), expect.clone(), ours.clone()).await;
        let there = Stored::Unreadable(Unreadable::Corrupt);
        let expected = if written { Commit::Written { replaced: there } } else { Commit::Conflict(there) };
        assert_eq!(outcome, Ok(expected), "{said_last}: {expect:?}");
        let now_said = if written { kept(&ours) } else { said_last };
        assert_eq!(said.read(), Some(now_said), "{expect:?}");
    }
}

/// Nobody may go by a word that something stands there which has ended, or which has come to nothing.
#[tokio::test]
async fn a4_of_an_entry_that_is_left_alone_is_said_what_it_is() {
    let (dir, store) = (tempfile::tempdir().unwrap(), MemoryStore::new());
    let said = Bulletin::at(Some(dir.path().join("bulletin")));
    let making = store.clone();
    let vault = Vault::new(worker(Box::new(move || Box::new(making.clone()))), None, said.clone());
    let (ended, there) = (sample(), SessionRecord { sign_in: SignInId::named("theirs"), ..sample() });
    let third = kept(&SessionRecord { sign_in: SignInId::named("third"), ..sample() });
    store.plant(Slot::Session, &there.to_bytes());
    let ours = Expect::Rotation { sign_in: ended.sign_in.clone(), rotation: ended.rotation };
    for (said_last, said_then) in [(kept(&ended), kept(&there)), (third.clone(), third.clone())] {
        said.post(&said_last);
        vault.end(Erase::SignIn(ended.sign_in.clone()), None, None, |_| ()).await.unwrap();
        assert_eq!(said.read().as_ref(), Some(&said_then));
        said.post(&said_last);
        let outcome = vault.commit(guard(1), ours.clone(), Arc::new(ended.clone())).await;
        assert_eq!(outcome, Ok(Commit::Conflict(Stored::Session(Box::new(there.clone())))));
        assert_eq!(said.read(), Some(said_then));
    }
    // Whatever began earlier than this is over.
    let at = there.started_at.shifted(-1);
    let earlier = kept(&SessionRecord { started_at: at, ..ended.clone() });
    for (said_last, said_then) in [(earlier, kept(&there)), (third.clone(), third)] {
        said.post(&said_last);
        vault.end(Erase::NotAfter(at, None), None, None, |_| ()).await.unwrap();
        assert_eq!(said.read(), Some(said_then));
    }
    let third = said.read().unwrap();
    vault.correct_bulletin().await.unwrap();
    assert_eq!(said.read(), Some(kept(&there)), "whoever it was has come to nothing");
    store.plant(Slot::Session, b"something else");
    said.post(&third);
    vault.correct_bulletin().await.unwrap();
    assert_eq!(said.read(), Some(third), "what cannot be read is what was said of it");
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
