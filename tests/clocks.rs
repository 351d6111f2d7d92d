//! Clocks that are wrong, and are set.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use otpless_local::{Operation, Settings};
use tauri_plugin_otpless::{EndReason, SessionStatus, engine::Policy};

use crate::support::{Device, Gate, Gated, eventually};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: i64 = 24 * 3600;
const YEAR: i64 = 365 * DAY;

/// The issuer signed when the token was issued, and earlier runs noted when the user was active: it is no earlier now.
#[tokio::test(flavor = "multi_thread")]
async fn c7_a_clock_that_is_set_back_between_two_runs_does_not_extend_a_session() {
    let mut device = Device::new().await;
    device.policy = Policy { max_lifetime: Some(60 * MINUTE), ..Policy::default() };
    device.has_no_unset_clock();
    let (app, _) = device.signed_in().await;
    device.time_passes(50 * MINUTE);
    app.record_activity();
    app.kill().await;
    device.otpless.go_offline().await;
    device.clock_is_set(-DAY);
    let app = device.start();
    assert_eq!(app.session().await.status, SessionStatus::Active);
    device.time_passes(11 * MINUTE);
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Lifetime)));
}

/// With the server's word on the time a machine's clock that is a day off changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn c9_deadlines_are_kept_by_the_servers_time() {
    for off in [3600, -3600, DAY, -DAY, 10 * YEAR, -10 * YEAR, -60 * YEAR] {
        let mut device = Device::new().await;
        device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
        device.clock_is_set(off);
        let (app, _) = device.signed_in().await;
        device.time_passes(20 * MINUTE);
        assert_eq!(app.session().await.status, SessionStatus::Active, "{off}");
        device.time_passes(11 * MINUTE);
        assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive), "{off}");
    }
}

/// A sleep may hide in a clock that is set back. It is found out with the server's next word on the time, and then nobody
/// was active later than they were.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_sleep_that_hides_in_a_clock_that_is_set_back_counts_as_idle() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    device.has_no_unset_clock();
    let (app, _) = device.signed_in().await;
    device.machine_sleeps_and_clock_is_set(50 * MINUTE, -DAY);
    assert_eq!(app.session().await.status, SessionStatus::Active, "the clocks alone do not tell");
    app.verify().await.expect("the server still has it");
    let session = app.session().await;
    assert_eq!((session.status, session.end_reason), (SessionStatus::SignedOut, Some(EndReason::Inactive)));
}

/// A clock that was set back and put right again leaves the time unknown by as much, until the server is heard.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_new_session_is_not_over_for_inactivity_by_a_clock_that_was_put_right() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    device.has_no_unset_clock();
    let (app, _) = device.signed_in().await;
    app.logout().await;
    eventually("the revocation", || app.diagnostics().pending_revocations == 0).await;
    assert_eq!(device.control.count(Operation::Delete), 1);
    device.otpless.go_offline().await;
    for off in [-3600, 0] {
        device.clock_is_set(off);
        app.session().await;
    }
    app.start_session(device.issue().web()).await.expect("the keys are at hand");
    assert_eq!(app.session().await.status, SessionStatus::Active);
    device.time_passes(31 * MINUTE);
    assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive), "it counts from there");
}

/// C10: nobody looks, and the plugin finds out by itself, at most one tick after the machine is awake again, that its token has
/// expired in the sleep.
#[tokio::test(flavor = "multi_thread")]
async fn c10_after_eight_hours_of_sleep_the_token_is_renewed_within_a_tick_by_itself() {
    /// The longest that the plugin sleeps while somebody is signed in, and what an exchange may take.
    const TICK: Duration = Duration::from_secs(60 + 15);

    let device = Device::with(Settings { session_token_seconds: 3600, ..Settings::default() }).await;
    let (app, _) = device.signed_in().await;
    let until = app.current().expires_at;
    let mut sessions = app.subscribe();
    device.machine_sleeps(8 * 60 * MINUTE);
    let renewed = tokio::time::timeout(TICK, sessions.wait_for(|session| session.expires_at > until));
    let session = renewed.await.expect("in time").expect("it runs on").clone();
    assert_eq!(session.status, SessionStatus::Active);
    assert_eq!(device.control.count(Operation::Refresh), 1);
}

/// A clock that nobody can set tells a clock that was set from a sleep, either way and both at once.
#[tokio::test(flavor = "multi_thread")]
async fn c9_c10_a_clock_that_is_set_ends_nothing_and_hides_no_sleep() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    let (app, _) = device.signed_in().await;
    for off in [3600, -3600, DAY, -DAY, 10 * YEAR, -10 * YEAR, -60 * YEAR, 0] {
        device.clock_is_set(off);
        assert_eq!(app.session().await.status, SessionStatus::Active, "{off}");
    }
    device.machine_sleeps_and_clock_is_set(20 * MINUTE, -DAY);
    assert_eq!(app.session().await.status, SessionStatus::Active);
    device.machine_sleeps_and_clock_is_set(11 * MINUTE, DAY);
    assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive));
    assert_eq!(device.control.count(Operation::Refresh), 0, "and nobody had to be asked");
}

/// Whoever was told the time by the server has told those that start later.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_process_that_starts_under_a_wrong_clock_without_a_network_knows_the_time() {
    for off in [3600, 10 * 365 * DAY, -DAY] {
        let mut device = Device::new().await;
        device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
        let (app, _) = device.signed_in().await;
        app.kill().await;
        device.otpless.go_offline().await;
        device.clock_is_set(off);
        device.time_passes(20 * MINUTE);
        // Stale where the keys, which have only the wall clock between two runs, are too old to verify it.
        assert_ne!(device.glance().await.status, SessionStatus::SignedOut, "{off}");
        device.machine_sleeps(11 * MINUTE);
        assert_eq!(device.glance().await.end_reason, Some(EndReason::Inactive), "{off}");
    }
}

/// Nor do others take its notes of activity for later ones than they are, or for ones that are not to be believed.
#[tokio::test(flavor = "multi_thread")]
async fn c8_c9_activity_under_a_wrong_clock_counts_from_when_it_was() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    let (app, _) = device.signed_in().await;
    device.otpless.go_offline().await;
    device.clock_is_set(22 * 60);
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::Active);
    device.time_passes(10 * MINUTE);
    other.record_activity();
    other.kill().await;
    device.time_passes(25 * MINUTE);
    assert_eq!(app.session().await.status, SessionStatus::Active, "it was active elsewhere");
    device.time_passes(6 * MINUTE);
    assert_eq!(app.session().await.end_reason, Some(EndReason::Inactive), "and for no longer than that");
}

/// One that runs already hears of it at its next look.
#[tokio::test(flavor = "multi_thread")]
async fn c9_what_one_process_learns_of_the_time_another_hears() {
    let device = Device::new().await;
    device.clock_is_set(3600);
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::SignedOut);
    assert_eq!(other.diagnostics().clock_skew_ms, 0);
    let (_app, _) = device.signed_in().await;
    device.otpless.go_offline().await;
    other.record_activity();
    let skew_ms = other.diagnostics().clock_skew_ms;
    assert!((-3_605_000..=-3_595_000).contains(&skew_ms), "{skew_ms}");
}

/// What was wrong is put right for all as well.
#[tokio::test(flavor = "multi_thread")]
async fn c9_a_wrong_word_on_the_time_is_corrected_in_every_process() {
    let device = Device::new().await;
    let (app, _) = device.signed_in().await;
    let file = device.lock_directory().join("otpless-time.txt");
    let line = std::fs::read_to_string(&file).expect("it was told");
    let right = line.strip_suffix(" 0\n").expect("no skew");
    // As a server would have it whose clock is wrong.
    std::fs::write(&file, format!("{right} 3600000\n")).expect("the file");
    let other = device.start();
    assert_eq!(other.session().await.status, SessionStatus::Active);
    let skew_ms = other.diagnostics().clock_skew_ms;
    assert!((3_595_000..=3_605_000).contains(&skew_ms), "{skew_ms}");
    app.verify().await.expect("the server still has it");
    other.record_activity();
    assert_eq!(other.diagnostics().clock_skew_ms, 0);
}

/// What was learned by the clocks of another run of the machine says nothing of these.
#[tokio::test(flavor = "multi_thread")]
async fn c9_what_was_learned_before_the_machine_was_restarted_is_not_believed() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    device.clock_is_set(-3600);
    let (app, _) = device.signed_in().await;
    app.kill().await;
    device.otpless.go_offline().await;
    // As if the wall clock had not been set.
    device.machine_restarts(60 * MINUTE);
    device.clock_is_set(0);
    device.time_passes(20 * MINUTE);
    assert_eq!(
        device.glance().await.status,
        SessionStatus::Active,
        "by the old word it would be an hour later"
    );
    device.machine_sleeps(11 * MINUTE);
    assert_eq!(device.glance().await.end_reason, Some(EndReason::Inactive));
}

/// Nobody can be told by a file what no machine has shown.
#[tokio::test(flavor = "multi_thread")]
async fn c9_junk_in_the_file_that_tells_the_time_tells_nothing() {
    let mut device = Device::new().await;
    device.policy = Policy { inactivity_timeout: Some(30 * MINUTE), ..Policy::default() };
    let (app, _) = device.signed_in().await;
    app.kill().await;
    device.otpless.go_offline().await;
    let file = device.lock_directory().join("otpless-time.txt");
    for junk in [
        "",
        "run-0\n",
        "run-0 1\n",
        "run-0 18446744073709551615 0 9223372036854775807\n",
        "x y z w\n",
        "run-0 0 0 z\n",
    ] {
        std::fs::write(&file, junk).expect("the file");
        let session = device.glance().await;
        assert_eq!(
            (session.status, device.start().diagnostics().clock_skew_ms),
            (SessionStatus::Active, 0),
            "{junk}"
        );
    }
}

/// Rule 7: the network gets three seconds to come back after a sleep, also from whoever asks at once, and from a refresh that was
/// decided on before the sleep and carried out after: what is lost on the way may be the next refresh token.
#[tokio::test(flavor = "multi_thread")]
async fn c10_nothing_is_sent_in_the_first_seconds_after_a_sleep() {
    let device = Device::new().await;
    let (gate, store) = (Arc::new(Gate::default()), device.store.clone());
    let its_gate = gate.clone();
    let app = device.start_with(move || Box::new(Gated(store.clone(), its_gate.clone())));
    app.start_session(device.issue().web()).await.expect("the sign-in is accepted");
    for decided_before in [false, true] {
        device.time_passes(HOUR);
        app.verify().await.expect("nothing holds it up");
        device.time_passes(HOUR);
        let refresh = {
            let manager = (*app).clone();
            async move { manager.refresh().await }
        };
        let woke;
        if decided_before {
            gate.set(true);
            let refresh = tokio::spawn(refresh);
            eventually("the look at the keychain", || gate.waiting() > 0).await;
            device.machine_sleeps(HOUR);
            woke = Instant::now();
            gate.set(false);
            refresh.await.expect("no panic").expect("the exchange is made");
        } else {
            device.machine_sleeps(HOUR);
            woke = Instant::now();
            refresh.await.expect("the exchange is made");
        }
        assert!(
            woke.elapsed() >= Duration::from_secs(3),
            "{:?}, decided before: {decided_before}",
            woke.elapsed()
        );
    }
    device.machine_sleeps(HOUR);
    let woke = Instant::now();
    app.verify().await.expect("the session is good");
    assert!(woke.elapsed() >= Duration::from_secs(3), "{:?}", woke.elapsed());
}
