//! The keychain as it really misbehaves: locked, silent, killed, absent (A3, A8, A9, rules 10 and 11).

use std::time::{Duration, Instant};

use otpless_local::{Operation, Settings};
use serde_json::{Value, json};

use crate::support::{Desktop, Display, Process, Stage, eventually};

/// An engine that waits for the keychain answers within six seconds, and a busy machine adds to that.
const BOUND: Duration = Duration::from_secs(12);

/// Longer than a locked keychain is left alone (75 s at the first failure).
const LATER: Duration = Duration::from_secs(80);

async fn assert_storage(app: &Process, storage: &str) {
    app.until_session(&format!("storage {storage}"), |session| session["storage"] == storage).await;
}

async fn refreshed(stage: &mut Stage, app: &Process) -> Value {
    stage.time_passes(Duration::from_secs(20), &[app]).await;
    let asked = Instant::now();
    let answer = app.refresh().await;
    assert!(asked.elapsed() < BOUND * 2, "A8: bounded, but it took {:?}", asked.elapsed());
    assert_eq!((&answer["ok"], &answer["session"]["status"]), (&json!(true), &json!("active")), "{answer}");
    answer["session"].clone()
}

/// What is wrong with the keychain is said in words that help.
async fn assert_explained(app: &Process, why: &str) {
    eventually(&format!("the explanation, {why}"), async || {
        let answer = app.ask(json!({ "do": "diagnostics" })).await;
        answer["diagnostics"]["storageError"].as_str().is_some_and(|error| error.contains(why))
    })
    .await;
}

/// The newest tokens are in the keychain, and the next process finds them.
async fn assert_stored_and_found(stage: &Stage, app: Process) {
    let witness = stage.witness();
    let stored = witness.peek().await.0.expect("a stored session");
    let issued = stage.control.tokens(&stored.session_id).expect("the session is present");
    assert_eq!(stored, crate::support::Stored::from(&issued), "the newest tokens are stored");
    drop(app);
    let restarted = stage.start();
    assert_eq!(restarted.session().await["status"], "active");
    assert_eq!(stage.control.replays(), 0);
}

/// (a) A8, rule 11: locked while the app runs, with nobody to ask.
#[tokio::test(flavor = "multi_thread")]
async fn a8_locked_while_running_the_session_goes_on_in_memory_and_is_stored_after_the_unlock() {
    let mut stage = Stage::new(Settings::default()).await;
    let app = stage.start();
    stage.sign_in(&app).await;
    stage.desktop.lock();
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral");
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral", "and again, from memory");
    stage.desktop.unlock();
    stage.time_passes(LATER, &[&app]).await;
    assert_storage(&app, "keychain").await;
    app.assert_never_signed_out();
    assert_stored_and_found(&stage, app).await;
}

/// (b) A8, A9: the prompt to unlock stands on the screen and nobody answers.
#[tokio::test(flavor = "multi_thread")]
async fn a8_a9_an_unlock_prompt_that_nobody_answers_holds_up_nothing_and_a_logout_is_final() {
    let mut stage = Stage::on(Desktop::start(Display::Unattended), Settings::default()).await;
    let app = stage.start();
    stage.sign_in(&app).await;
    stage.desktop.lock();
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral");
    for _ in 0..3 {
        stage.time_passes(LATER, &[&app]).await;
        assert_eq!(app.session().await["status"], "active");
    }
    assert!(stage.desktop.has_prompter(), "the prompt still stands");
    assert_eq!(stage.desktop.prompts(), 1, "one question, not one for every try");

    let asked = Instant::now();
    let answer = app.ask(json!({ "do": "logout" })).await;
    assert_eq!(answer["session"]["status"], "signedOut", "{answer}");
    assert!(asked.elapsed() < BOUND, "a logout took {:?}", asked.elapsed());
    eventually("the revocation", async || stage.control.count(Operation::Delete) > 0).await;
    drop(app);

    let restarted = stage.start();
    let session = restarted.session().await;
    assert!(session["status"] != "active" && session["userId"].is_null(), "C11: {session}");
    stage.desktop.unlock();
    assert!(stage.desktop.dismiss_prompt(), "the prompt stands until somebody answers it");
    stage.time_passes(LATER, &[&restarted]).await;
    restarted.until_session("the end", |session| session["status"] == "signedOut").await;
    let witness = stage.witness();
    eventually("an empty keychain", async || witness.peek().await == (None, false)).await;
    let statuses = restarted.statuses();
    assert!(!statuses.iter().any(|status| status == "active"), "C11: {statuses:?}");
}

/// (b) A8: whoever dismissed the prompt is not asked again for a minute, however often they come back to the app.
#[tokio::test(flavor = "multi_thread")]
async fn a8_a_dismissed_prompt_does_not_come_back_for_a_minute() {
    let mut stage = Stage::on(Desktop::start(Display::Unattended), Settings::default()).await;
    let app = stage.start();
    stage.sign_in(&app).await;
    stage.desktop.lock();
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral");
    assert!(stage.desktop.dismiss_prompt(), "a prompt stands");
    // What queued up behind the first question may ask once more; each is dismissed.
    eventually("the refusal", async || {
        stage.desktop.dismiss_prompt();
        let answer = app.ask(json!({ "do": "diagnostics" })).await;
        answer["diagnostics"]["storageError"].as_str().is_some_and(|error| error.contains("locked"))
    })
    .await;
    for _ in 0..2 {
        stage.time_passes(Duration::from_secs(20), &[&app]).await;
        let watched = Instant::now();
        while watched.elapsed() < Duration::from_secs(1) {
            assert!(!stage.desktop.has_prompter(), "asked again too soon");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stage.time_passes(LATER, &[&app]).await;
    eventually("the next question", async || stage.desktop.has_prompter()).await;
    app.assert_never_signed_out();
}

/// (b, c) A8: the service is killed while its prompt stands, so nobody will ever say how that ended.
#[tokio::test(flavor = "multi_thread")]
async fn a8_a_keychain_service_killed_under_its_prompt_is_used_again_without_a_restart() {
    let mut stage = Stage::on(Desktop::start(Display::Unattended), Settings::default()).await;
    let app = stage.start();
    stage.sign_in(&app).await;
    stage.desktop.lock();
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral");
    assert!(stage.desktop.has_prompter(), "a prompt stands");
    stage.desktop.kill_keyring();
    stage.desktop.start_keyring();
    stage.time_passes(LATER, &[&app]).await;
    assert_storage(&app, "keychain").await;
    app.assert_never_signed_out();
    assert_stored_and_found(&stage, app).await;
}

/// (c) A8: the service is killed and comes back while the app runs.
#[tokio::test(flavor = "multi_thread")]
async fn a8_a_keychain_service_that_was_killed_and_restarted_is_used_again_without_a_restart() {
    let mut stage = Stage::new(Settings::default()).await;
    let app = stage.start();
    stage.sign_in(&app).await;
    stage.desktop.kill_keyring();
    stage.desktop.start_keyring();
    assert_eq!(
        refreshed(&mut stage, &app).await["storage"],
        "keychain",
        "the old connection is noticed at once"
    );

    stage.desktop.kill_keyring();
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral");
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral", "killed and not restarted");
    assert_explained(&app, "nothing on this desktop provides the Secret Service").await;
    stage.desktop.start_keyring();
    // Nothing is done for it: the engine comes back by itself.
    assert_storage(&app, "keychain").await;
    app.assert_never_signed_out();
    assert_stored_and_found(&stage, app).await;
}

/// (d) A8: the bus goes away while the app runs, which leaves a stale address; another start finds no bus at all.
#[tokio::test(flavor = "multi_thread")]
async fn a8_without_a_bus_the_session_goes_on_and_nobody_is_signed_out() {
    let mut stage = Stage::new(Settings::default()).await;
    let app = stage.start();
    stage.sign_in(&app).await;
    stage.desktop.kill_bus();
    assert_eq!(refreshed(&mut stage, &app).await["storage"], "ephemeral");
    app.assert_never_signed_out();

    let other = stage.start();
    let session = other.session().await;
    assert_eq!(
        (&session["status"], &session["storage"]),
        (&json!("restoring"), &json!("unavailable")),
        "not known is not signed out"
    );
    assert_explained(&app, "the session bus cannot be reached").await;
    assert_explained(&other, "the session bus cannot be reached").await;
    let answer = other.refresh().await;
    assert_eq!(answer["error"]["kind"], "storageUnavailable", "{answer}");
}

/// (e) A3, rule 11: a bus on which nobody keeps secrets. Somebody may sign in all the same, and knows what it is worth.
#[tokio::test(flavor = "multi_thread")]
async fn a3_without_a_keychain_service_a_sign_in_is_kept_in_memory_until_there_is_one() {
    let desktop = Desktop::without_keyring(Display::None);
    let mut stage = Stage::on(desktop, Settings::default()).await;
    let app = stage.start();
    let session = app.session().await;
    assert_eq!(
        (&session["status"], &session["storage"]),
        (&json!("restoring"), &json!("unavailable")),
        "{session}"
    );
    assert_explained(&app, "nothing on this desktop provides the Secret Service").await;
    stage.sign_in(&app).await;
    assert_storage(&app, "ephemeral").await;
    refreshed(&mut stage, &app).await;
    stage.desktop.start_keyring();
    stage.time_passes(LATER, &[&app]).await;
    assert_storage(&app, "keychain").await;
    assert_stored_and_found(&stage, app).await;
}

/// (f) A8: started while it is locked. Not known is not signed out, nothing is erased, and the unlock is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a8_started_while_locked_the_session_is_restored_after_the_unlock_without_a_restart() {
    let mut stage = Stage::new(Settings::default()).await;
    let first = stage.start();
    stage.sign_in(&first).await;
    drop(first);
    stage.desktop.kill_keyring();
    stage.desktop.start_locked_keyring();

    let app = stage.start();
    let session = app.session().await;
    assert_eq!(
        (&session["status"], &session["storage"]),
        (&json!("restoring"), &json!("unavailable")),
        "{session}"
    );
    stage.time_passes(LATER, &[&app]).await;
    assert_eq!(app.session().await["status"], "restoring", "and still not");
    stage.desktop.unlock();
    stage.time_passes(LATER, &[&app]).await;
    app.until_session("the session", |session| session["status"] == "active").await;
    let statuses = app.statuses();
    assert!(statuses.iter().all(|status| status == "restoring" || status == "active"), "{statuses:?}");
    assert_storage(&app, "keychain").await;
    assert_stored_and_found(&stage, app).await;
}

async fn spoil(stage: &Stage) {
    let answer = stage.witness().ask(json!({ "do": "spoil" })).await;
    assert_eq!(answer["ok"], true, "{answer}");
}

/// A4, rule 6: what stands there rots while a process has the session, and that writes it anew for one that starts. With nobody
/// left who could, it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a4_an_entry_that_rots_is_written_anew_by_a_process_that_has_the_session() {
    let mut stage = Stage::new(Settings::default()).await;
    let mut app = stage.start();
    stage.sign_in(&app).await;
    spoil(&stage).await;
    let mut other = stage.start();
    let session = other.session().await;
    assert_eq!(
        (&session["status"], &session["storage"]),
        (&json!("restoring"), &json!("unavailable")),
        "{session}"
    );
    assert_explained(&other, "damaged").await;
    app.ask(json!({ "do": "look" })).await;
    other.until_session("the session", |session| session["status"] == "active").await;
    assert_eq!(refreshed(&mut stage, &other).await["storage"], "keychain");
    app.assert_never_signed_out();
    other.assert_never_signed_out();

    spoil(&stage).await;
    app.kill().await;
    other.kill().await;
    let last = stage.start();
    let session = last.session().await;
    assert_eq!(
        (&session["status"], &session["endReason"]),
        (&json!("signedOut"), &json!("storeCorrupt")),
        "{session}"
    );
    let witness = stage.witness();
    eventually("an empty entry", async || {
        let there = witness.ask(json!({ "do": "peek" })).await;
        there["ok"] == true && there["stored"].is_null()
    })
    .await;
}
