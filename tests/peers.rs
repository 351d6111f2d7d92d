//! Several processes of one app: what one does to the session, the others see at their next look.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use otpless_local::{Fault, Operation};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    EndReason, ErrorKind, SessionStatus, Storage,
    engine::{MemoryActivityLog, MemoryStore, Policy, SessionManager, SessionStore, Slot, StoreError},
};
use zeroize::Zeroizing;

use crate::support::{Device, Gate, Gated, Refusing, WRITES, eventually};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Rule 10: whoever is asked after a logout in another process says so, without having been told.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_in_one_process_is_a_logout_in_all() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::Active);
    one.logout().await;
    let session = other.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Logout)));
}

/// And why: only one of them has heard the verdict, and nothing that one process remembers for itself is the other's.
#[tokio::test(flavor = "multi_thread")]
async fn c11_an_end_in_one_process_has_the_same_reason_in_all() {
    let device = Device::new().await;
    let start = || device.start_with_log(Arc::new(MemoryActivityLog::default()));
    let (one, other) = (start(), start());
    let issued = device.issue();
    one.start_session(issued.web()).await.expect("the sign-in is accepted");
    other.session().await;
    // It has keys of its own to fetch.
    other.until_status(SessionStatus::Active).await;
    assert!(device.control.revoke(&issued.session_id));
    let session = one.verify().await.expect("the server could be asked");
    assert_eq!(session.end_reason, Some(EndReason::Revoked));
    eventually("the erase", || device.stored().is_none()).await;
    let session = other.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Revoked)));
    assert_eq!(device.control.count(Operation::Authenticate), 1, "the other has asked nobody");
}

/// The later of two sign-ins ends before the keychain has taken it, and takes the earlier with it: that was replaced, and
/// nobody has signed out. The simulation's seed 970000991.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_session_that_goes_with_its_successor_was_replaced() {
    let device = Device::new().await;
    let start = || device.start_with_log(Arc::new(MemoryActivityLog::default()));
    let (one, other) = (start(), start());
    assert_eq!(one.session().await.status, SessionStatus::SignedOut);
    other.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    device.store.fail_all(Some(StoreError::Locked));
    let later = device.issue();
    let session = one.start_session(later.web()).await.expect("the sign-in is accepted");
    assert_eq!(session.storage, Storage::Ephemeral);
    assert!(device.control.revoke(&later.session_id));
    let session = one.verify().await.expect("the server could be asked");
    assert_eq!(session.end_reason, Some(EndReason::Revoked));
    device.store.fail_all(None);
    device.time_passes(2 * MINUTE);
    one.look();
    eventually("the erase", || device.stored().is_none()).await;
    let ended = other
        .until("the end to be heard of", |session| {
            other.look();
            session.status == SessionStatus::SignedOut
        })
        .await;
    assert_eq!(ended.end_reason, Some(EndReason::Replaced));
}

/// The same of one that this process has never shown: whoever takes its place in the keychain says so at once.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_session_whose_place_was_taken_unseen_was_replaced() {
    let device = Device::new().await;
    let one = device.start_with_log(Arc::new(MemoryActivityLog::default()));
    one.until_status(SessionStatus::SignedOut).await;
    let (other, _) = device.signed_in().await;
    other.kill().await;
    let earlier = device.stored().expect("it is stored").sign_in;
    one.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    let told = std::fs::read_to_string(device.lock_directory().join("otpless-over.txt")).expect("it is told");
    assert_eq!(told.trim_end(), format!("replaced {}", earlier.as_str()));
}

/// Whatever is asked of another process after that: no answer holds a token, and nothing is done for the user any more.
#[tokio::test(flavor = "multi_thread")]
async fn c11_after_a_logout_elsewhere_no_question_is_answered_with_a_token() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    let others: Vec<_> = (0..5).map(|_| device.start()).collect();
    for other in &others {
        assert_eq!(other.session().await.status, SessionStatus::Active);
    }
    one.logout().await;
    let [token, refresh, verify, current, activity] = &others[..] else { unreachable!("five of them") };
    assert_eq!(token.session_token(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::NotSignedIn);
    assert_eq!(refresh.refresh().await.unwrap_err().kind(), ErrorKind::NotSignedIn);
    assert_eq!(verify.verify().await.unwrap_err().kind(), ErrorKind::NotSignedIn);
    assert_eq!(current.current().status, SessionStatus::SignedOut);
    assert_eq!(activity.record_activity().status, SessionStatus::SignedOut);
}

/// The erase did not get through, and what the app had noted of the logout was lost: the other processes' word is enough.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_that_is_noted_nowhere_else_is_believed_at_a_start() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    device.store.fail_all(Some(StoreError::Locked));
    one.logout().await;
    one.kill().await;
    device.store.fail_all(None);
    let app = device.start_with_log(Arc::new(MemoryActivityLog::default()));
    let mut shown = app.subscribe();
    let session = shown.wait_for(|session| session.status != SessionStatus::Restoring).await.unwrap().clone();
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Logout)));
    eventually("the erase", || device.stored().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_in_one_process_is_there_in_the_others() {
    let device = Device::new().await;
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::SignedOut);
    let (one, _) = device.signed_in().await;
    let session = other.session().await;
    assert_eq!(session.user_id, one.current().user_id);
    assert_eq!(other.until_status(SessionStatus::Active).await.storage, Storage::Keychain);
}

/// C11: one that is signed in to again is not revoked by the process that owes the server its earlier end.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_session_signed_in_to_again_elsewhere_is_not_revoked() {
    let device = Device::new().await;
    let (one, issued) = device.signed_in().await;
    one.kill().await;
    let other = device.start();
    other.until_status(SessionStatus::Active).await;
    device.control.fault(Operation::Delete, Fault::ServerError500, usize::MAX);
    other.logout().await;
    eventually("the first try", || device.control.count(Operation::Delete) > 0).await;
    assert_eq!(other.diagnostics().pending_revocations, 1);
    let one = device.start();
    one.start_session(issued.web()).await.expect("the session is good");
    other.session().await;
    other.until_status(SessionStatus::Active).await;
    assert_eq!(other.diagnostics().pending_revocations, 0);
    device.control.clear_faults();
    assert_eq!(one.verify().await.expect("it is good").status, SessionStatus::Active);
}

/// C11: the same, and the other shows it still; whether it hears of the logout first or of both in one go.
#[tokio::test(flavor = "multi_thread")]
async fn c11_who_hears_of_a_logout_and_of_the_same_session_again_does_not_end_that() {
    let device = Device::new().await;
    let (one, issued) = device.signed_in().await;
    let other = device.start();
    other.until_status(SessionStatus::Active).await;
    device.control.fault(Operation::Delete, Fault::ServerError500, usize::MAX);
    one.logout().await;
    // One that is under way would end the session again.
    eventually("the first try", || device.control.count(Operation::Delete) > 0).await;
    one.start_session(issued.web()).await.expect("the session is good");
    let again = device.stored().expect("it is stored").sign_in;
    other.current();
    other.until("the same session again", |seen| seen.status == SessionStatus::Active).await;
    assert_eq!(other.diagnostics().pending_revocations, 0);
    let tries = device.control.count(Operation::Delete);
    device.control.clear_faults();
    device.time_passes(MINUTE);
    for process in [&other, &one] {
        process.look();
        assert_eq!(process.verify().await.expect("it is good").status, SessionStatus::Active);
    }
    assert_eq!(device.stored().map(|record| record.sign_in), Some(again));
    assert_eq!(device.control.count(Operation::Delete), tries, "it is owed by nobody");
    one.kill().await;
    other.kill().await;
    assert_eq!(device.glance().await.status, SessionStatus::Active, "whatever is noted of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_reaches_a_session_that_no_keychain_took() {
    let device = Device::new().await;
    device.store.fail_all(Some(StoreError::Locked));
    let (one, _) = device.signed_in().await;
    assert_eq!(one.current().storage, Storage::Ephemeral);
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::Restoring, "nobody knows who is signed in");
    other.logout().await;
    let session = one.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Logout)));
}

/// A logout that the keychain takes late must not take the session with it that somebody has signed in to since.
#[tokio::test(flavor = "multi_thread")]
async fn a9_an_erase_that_comes_late_leaves_a_later_sign_in_alone() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    device.store.fail_all(Some(StoreError::Locked));
    one.logout().await;
    device.store.fail_all(None);
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::SignedOut, "it was noted outside the keychain");
    let session = other.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    device.time_passes(2 * MINUTE);
    one.look();
    one.until("the later sign-in, in the first process as well", |seen| seen.user_id == session.user_id)
        .await;
    assert_eq!(other.session().await.status, SessionStatus::Active);
    assert_eq!(device.stored().map(|record| record.user_id), session.user_id);
}

/// Rule 8: activity in any window of any process counts.
#[tokio::test(flavor = "multi_thread")]
async fn c8_activity_in_another_process_keeps_the_session() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    let (one, _) = device.signed_in().await;
    let other = device.start();
    other.session().await;
    device.time_passes(20 * MINUTE);
    other.record_activity();
    device.time_passes(20 * MINUTE);
    assert_eq!(one.session().await.status, SessionStatus::Active, "the user is in the other one");
    device.time_passes(20 * MINUTE);
    let session = one.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Inactive)));
}

/// Rule 4: while the keychain does not take the tokens that one process was given, the others must not spend the old ones
/// again, and need not: they take over the new ones as soon as they are stored.
#[tokio::test(flavor = "multi_thread")]
async fn a7_tokens_that_are_not_stored_yet_are_waited_for() {
    let device = Device::new().await;
    let (first, issued) = device.signed_in().await;
    first.kill().await;
    let store = Refusing::new(&device.store, WRITES);
    let one = device.start_with(store.maker());
    one.session().await;
    device.time_passes(24 * HOUR);
    one.refresh().await.expect("the exchange is made");
    assert_eq!(one.current().storage, Storage::Ephemeral);
    // It would wait for the lock; what it asks meanwhile is answered from memory.
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::Stale);
    store.refuses([]);
    device.time_passes(2 * MINUTE);
    one.look();
    eventually("the tokens in the keychain", || one.current().storage == Storage::Keychain).await;
    other.session().await;
    other.until_status(SessionStatus::Active).await;
    assert_eq!(device.control.replays(), 0);
    assert!(device.control.session_state(&issued.session_id).is_some());
}

/// Rule 6: tokens that have expired are no reason to end a session whose new ones another process holds, which the keychain
/// has not taken. When that process is gone they are lost, and then it is one.
#[tokio::test(flavor = "multi_thread")]
async fn a7_the_expiry_of_old_tokens_says_nothing_while_a_peer_holds_the_new() {
    let device = Device::new().await;
    let (first, _) = device.signed_in().await;
    first.kill().await;
    let one = device.start_with(Refusing::new(&device.store, WRITES).maker());
    let other = device.start();
    // The server tells it the time.
    assert_eq!(other.verify().await.expect("the session is good").status, SessionStatus::Active);
    device.time_passes(23 * HOUR);
    one.refresh().await.expect("the exchange is made");
    assert_eq!(one.current().storage, Storage::Ephemeral);
    assert_eq!(other.session().await.status, SessionStatus::Active);

    device.control.fault(Operation::Refresh, Fault::ServerError500, usize::MAX);
    device.time_passes(6 * 24 * HOUR + 12 * HOUR);
    assert_eq!(
        other.session().await.status,
        SessionStatus::Stale,
        "the session goes on in the other process"
    );

    one.kill().await;
    let session = other.until_status(SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::Expired));
    assert_eq!(device.control.replays(), 0);
}

/// C4: a keychain that fails for a moment, just when it has the tokens of another process, is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn c4_tokens_of_another_process_are_worth_more_than_one_look() {
    let device = Device::new().await;
    let (one, _) = device.signed_in().await;
    let other = device.start();
    other.session().await;
    one.refresh().await.expect("the exchange is made");
    device.store.fail_next(StoreError::Unavailable("it is being restarted"));
    other.refresh().await.expect("the tokens are there");
    assert_eq!(device.control.count(Operation::Refresh), 1);

    device.time_passes(MINUTE);
    one.refresh().await.expect("the exchange is made");
    device.store.fail_all(Some(StoreError::Unavailable("it went away")));
    let error = other.refresh().await.expect_err("the tokens are not to be had");
    assert_eq!(error.kind(), ErrorKind::StorageUnavailable);
    assert!(error.to_string().contains("it went away"), "{error}");
    // A verdict about a token that was replaced is none, and no verification either.
    device.control.fault(Operation::Authenticate, Fault::NotActive7415, 1);
    let error = other.verify().await.expect_err("nothing was verified");
    assert_eq!(error.kind(), ErrorKind::StorageUnavailable);
    assert_eq!(other.current().status, SessionStatus::Active);
    assert_eq!((device.control.count(Operation::Refresh), device.control.replays()), (2, 0));
}

/// C4: what `authenticate` renews while the keychain is locked is no rotation: it does not stand up against one.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_session_token_renewed_in_memory_gives_way_to_a_rotation() {
    let device = Device::new().await;
    let (one, issued) = device.signed_in().await;
    let other = device.start();
    other.session().await;

    device.store.fail_all(Some(StoreError::Locked));
    let mut claims = device.control.claims(&issued.session_id).expect("the session is there");
    for renewal in 1..=2 {
        claims["exp"] = (claims["exp"].as_i64().expect("a time") + 600).into();
        let renewed = device.control.mint(claims.clone(), Value::Null);
        let body = json!({ "sessionTokenJWT": renewed });
        device.control.fault(Operation::Authenticate, Fault::Status(200, body.to_string()), 1);
        device.time_passes(MINUTE);
        other.verify().await.expect("the session is good");
        let token = other.session_token(Duration::ZERO).await.expect("it is valid");
        assert_eq!(token.token.expose(), renewed, "renewal {renewal}");
    }
    device.store.fail_all(None);

    // Nobody can read what the rotated tokens say of their own age: their key is not to be had.
    device.control.rotate_keys(false);
    device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
    one.refresh().await.expect("the exchange is made");
    device.time_passes(5 * MINUTE);
    other.look();
    other.refresh().await.expect("what is in the keychain is taken over");
    assert_ne!(other.current().status, SessionStatus::SignedOut);
    assert_eq!(device.control.replays(), 0);
    let kept = device.stored().expect("the session is kept").tokens.refresh_token;
    let issued = device.control.tokens(&issued.session_id).expect("the session is there");
    assert_eq!(kept.expose(), issued.refresh_token, "the latest is in the keychain");
}

/// A keychain that takes what is written and says that it has not, while it is told to.
#[derive(Debug)]
struct DeniesIt(MemoryStore, Arc<AtomicBool>);

impl SessionStore for DeniesIt {
    fn read(&mut self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.0.read(slot)
    }

    fn write(&mut self, slot: Slot, value: &[u8]) -> Result<(), StoreError> {
        self.0.write(slot, value)?;
        if self.1.load(Ordering::SeqCst) { Err(StoreError::Unavailable("it hung")) } else { Ok(()) }
    }

    fn erase(&mut self, slot: Slot) -> Result<(), StoreError> {
        self.0.erase(slot)
    }

    fn backend(&self) -> &'static str {
        "denies it"
    }
}

/// C4: a process that could not store its tokens, for all it knows, does not write them over those that another process has
/// bought with them, though nobody could verify these yet. The simulation's seed 41007154.
#[tokio::test(flavor = "multi_thread")]
async fn c4_what_seems_not_to_be_stored_is_not_stored_over_a_later_exchange() {
    let device = Device::new().await;
    let denies = Arc::new(AtomicBool::new(true));
    let (store, denying) = (device.store.clone(), denies.clone());
    let one = device.start_with(move || Box::new(DeniesIt(store.clone(), denying.clone())));
    let issued = device.issue();
    let session = one.start_session(issued.web()).await.expect("the sign-in is accepted");
    assert_eq!(session.storage, Storage::Ephemeral);
    assert!(device.stored().is_some(), "it is there all the same");

    device.control.rotate_keys(false);
    device.control.fault(Operation::Jwks, Fault::ServerError500, usize::MAX);
    let other = device.start();
    other.session().await;
    other.refresh().await.expect("the exchange is made");
    let rotated = device.stored().expect("an entry");
    assert_eq!((rotated.refreshes, rotated.expires_at), (1, None), "nobody can read what the new tokens say");

    denies.store(false, Ordering::SeqCst);
    device.time_passes(MINUTE);
    one.look();
    one.until("its session to be in the keychain", |session| session.storage == Storage::Keychain).await;
    let current = device.control.tokens(&issued.session_id).expect("the session is there").refresh_token;
    assert_eq!(device.stored().expect("an entry").tokens.refresh_token.expose(), current);
    device.time_passes(2 * MINUTE);
    one.refresh().await.expect("what it has taken over is good");
    assert_eq!((device.control.count(Operation::Refresh), device.control.replays()), (2, 0));
}

/// C4: nor over those that it has taken over itself, while its attempt to store the ones before was waiting for the keychain.
/// The simulation's seed 940001841.
#[tokio::test]
async fn c4_what_waits_to_be_stored_is_not_stored_over_what_was_taken_over_meanwhile() {
    let device = Device::new().await;
    let (denies, gate) = (Arc::new(AtomicBool::new(true)), Arc::new(Gate::default()));
    let (store, denying, its_gate) = (device.store.clone(), denies.clone(), gate.clone());
    let one = device
        .start_with(move || Box::new(Gated(DeniesIt(store.clone(), denying.clone()), its_gate.clone())));
    let issued = device.issue();
    let session = one.start_session(issued.web()).await.expect("the sign-in is accepted");
    assert_eq!(session.storage, Storage::Ephemeral);
    let other = device.start();
    other.session().await;
    other.refresh().await.expect("the exchange is made");

    denies.store(false, Ordering::SeqCst);
    gate.set(true);
    let manager = SessionManager::clone(&one);
    let refreshed = tokio::spawn(async move { manager.refresh().await });
    eventually("the look at what the other has stored", || gate.waiting() == 1).await;
    device.time_passes(MINUTE);
    one.look();
    // This thread runs all of the process but its keychain: after so many turns the attempt to store stands in line.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    gate.set(false);
    refreshed.await.expect("no panic").expect("the other's tokens are taken over");
    one.until("its session to be in the keychain", |session| session.storage == Storage::Keychain).await;
    // Whoever starts now has nothing but what is in the keychain.
    let third = device.start();
    third.session().await;
    device.time_passes(2 * MINUTE);
    third.refresh().await.expect("what the keychain holds is good");
    assert_eq!((device.control.count(Operation::Refresh), device.control.replays()), (2, 0));
    let current = device.control.tokens(&issued.session_id).expect("the session is there").refresh_token;
    assert_eq!(device.stored().expect("an entry").tokens.refresh_token.expose(), current);
}

/// C4: another process renews the session token while this one refreshes, and the entry rots: what the refresh has brought is
/// counted beyond that although the keychain cannot show it, and so is taken over.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_rotation_over_a_renewal_that_rots_is_taken_over() {
    let device = Device::new().await;
    let (one, issued) = device.signed_in().await;
    let other = device.start();
    other.until_status(SessionStatus::Active).await;
    device.time_passes(MINUTE);
    let (gate, refresh) = one.refresh_held_up(&device.control).await;
    let mut claims = device.control.claims(&issued.session_id).expect("the session is there");
    claims["exp"] = (claims["exp"].as_i64().expect("a time") + 600).into();
    let body = json!({ "sessionTokenJWT": device.control.mint(claims, Value::Null) });
    device.control.fault(Operation::Authenticate, Fault::Status(200, body.to_string()), 1);
    other.verify().await.expect("the session is good");
    assert_eq!(device.stored().expect("a session").rotation, 1, "the renewal is stored");
    device.store.plant(Slot::Session, b"rot");
    gate.release();
    let refreshed = refresh.await.expect("no panic").expect("the exchange is made");
    other.look();
    other.until("it to be taken over", |session| session.expires_at == refreshed.expires_at).await;
    device.time_passes(MINUTE);
    other.refresh().await.expect("the tokens are good");
    assert_eq!(device.control.replays(), 0);
}

/// C4: nor does a count that is behind what was said of it bring one back.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_rotation_is_counted_beyond_whatever_was_said() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let (gate, refresh) = app.refresh_held_up(&device.control).await;
    let file = device.lock_directory().join("otpless-store.txt");
    let line = std::fs::read_to_string(&file).expect("a line");
    std::fs::write(&file, line.replacen(" 0 ", " 5 ", 1)).expect("a file");
    let mut behind = device.stored().expect("a session");
    behind.rotation = 1;
    device.store.plant(Slot::Session, &behind.to_bytes());
    gate.release();
    refresh.await.expect("no panic").expect("the exchange is made");
    assert_eq!(device.stored().expect("a session").rotation, 6);
    // Nobody counts so far.
    let line = std::fs::read_to_string(&file).expect("a line");
    std::fs::write(&file, line.replacen(" 6 ", &format!(" {} ", u64::MAX - 1), 1)).expect("a file");
    device.time_passes(MINUTE);
    app.refresh().await.expect("the exchange is made");
    assert_eq!(device.stored().expect("a session").rotation, 7);
}

/// C6: another process's heartbeat brings a new session token, and no other refresh token: the one that the server could not
/// take waits as before.
#[tokio::test(flavor = "multi_thread")]
async fn c6_a_session_token_that_another_process_has_renewed_does_not_hurry_an_exchange_that_failed() {
    let device = Device::new().await;
    let (one, issued) = device.signed_in().await;
    let other = device.start();
    other.session().await;

    device.time_passes(MINUTE);
    device.control.fault(Operation::Refresh, Fault::ServerError500, 1);
    other.refresh().await.expect_err("the server has trouble");
    let mut claims = device.control.claims(&issued.session_id).expect("the session is there");
    claims["exp"] = (claims["exp"].as_i64().expect("a time") + 60).into();
    let renewed = device.control.mint(claims, Value::Null);
    let body = json!({ "sessionTokenJWT": renewed });
    device.control.fault(Operation::Authenticate, Fault::Status(200, body.to_string()), 1);
    one.verify().await.expect("the session is good");
    let until = one.current().expires_at;
    other.look();
    other.until("the renewed token to be taken over", |session| session.expires_at == until).await;

    device.time_passes(MINUTE / 3);
    other.refresh().await.expect_err("it waits");
    assert_eq!(device.control.count(Operation::Refresh), 1, "the same token is not offered again so soon");
    device.time_passes(5 * MINUTE);
    other.refresh().await.expect("the server is well");
}
