//! Every way a session ends: by the user, by a deadline; and that it stays ended.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use otpless_local::{Fault, Operation, SessionState};
use serde_json::Value;
use tauri_plugin_otpless::{
    EndReason, ErrorKind, SessionStatus,
    engine::{ActivityLog, MemoryActivityLog, SessionManager, Slot, StoreError},
};

use crate::support::{Device, Gate, Gated, Refused, Refusing, eventually};

const MINUTE: Duration = Duration::from_secs(60);

/// Rule 10.
#[tokio::test(flavor = "multi_thread")]
async fn logout_erases_tells_everyone_and_revokes() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    let session = app.logout().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Logout)));
    assert!(device.store.peek(Slot::Session).is_none(), "erased before logout answers");
    device.control.wait_for(Operation::Delete, 1).await;
    assert_eq!(device.control.session_state(&issued.session_id), None, "gone from the server");
    eventually("the outbox to be empty", || device.store.peek(Slot::Revocations).is_none()).await;
    assert_eq!(app.session_token(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::NotSignedIn);
}

/// Rule 10.
#[tokio::test(flavor = "multi_thread")]
async fn a9_logout_with_the_server_down_is_final_and_the_revocation_arrives_after_a_restart() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.otpless.go_offline().await;
    assert_eq!(app.logout().await.status, SessionStatus::SignedOut);
    assert!(device.store.peek(Slot::Session).is_none());
    let outbox = device.store.peek(Slot::Revocations).expect("the revocation waits in the keychain");
    let outbox = String::from_utf8(outbox.to_vec()).unwrap();
    assert!(outbox.contains(&issued.session_id));
    assert!(!outbox.contains(&issued.session_token) && !outbox.contains(&issued.refresh_token));
    app.kill().await;

    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::SignedOut);
    assert_eq!(app.diagnostics().pending_revocations, 1);
    device.otpless.go_online().await.unwrap();
    device.control.wait_for(Operation::Delete, 1).await;
    eventually("the outbox to be empty", || device.store.peek(Slot::Revocations).is_none()).await;
    assert_eq!(app.diagnostics().pending_revocations, 0);
}

/// Rule 10.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_dropped_when_the_session_would_have_ended_anyway() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.otpless.go_offline().await;
    app.logout().await;
    // Dead before the fifteen days pass, twice a refresh token's life and one more: it knows the server's time, and would rightly give the revocation up itself.
    eventually("an attempt", || app.diagnostics().counters.requests >= 1).await;
    app.kill().await;
    device.time_passes(Duration::from_secs(15 * 24 * 3600));
    device.machine_restarts(Duration::ZERO);
    let app = device.start();
    app.session().await;
    eventually("a failed attempt", || app.diagnostics().counters.requests >= 1).await;
    // By its own clock alone nobody gives it up: the clock may be wrong.
    assert_eq!(app.diagnostics().pending_revocations, 1);
    // A server that does not take it, but says what time it is.
    device.control.fault(Operation::Delete, Fault::ServerError500, usize::MAX);
    device.otpless.go_online().await.unwrap();
    device.time_passes(Duration::from_secs(3600));
    app.look();
    eventually("the outbox to be empty", || device.store.peek(Slot::Revocations).is_none()).await;
    assert_eq!(app.diagnostics().counters.revocations_delivered, 0, "it was given up, not delivered");
}

/// Rule 2: the answer belongs to a generation that has passed.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_beats_the_refresh_that_is_in_flight() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let (gate, refresh) = app.refresh_held_up(&device.control).await;
    assert_eq!(app.logout().await.status, SessionStatus::SignedOut);
    gate.release();
    assert_eq!(refresh.await.unwrap().unwrap_err().kind(), ErrorKind::SessionChanged);
    assert!(device.store.peek(Slot::Session).is_none(), "the late answer was dropped");
    assert_eq!(app.current().status, SessionStatus::SignedOut);
    assert_eq!(app.current().end_reason, Some(EndReason::Logout));
}

/// What is remembered, and how many revocations the server was to be told of whenever something was.
#[derive(Debug, Default)]
struct Watching {
    inner: MemoryActivityLog,
    manager: OnceLock<SessionManager>,
    pending: Mutex<Vec<usize>>,
}

impl ActivityLog for Watching {
    fn get(&self, key: &str) -> Option<Value> {
        self.inner.get(key)
    }

    fn put(&self, key: &str, value: Value) {
        if let Some(manager) = self.manager.get() {
            self.pending.lock().expect("no panic").push(manager.diagnostics().pending_revocations);
        }
        self.inner.put(key, value);
    }
}

/// Rule 10: a process that is killed between the server's hearing of a logout and the notes of it would find its session again.
#[tokio::test(flavor = "multi_thread")]
async fn c11_the_server_hears_of_a_logout_only_after_it_is_noted_here() {
    let device = Device::new().await;
    let log = Arc::new(Watching::default());
    let app = device.start_with_log(log.clone());
    app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    log.manager.set(SessionManager::clone(&app)).expect("set once");
    app.logout().await;
    let pending = log.pending.lock().expect("no panic").clone();
    assert!(
        pending.len() >= 2 && pending[..2] == [0, 0],
        "which session, and that the user signed out: {pending:?}"
    );
    device.control.wait_for(Operation::Delete, 1).await;
}

/// Rule 2, also where the logout is another process's.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_in_another_process_beats_the_sign_in_that_is_being_verified() {
    let device = Device::new().await;
    let (app, other) = (device.start(), device.start());
    app.session().await;
    other.session().await;
    let gate = device.control.pause(Operation::Jwks);
    let sign_in = tokio::spawn({
        let (manager, result) = ((*app).clone(), device.issue().web());
        async move { manager.start_session(result).await }
    });
    gate.held(1).await;
    other.logout().await;
    gate.release();
    assert_eq!(sign_in.await.unwrap().unwrap_err().kind(), ErrorKind::SessionChanged);
    assert!(device.store.peek(Slot::Session).is_none());
    device.control.wait_for(Operation::Delete, 1).await;
    assert_eq!(app.current().status, SessionStatus::SignedOut);
}

/// Rule 2.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_beats_the_sign_in_that_is_being_verified() {
    let device = Device::new().await;
    let app = device.start();
    app.session().await;
    let gate = device.control.pause(Operation::Jwks);
    let sign_in = tokio::spawn({
        let (manager, result) = ((*app).clone(), device.issue().web());
        async move { manager.start_session(result).await }
    });
    gate.held(1).await;
    app.logout().await;
    gate.release();
    assert_eq!(sign_in.await.unwrap().unwrap_err().kind(), ErrorKind::SessionChanged);
    assert!(device.store.peek(Slot::Session).is_none());
    // The session that nobody will use is ended on the server too.
    device.control.wait_for(Operation::Delete, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_the_keychain_did_not_hear_of_is_still_final_after_a_restart() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.store.fail_all(Some(StoreError::Unavailable("locked")));
    assert_eq!(app.logout().await.status, SessionStatus::SignedOut);
    app.kill().await;
    device.store.fail_all(None);
    assert!(device.stored().is_some(), "the erase really did not get through");
    let app = device.start();
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Logout)));
    eventually("the erase to be made up for", || device.stored().is_none()).await;
}

/// Rule 8.
#[tokio::test(flavor = "multi_thread")]
async fn c8_inactivity_ends_the_session_and_later_activity_does_not_revive_it() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(30 * MINUTE);
    let (app, _) = device.signed_in().await;
    device.time_passes(29 * MINUTE);
    assert_eq!(app.record_activity().status, SessionStatus::Active, "one minute before");
    device.time_passes(30 * MINUTE - Duration::from_secs(1));
    assert_eq!(app.current().status, SessionStatus::Active, "one second before");
    device.time_passes(Duration::from_secs(1));
    let session = app.record_activity();
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Inactive)));
    device.control.wait_for(Operation::Delete, 1).await;
}

/// C8: a session still shows while its successor is being stored, but not beyond a deadline of its own.
#[tokio::test(flavor = "multi_thread")]
async fn c8_a_deadline_holds_while_the_next_sign_in_is_being_stored() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(30 * MINUTE);
    let gate = Arc::new(Gate::default());
    let (store, its_gate) = (device.store.clone(), gate.clone());
    let app = device.start_with(move || Box::new(Gated(store.clone(), its_gate.clone())));
    let old = device.issue();
    app.start_session(old.web()).await.expect("the sign-in is accepted");
    eventually("all that belongs to the sign-in is stored", || device.stored().is_some()).await;

    gate.set(true);
    let (successor, manager) = (device.issue(), SessionManager::clone(&app));
    let result = successor.web();
    let stored = tokio::spawn(async move { manager.start_session(result).await });
    eventually("the write", || gate.waiting() > 0).await;
    let shown = app.current();
    assert_eq!(
        (shown.status, shown.user_id),
        (SessionStatus::Active, Some(old.user_id)),
        "the old one until then"
    );

    device.time_passes(30 * MINUTE);
    app.look();
    // Heard of, not asked for: asking would apply the deadline.
    let shown = app.until_status(SessionStatus::SignedOut).await;
    assert_eq!(shown.end_reason, Some(EndReason::Inactive));

    gate.set(false);
    let session =
        stored.await.expect("no panic").expect("the deadline of another session is none of its business");
    assert_eq!(session.status, SessionStatus::Active);
    assert_eq!(session.user_id.as_deref(), Some(&*successor.user_id));
    device.control.wait_for(Operation::Delete, 1).await;
    eventually("the revocation of the old one", || device.control.session_state(&old.session_id).is_none())
        .await;
    assert_eq!(device.control.session_state(&successor.session_id), Some(SessionState::Active));
    let there = device.stored().expect("an entry");
    assert_eq!(there.tokens.session_id.expose(), successor.session_id);
    assert_eq!(app.current().status, SessionStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_inactivity_counts_while_the_app_is_not_running() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(30 * MINUTE);
    let (app, _) = device.signed_in().await;
    device.time_passes(20 * MINUTE);
    app.record_activity();
    app.kill().await;
    device.time_passes(20 * MINUTE);
    assert_eq!(device.glance().await.status, SessionStatus::Active, "the activity was remembered");
    device.time_passes(10 * MINUTE);
    let session = device.glance().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Inactive)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_activity_log_may_end_a_session_sooner_but_never_later() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(30 * MINUTE);
    let (app, _) = device.signed_in().await;
    device.time_passes(20 * MINUTE);
    app.record_activity();
    app.kill().await;
    device.log = Default::default();
    std::fs::remove_dir_all(device.lock_directory()).expect("what the processes leave for each other");
    device.time_passes(20 * MINUTE);
    assert_eq!(device.glance().await.end_reason, Some(EndReason::Inactive));
}

/// Rule 8 (C8).
#[tokio::test(flavor = "multi_thread")]
async fn inactivity_is_warned_of_and_activity_takes_the_warning_back() {
    let mut device = Device::new().await;
    device.policy.inactivity_timeout = Some(30 * MINUTE);
    let (app, _) = device.signed_in().await;
    device.time_passes(29 * MINUTE);
    app.look();
    let warned = app.until("the warning", |session| session.expiring_at.is_some()).await;
    assert_eq!(warned.status, SessionStatus::Active);
    assert_eq!(warned.expiring_at, warned.inactivity_deadline);
    let extended = app.record_activity();
    assert_eq!(extended.expiring_at, None);
    assert!(extended.inactivity_deadline > warned.inactivity_deadline);
    assert!(extended.revision > warned.revision, "everyone hears of it");
}

/// Rule 7.
#[tokio::test(flavor = "multi_thread")]
async fn c7_the_maximum_lifetime_is_absolute_whatever_the_user_does() {
    let mut device = Device::new().await;
    device.policy.max_lifetime = Some(60 * MINUTE);
    let (app, _) = device.signed_in().await;
    let deadline = app.current().lifetime_deadline;
    device.time_passes(59 * MINUTE);
    app.record_activity();
    assert_eq!(app.refresh().await.unwrap().lifetime_deadline, deadline, "a refresh does not extend it");
    app.kill().await;
    let app = device.start();
    assert_eq!(app.session().await.lifetime_deadline, deadline, "nor does a restart");
    device.time_passes(MINUTE);
    let session = app.current();
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Lifetime)));
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_a_session_whose_refresh_token_has_expired_is_over_once_the_server_has_said_what_time_it_is() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    app.kill().await;
    device.time_passes(Duration::from_secs(8 * 24 * 3600));
    device.otpless.go_offline().await;
    device.machine_restarts(Duration::ZERO);
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::Stale, "the clock may be wrong");
    device.otpless.go_online().await.expect("the port is still free");
    device.time_passes(20 * MINUTE);
    app.look();
    let session = app.until_status(SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::Expired));
}

/// The server need not say again what time it is, if it has told a process of this machine since that was started.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_session_whose_refresh_token_has_expired_is_over_at_once_for_who_knows_the_time() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    app.kill().await;
    device.otpless.go_offline().await;
    device.machine_sleeps(Duration::from_secs(8 * 24 * 3600));
    let session = device.glance().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Expired)));
}

/// Rule 9.
#[tokio::test(flavor = "multi_thread")]
async fn the_heartbeat_goes_out_only_after_real_activity_and_not_more_than_every_five_minutes() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    device.time_passes(10 * MINUTE);
    app.look();
    // The loop has looked when it answers a refresh; nothing else may have been asked by then.
    app.refresh().await.unwrap();
    assert_eq!(device.control.count(Operation::Authenticate), 0, "nobody did anything");
    app.record_activity();
    app.look();
    eventually("the first heartbeat", || app.diagnostics().last_verify.is_some()).await;
    device.time_passes(4 * MINUTE);
    app.record_activity();
    app.look();
    device.time_passes(MINUTE);
    app.record_activity();
    app.look();
    device.control.wait_for(Operation::Authenticate, 2).await;
    assert_eq!(
        device.control.count(Operation::Authenticate),
        2,
        "not at the fourth minute, but at the fifth"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_the_server_cannot_take_is_tried_again() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    device.control.fault(Operation::Delete, Fault::ServerError500, 1);
    app.logout().await;
    device.control.wait_for(Operation::Delete, 2).await;
    eventually("the revocation", || app.diagnostics().pending_revocations == 0).await;
    assert_eq!(device.control.session_state(&issued.session_id), None, "gone from the server");
}

#[test]
fn a_runtime_that_shuts_down_with_work_due_is_not_held_up() {
    for _ in 0..20 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let device = runtime.block_on(async {
            let device = Device::new().await;
            let (app, _) = device.signed_in().await;
            app.logout().await;
            std::mem::forget(app);
            device
        });
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(runtime);
            let _ = done.send(());
        });
        ended.recv_timeout(crate::support::PATIENCE).expect("the runtime shuts down");
        drop(device);
    }
}

/// D9: what was read of the keychain while a revocation was being delivered does not bring it back.
#[tokio::test(flavor = "multi_thread")]
async fn d9_one_session_is_revoked_once_however_often_the_user_signs_out_and_whoever_looks() {
    let device = Device::new().await;
    for _ in 0..20 {
        let (app, issued) = device.signed_in().await;
        let (mut logouts, mut looks) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (signs_out, looker) = (SessionManager::clone(&app), SessionManager::clone(&app));
            logouts.push(tokio::spawn(async move { signs_out.logout().await }));
            looks.push(tokio::spawn(async move { looker.session().await }));
            tokio::task::yield_now().await;
        }
        futures_util::future::join_all(logouts).await;
        futures_util::future::join_all(looks).await;
        eventually("the service has been told", || {
            device.control.session_state(&issued.session_id) != Some(SessionState::Active)
        })
        .await;
        // One that is killed before it has noted the answer leaves it to the next to tell the service once more.
        eventually("the outbox to be empty", || device.store.peek(Slot::Revocations).is_none()).await;
        app.kill().await;
    }
    assert_eq!(device.control.count(Operation::Delete), 20);
}

/// Rule 10: the keychain answers long after the logout, and only then is it known whose session that has ended.
#[tokio::test(flavor = "multi_thread")]
async fn d9_a_session_that_a_late_erase_finds_is_revoked_without_a_restart() {
    let device = Device::new().await;
    let (app, issued) = device.signed_in().await;
    app.kill().await;
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let app = device.start_with({
        let (store, gate) = (device.store.clone(), gate.clone());
        move || Box::new(Gated(store.clone(), gate.clone()))
    });
    assert_eq!(app.logout().await.status, SessionStatus::SignedOut);
    assert_eq!(device.control.session_state(&issued.session_id), Some(SessionState::Active));
    gate.set(false);
    eventually("the revocation", || device.control.count(Operation::Delete) == 1).await;
    eventually("the erase", || device.store.peek(Slot::Session).is_none()).await;
}

/// C11: it was ended, the server could not be told, and the same session was signed in to again: the note of the end, which
/// cannot be taken back, does not end it at the next start. The next logout does.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_session_signed_in_to_again_outlives_the_note_of_its_end() {
    let device = Device::new().await;
    let keeps_its_notes = Refusing::new(&device.store, [Refused::Erase(Slot::Revocations)]);
    let (first, issued) = device.signed_in().await;
    device.control.fault(Operation::Delete, Fault::ServerError500, usize::MAX);
    first.logout().await;
    eventually("the first try", || device.control.count(Operation::Delete) > 0).await;
    first.kill().await;

    let tries = device.control.count(Operation::Delete);
    let app = device.start_with(keeps_its_notes.maker());
    eventually("its own first try", || device.control.count(Operation::Delete) > tries).await;
    app.start_session(issued.web()).await.expect("the session is good");
    app.kill().await;
    assert!(device.store.peek(Slot::Revocations).is_some(), "the note stands");
    device.control.clear_faults();
    let app = device.start();
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::Active, None));
    assert_eq!(device.control.session_state(&issued.session_id), Some(SessionState::Active));
    app.logout().await;
    eventually("the revocation", || device.control.session_state(&issued.session_id).is_none()).await;
    eventually("no note is left", || device.store.peek(Slot::Revocations).is_none()).await;
}

/// What was found and erased is owed its revocation, whether or not the keychain has taken the note.
#[tokio::test(flavor = "multi_thread")]
async fn d9_a_session_that_was_found_and_not_noted_is_revoked_all_the_same() {
    let device = Device::new().await;
    let takes_no_notes = Refusing::new(&device.store, [Refused::Write(Slot::Revocations)]);
    let app = device.start_with(takes_no_notes.maker());
    app.until_status(SessionStatus::SignedOut).await;
    let (other, _) = device.signed_in().await;
    other.kill().await;
    // It has not looked since.
    app.logout().await;
    eventually("the revocation", || device.control.count(Operation::Delete) == 1).await;
    assert!(device.store.peek(Slot::Session).is_none());
}
