//! The store misbehaves, and nobody is signed out for it.

use std::time::Duration;

use otpless_local::{Issued, Operation, SessionState, SignIn};
use tauri_plugin_otpless::{
    EndReason, ErrorKind, SessionStatus, Storage,
    engine::{RECORD_VERSION, SessionRecord, Slot, StoreError},
};

use crate::support::{App, Device, Refused, Refusing, WRITES, eventually};

const LOCKED: StoreError = StoreError::Locked;

/// Rule 11.
#[tokio::test(flavor = "multi_thread")]
async fn a3_without_a_usable_store_the_session_lives_in_memory_and_says_so() {
    let device = Device::new().await;
    device.store.fail_all(Some(LOCKED));
    let app = device.start();
    let mut changes = app.subscribe();
    let session = app.start_session(device.issue().web()).await.unwrap();
    assert_eq!((session.status, session.storage), (SessionStatus::Active, Storage::Ephemeral));
    assert!(changes.wait_for(|s| s.storage == Storage::Ephemeral).await.is_ok(), "an event says so");
    assert!(app.diagnostics().storage_error.unwrap().contains("locked"));
    assert!(device.store.peek(Slot::Session).is_none());
    device.store.fail_all(None);
    app.look();
    app.until("the session to be stored", |session| session.storage == Storage::Keychain).await;
    assert!(device.stored().is_some(), "and it is stored as soon as the store is back");
    assert_eq!(app.diagnostics().storage_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_a_store_that_is_locked_at_start_is_not_signed_out_and_recovers_by_itself() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    device.store.fail_all(Some(LOCKED));
    let app = device.start();
    let session = app.session().await;
    assert_eq!((session.status, session.storage), (SessionStatus::Restoring, Storage::Unavailable));
    assert_eq!(app.refresh().await.unwrap_err().kind(), ErrorKind::StorageUnavailable);
    device.store.fail_all(None);
    // Who dismissed the question to unlock it is not asked again right away, but when they come back to the window.
    app.look();
    let session = app.until_status(SessionStatus::Active).await;
    assert_eq!(session.user_id, Some(issued.user_id));
    assert_eq!(session.storage, Storage::Keychain);
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_a_sign_in_while_the_store_was_locked_replaces_what_it_turns_out_to_hold() {
    let device = Device::new().await;
    let (app, old) = device.signed_in().await;
    app.kill().await;
    device.store.fail_all(Some(LOCKED));
    let app = device.start();
    let new = device.issue();
    app.start_session(new.web()).await.unwrap();
    device.store.fail_all(None);
    app.look();
    app.until("the session to be stored", |session| session.storage == Storage::Keychain).await;
    assert_eq!(device.stored().unwrap().tokens.session_id.expose(), new.session_id);
    device.control.wait_for(otpless_local::Operation::Delete, 1).await;
    assert_eq!(device.control.session_state(&old.session_id), None, "gone from the server");
}

fn is_whole(device: &Device) -> bool {
    device.store.peek(Slot::Session).is_some_and(|bytes| SessionRecord::from_bytes(&bytes).is_ok())
}

/// A4, and rule 6: nobody ends a session that somebody has because its entry rots. Who finds it so has it written anew.
#[tokio::test(flavor = "multi_thread")]
async fn a4_an_entry_that_rots_while_somebody_has_the_session_is_written_anew() {
    let device = Device::new().await;
    let (owner, _) = device.signed_in().await;
    let user = owner.current().user_id;
    let before = device.stored();
    device.store.plant(Slot::Session, b"rot");
    let other = device.start();
    other.until("the keychain to be no help", |seen| seen.storage == Storage::Unavailable).await;
    assert_eq!(other.current().status, SessionStatus::Restoring, "nobody is signed out for it");
    assert!(other.diagnostics().storage_error.is_some_and(|why| why.contains("damaged")));
    owner.look();
    eventually("the entry to be whole", || is_whole(&device)).await;
    owner.until("it to say so", |seen| seen.storage == Storage::Keychain).await;
    let (before, after) = (before.expect("a session"), device.stored().expect("it stands there again"));
    assert_eq!((after.tokens, after.rotation), (before.tokens, before.rotation));
    assert_eq!(other.until_status(SessionStatus::Active).await.user_id, user);
    for process in [&owner, &other] {
        assert_eq!(process.verify().await.expect("it is good").status, SessionStatus::Active);
    }
    // Which of them it rots for next makes no difference.
    device.store.plant(Slot::Session, b"");
    owner.kill().await;
    let third = device.start();
    third.until("the keychain to be no help", |seen| seen.storage == Storage::Unavailable).await;
    other.look();
    assert_eq!(third.until_status(SessionStatus::Active).await.user_id, user);
}

/// Who has the session dies before it has written it anew: then nobody does.
#[tokio::test(flavor = "multi_thread")]
async fn a4_what_nobody_writes_anew_any_more_is_erased() {
    let device = Device::new().await;
    let (owner, _) = device.signed_in().await;
    device.store.plant(Slot::Session, b"rot");
    let other = device.start();
    other.until("the keychain to be no help", |seen| seen.storage == Storage::Unavailable).await;
    owner.kill().await;
    let ended = other.until_status(SessionStatus::SignedOut).await;
    assert_eq!(ended.end_reason, Some(EndReason::StoreCorrupt));
    eventually("the erase", || device.store.peek(Slot::Session).is_none()).await;
}

/// Whoever says so may be wrong, or mean somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a4_what_is_said_to_be_damaged_and_is_not_stays_as_it_is() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    let before = device.stored().expect("a session");
    let directory = device.lock_directory();
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).expect("a line");
    let line = read("otpless-store.txt");
    for (claim, answered) in [
        (line.replace(before.sign_in.as_str(), "another"), false),
        ("junk\n".to_owned(), false),
        (line.clone(), true),
        // Not so soon.
        (line, false),
    ] {
        std::fs::write(directory.join("otpless-damaged.txt"), &claim).expect("a file");
        assert_eq!(one.session().await.status, SessionStatus::Active);
        assert_eq!(read("otpless-damaged.txt"), if answered { "-\n".to_owned() } else { claim });
        assert_eq!(one.current().storage, Storage::Keychain);
        assert_eq!(device.stored().as_ref(), Some(&before));
    }
}

/// Only tokens that are as good as those that stood there take their place. Of a session token that was renewed by itself the
/// one before is as good: it goes with the same refresh token.
#[tokio::test(flavor = "multi_thread")]
async fn a4_only_who_has_the_tokens_that_rotted_writes_them_anew() {
    for behind in [true, false] {
        let device = Device::new().await;
        let (one, _) = device.signed_in().await;
        let before = device.stored().expect("a session");
        let file = device.lock_directory().join("otpless-store.txt");
        let line = std::fs::read_to_string(&file).expect("a line");
        let [sign_in, _, ours, began] = line.trim_end().split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has other words");
        };
        let token = if behind { "0123456789abcdef" } else { ours };
        device.store.plant(Slot::Session, b"rot");
        let later = before.rotation + 1;
        std::fs::write(&file, format!("{sign_in} {later} {token} {began}\n")).expect("a file");
        assert_eq!(one.session().await.status, SessionStatus::Active);
        if behind {
            assert_eq!(one.current().storage, Storage::Keychain, "it waits for whoever is ahead");
            assert!(!is_whole(&device));
        } else {
            eventually("the entry to be whole", || is_whole(&device)).await;
            let after = device.stored().expect("a session");
            assert_eq!((after.tokens, after.rotation), (before.tokens, later));
        }
    }
}

/// Somebody has signed in elsewhere while the keychain of whoever had the session before refused it.
struct Replaced {
    device: Device,
    /// As `owner` has it.
    keychain: Refusing,
    owner: App,
    before: Issued,
    other: App,
    now: Issued,
}

const UNREADABLE: Refused = Refused::Read(Slot::Session);

impl Replaced {
    /// `stored`: whether the session before stood in the keychain, until that rotted.
    async fn new(stored: bool) -> Self {
        let device = Device::new().await;
        let keychain = Refusing::new(&device.store, if stored { vec![] } else { WRITES.to_vec() });
        let owner = device.start_with(keychain.maker());
        let before = device.issue();
        owner.start_session(before.web()).await.expect("the sign-in is accepted");
        // Its keychain refuses what it would write anew.
        keychain.refuses(WRITES);
        if stored {
            device.store.plant(Slot::Session, b"rot");
        }
        let other = device.start();
        if stored {
            other.until("the keychain to be no help", |seen| seen.storage == Storage::Unavailable).await;
            owner.look();
        }
        owner.until("it to be in memory only", |seen| seen.storage == Storage::Ephemeral).await;
        keychain.refuses([UNREADABLE, WRITES[0], WRITES[1]]);
        device.time_passes(Duration::from_secs(1));
        let now = device.control.sign_in(SignIn { phone: Some("4915112345678".into()), ..SignIn::default() });
        other.start_session(now.web()).await.expect("the sign-in is accepted");
        Self { device, keychain, owner, before, other, now }
    }

    /// And what the keychain has of the new session is damaged.
    async fn rotten(stored: bool) -> Self {
        let replaced = Self::new(stored).await;
        replaced.device.store.plant(Slot::Session, b"rot");
        replaced
    }

    /// The keychain of `owner` refuses nothing any more but `refused`.
    fn answers(&self, refused: impl Into<Vec<Refused>>) {
        self.keychain.refuses(refused);
        self.owner.look();
    }

    /// What was there before is over where it was shown, and nothing has been written over what replaced it.
    async fn is_replaced(&self) {
        let ended = self.owner.until("the end", |seen| seen.status != SessionStatus::Active).await;
        assert_eq!((ended.status, ended.end_reason), (SessionStatus::SignedOut, Some(EndReason::Replaced)));
        let bytes = self.device.store.peek(Slot::Session).expect("an entry");
        let there = SessionRecord::from_bytes(&bytes).ok();
        assert!(there.is_none_or(|there| there.tokens.session_id.expose() == self.now.session_id));
    }

    async fn is_revoked(&self) {
        revoked(&self.device, &self.before).await;
        assert_eq!(self.device.control.session_state(&self.now.session_id), Some(SessionState::Active));
    }

    /// Whoever has the session that is damaged writes it anew, and both show it.
    async fn is_written_anew(&self) {
        eventually("the entry to be whole", || {
            // The one asks for it, the other hears of that.
            self.owner.look();
            self.other.look();
            is_whole(&self.device)
        })
        .await;
        let stored = self.device.stored().expect("a session");
        assert_eq!(stored.tokens.session_id.expose(), self.now.session_id);
        for process in [&self.owner, &self.other] {
            let session = process.until_status(SessionStatus::Active).await;
            assert_eq!(session.user_id.as_ref(), Some(&self.now.user_id));
        }
        assert_eq!(self.other.verify().await.expect("it is good").status, SessionStatus::Active);
    }
}

async fn revoked(device: &Device, over: &Issued) {
    let gone = || device.control.session_state(&over.session_id).is_none();
    eventually("the server to be told", gone).await;
}

/// Whoever had the session before does not bring it back, and the server hears of its end although nobody could read whose it was.
#[tokio::test(flavor = "multi_thread")]
async fn a4_what_rots_after_another_sign_in_is_not_written_over_with_the_session_before() {
    let rotten = Replaced::rotten(true).await;
    rotten.answers([]);
    rotten.is_replaced().await;
    rotten.is_written_anew().await;
    rotten.is_revoked().await;
}

/// Nor if no keychain ever had that; and its end leaves the entry alone.
#[tokio::test(flavor = "multi_thread")]
async fn a4_what_was_never_stored_gives_way_to_a_later_sign_in_whose_entry_rots() {
    let rotten = Replaced::rotten(false).await;
    rotten.answers([]);
    rotten.is_replaced().await;
    rotten.is_written_anew().await;
    rotten.is_revoked().await;
}

/// Whose end could be noted nowhere is not forgotten with the next sign-in, nor is the one that was damaged.
#[tokio::test(flavor = "multi_thread")]
async fn b12_a_session_that_was_replaced_unread_is_revoked_after_the_next_sign_in() {
    let rotten = Replaced::rotten(true).await;
    rotten.answers([Refused::Write(Slot::Revocations)]);
    rotten.is_replaced().await;
    assert_eq!(
        rotten.device.control.count(Operation::Delete),
        0,
        "the same may have been signed in to again"
    );
    let last = rotten.device.issue();
    rotten.owner.start_session(last.web()).await.expect("the sign-in is accepted");
    revoked(&rotten.device, &rotten.before).await;
    let Replaced { device, other, now, .. } = &rotten;
    eventually("the server to be told of that, too", || {
        other.look();
        device.control.session_state(&now.session_id).is_none()
    })
    .await;
    assert_eq!(rotten.device.control.session_state(&last.session_id), Some(SessionState::Active));
}

/// Nobody has the damaged session any more: with it goes the doubt whether it was the same as the one before.
#[tokio::test(flavor = "multi_thread")]
async fn b12_a_session_that_was_replaced_unread_is_revoked_when_the_damaged_entry_is_erased() {
    let Replaced { device, keychain, owner, before, other, .. } = Replaced::rotten(true).await;
    keychain.refuses([]);
    owner.look();
    owner.until_status(SessionStatus::SignedOut).await;
    eventually("the note", || device.store.peek(Slot::Revocations).is_some()).await;
    for process in [owner, other] {
        process.kill().await;
    }
    assert_eq!(device.control.count(Operation::Delete), 0);
    let app = device.start();
    assert_eq!(app.until_status(SessionStatus::SignedOut).await.end_reason, Some(EndReason::StoreCorrupt));
    revoked(&device, &before).await;
    eventually("no note to be left", || device.store.peek(Slot::Revocations).is_none()).await;
}

/// The same if it is written anew: asked to by somebody, or because it has been refreshed.
#[tokio::test(flavor = "multi_thread")]
async fn b12_a_session_that_was_replaced_unread_is_revoked_when_the_damaged_entry_is_written_anew() {
    for asked in [true, false] {
        let Replaced { device, keychain, owner, before, other, .. } = Replaced::new(true).await;
        let whole = device.store.peek(Slot::Session).expect("an entry");
        device.store.plant(Slot::Session, b"rot");
        keychain.refuses([]);
        owner.look();
        owner.until_status(SessionStatus::SignedOut).await;
        eventually("the note", || device.store.peek(Slot::Revocations).is_some()).await;
        owner.kill().await;
        assert_eq!(device.control.count(Operation::Delete), 0);
        if asked {
            let file = |name: &str| device.lock_directory().join(name);
            std::fs::copy(file("otpless-store.txt"), file("otpless-damaged.txt")).expect("two files");
            other.look();
        } else {
            // It is found damaged only when it is written.
            device.store.plant(Slot::Session, &whole);
            let (gate, refresh) = other.refresh_held_up(&device.control).await;
            device.store.plant(Slot::Session, b"rot");
            gate.release();
            refresh.await.expect("no panic").expect("the exchange is made");
        }
        eventually("the entry to be whole", || is_whole(&device)).await;
        revoked(&device, &before).await;
        eventually("no note to be left", || device.store.peek(Slot::Revocations).is_none()).await;
        assert_eq!(other.current().status, SessionStatus::Active);
    }
}

/// Who signs in where the entry is damaged cannot read whose end is owed; who has that session can.
#[tokio::test(flavor = "multi_thread")]
async fn b12_a_session_whose_entry_rots_before_it_is_replaced_is_revoked() {
    // Whoever starts only then finds it damaged before it signs in.
    for starts_before in [true, false] {
        let device = Device::new().await;
        let earlier = device.start();
        earlier.until_status(SessionStatus::SignedOut).await;
        let (owner, before) = device.signed_in().await;
        device.store.plant(Slot::Session, b"rot");
        let now = device.control.sign_in(SignIn { phone: Some("4915112345678".into()), ..SignIn::default() });
        let signing_in = if starts_before { earlier } else { device.start() };
        signing_in.start_session(now.web()).await.expect("the sign-in is accepted");
        owner.look();
        owner.until("it to be over", |seen| seen.user_id.as_ref() != Some(&before.user_id)).await;
        revoked(&device, &before).await;
        assert_eq!(device.control.session_state(&now.session_id), Some(SessionState::Active));
    }
}

/// Nor can who signs in while it is being written anew.
#[tokio::test(flavor = "multi_thread")]
async fn b12_a_session_that_is_replaced_before_it_was_written_anew_is_revoked() {
    let replaced = Replaced::new(true).await;
    replaced.answers([]);
    let now = &replaced.now.user_id;
    replaced.owner.until("it to be adopted", |seen| seen.user_id.as_ref() == Some(now)).await;
    replaced.is_revoked().await;
}

/// What was said of the entry last may be of a sign-in that has come to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a4_a_session_does_not_give_way_to_one_that_is_known_to_be_over() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let before = device.stored().expect("a session");
    let file = |name: &str| device.lock_directory().join(name);
    let ours = std::fs::read_to_string(file("otpless-store.txt")).expect("a line");
    let began = before.started_at.0 + 1;
    std::fs::write(file("otpless-over.txt"), "inactive gone\n").expect("a file");
    std::fs::write(file("otpless-store.txt"), format!("gone 0 0123456789abcdef {began}\n")).expect("a file");
    device.store.plant(Slot::Session, b"rot");
    assert_eq!(app.session().await.status, SessionStatus::Active);
    eventually("the entry to be whole", || is_whole(&device)).await;
    assert_eq!(device.stored().expect("a session").tokens, before.tokens);
    assert_eq!(std::fs::read_to_string(file("otpless-store.txt")).expect("a line"), ours);
    app.until("it to say so", |seen| seen.storage == Storage::Keychain).await;
}

/// The same while the one before is being refreshed.
#[tokio::test(flavor = "multi_thread")]
async fn a4_a_refresh_does_not_write_over_what_rots_after_another_sign_in() {
    let device = Device::new().await;
    let (owner, before) = device.signed_in().await;
    let other = device.start();
    other.until_status(SessionStatus::Active).await;
    let (gate, refresh) = owner.refresh_held_up(&device.control).await;
    let now = device.control.sign_in(SignIn { phone: Some("4915112345678".into()), ..SignIn::default() });
    other.start_session(now.web()).await.expect("the sign-in is accepted");
    device.store.plant(Slot::Session, b"rot");
    gate.release();
    let error = refresh.await.expect("no panic").expect_err("it has been replaced");
    assert_eq!(error.kind(), ErrorKind::SessionChanged);
    let keychain = Refusing::new(&device.store, []);
    let rotten = Replaced { device, keychain, owner, before, other, now };
    rotten.is_replaced().await;
    rotten.is_written_anew().await;
    rotten.is_revoked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_damaged_bytes_are_reported_erased_once_and_end_at_the_sign_in_page() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    let good = device.store.peek(Slot::Session).unwrap();
    for bytes in
        [&b""[..], &good[..good.len() - 1], &good[..20], b"\xff\xfe garbage", b"otpless-session/1 2 00\n{}"]
    {
        device.store.plant(Slot::Session, bytes);
        let app = device.start();
        let session = app.session().await;
        assert_eq!(
            (session.status, session.end_reason),
            (SessionStatus::SignedOut, Some(EndReason::StoreCorrupt))
        );
        eventually("the purge", || device.store.peek(Slot::Session).is_none()).await;
        app.kill().await;
        let session = device.glance().await;
        assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, None), "no loop");
    }
    let app = device.start();
    app.start_session(issued.web()).await.expect("signing in again works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_bytes_of_a_newer_version_are_reported_and_left_alone_until_somebody_signs_in() {
    let device = Device::new().await;
    let body = r#"{"anything":"newer"}"#;
    let digest = ring_hex(body.as_bytes());
    let newer = format!("otpless-session/{} {} {digest}\n{body}", RECORD_VERSION + 1, body.len());
    device.store.plant(Slot::Session, newer.as_bytes());
    let app = device.start();
    let session = app.session().await;
    assert_eq!(
        (session.status, session.end_reason),
        (SessionStatus::SignedOut, Some(EndReason::StoreCorrupt))
    );
    assert!(app.diagnostics().storage_error.unwrap().contains("newer version"));
    assert_eq!(
        device.store.peek(Slot::Session).unwrap().as_slice(),
        newer.as_bytes(),
        "a downgrade loses nothing"
    );
    app.start_session(device.issue().web()).await.unwrap();
    assert!(device.stored().is_some());
}

fn ring_hex(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref()[..8]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_a_record_whose_token_is_not_genuine_is_not_a_session() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    app.kill().await;
    let mut record = device.stored().unwrap();
    let (signed, _) = record.tokens.session_token.expose().rsplit_once('.').unwrap();
    record.tokens.session_token = format!("{signed}.{}", "A".repeat(342)).as_str().into();
    device.store.plant(Slot::Session, &record.to_bytes());
    let app = device.start();
    // Not on the word of kept keys: only the issuer's own key set settles it.
    let session = app.until_status(SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::InvalidToken));
    eventually("the purge", || device.store.peek(Slot::Session).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_while_the_keychain_is_locked_is_final_although_nobody_knows_what_it_holds() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    device.store.fail_all(Some(LOCKED));
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::Restoring);
    assert_eq!(app.logout().await.status, SessionStatus::SignedOut);
    app.kill().await;
    device.store.fail_all(None);
    assert!(device.stored().is_some(), "the erase really did not get through");
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::SignedOut);
    eventually("the erase to be made up for", || device.stored().is_none()).await;
    device.control.wait_for(otpless_local::Operation::Delete, 1).await;
    assert_eq!(device.control.session_state(&issued.session_id), None, "and the server was told");
    app.start_session(device.issue().web()).await.unwrap();
    app.kill().await;
    assert_eq!(device.glance().await.status, SessionStatus::Active, "a later sign-in is not meant by it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_a_newer_version_has_taken_over_is_neither_spent_nor_erased_by_the_older() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let body = r#"{"anything":"newer"}"#;
    let newer = format!(
        "otpless-session/{} {} {}\n{body}",
        RECORD_VERSION + 1,
        body.len(),
        ring_hex(body.as_bytes())
    );
    device.store.plant(Slot::Session, newer.as_bytes());
    let error = app.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert_eq!(device.control.count(otpless_local::Operation::Refresh), 0, "its token is not spent");
    device.control.revoke_all();
    assert_eq!(app.verify().await.unwrap().status, SessionStatus::SignedOut);
    app.settle(crate::support::PATIENCE).await;
    assert_eq!(device.store.peek(Slot::Session).unwrap().as_slice(), newer.as_bytes());
}
