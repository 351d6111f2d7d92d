//! A process stopped in the middle of a refresh for longer than any timeout, and continued (A7, C1, C11).

use std::time::{Duration, Instant};

use otpless_local::{Operation, SessionState, Settings};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Process, Stage, Stored, eventually};

/// Longer than an exchange may take (30 s) and longer than anybody waits for the refresh lock (45 s).
const FROZEN: Duration = Duration::from_secs(48);

/// Longer than an exchange may take; nobody waits for the lock here.
const FROZEN_ALONE: Duration = Duration::from_secs(33);

/// What a refresh meets that waits for a stopped process.
async fn assert_gives_up_and_stays(app: &Process, asked: u64) {
    let answer = app.ended(asked).await;
    assert_eq!(answer["error"]["retryable"], true, "{answer}");
    assert_eq!(answer["session"]["status"], "active", "{answer}");
}

/// A stage with two processes, the first of which has a refresh at the server and is stopped. The server has answered
/// into its socket. Answers the id of that refresh too.
async fn stopped_in_mid_refresh() -> (Stage, Process, Process, u64) {
    let mut stage = Stage::new(Settings::default()).await;
    let frozen = stage.start();
    stage.sign_in(&frozen).await;
    let peer = stage.start();
    assert_eq!(peer.session().await["status"], "active");
    stage.time_passes(Duration::from_secs(20), &[&frozen, &peer]).await;

    let gate = stage.control.pause(Operation::Refresh);
    let asked = frozen.tell(json!({ "do": "refresh" })).await;
    tokio::time::timeout(PATIENCE, gate.held(1)).await.expect("its request is at the server");
    frozen.signal("STOP").await;
    gate.release();
    (stage, frozen, peer, asked)
}

/// A7, C1: the answer that lay in the socket is taken, its token stored; nobody else has touched the spent one.
#[tokio::test(flavor = "multi_thread")]
async fn a7_c1_a_refresh_frozen_for_longer_than_every_timeout_loses_nothing() {
    let (mut stage, frozen, peer, asked) = stopped_in_mid_refresh().await;
    let since = Instant::now();
    let waiting = peer.tell(json!({ "do": "refresh" })).await;
    assert_gives_up_and_stays(&peer, waiting).await;
    assert_eq!(stage.control.count(Operation::Refresh), 1, "the lock is not passed by");
    tokio::time::sleep(FROZEN.saturating_sub(since.elapsed())).await;

    frozen.signal("CONT").await;
    let answer = frozen.ended(asked).await;
    assert_eq!((&answer["ok"], &answer["session"]["status"]), (&json!(true), &json!("active")), "{answer}");
    assert_everybody_goes_on(&mut stage, &[&frozen, &peer]).await;
}

async fn assert_everybody_goes_on(stage: &mut Stage, apps: &[&Process]) {
    let witness = stage.witness();
    for app in apps {
        stage.time_passes(Duration::from_secs(90), apps).await;
        let answer = app.refresh().await;
        assert_eq!(answer["ok"], true, "{answer}");
        let stored = witness.peek().await.0.expect("a stored session");
        let issued = stage.control.tokens(&stored.session_id).expect("the session is present");
        assert_eq!(stored, Stored::from(&issued));
    }
    assert_eq!(stage.control.replays(), 0);
    for app in apps {
        app.assert_never_signed_out();
    }
}

/// C11: somebody signs out in another process meanwhile; the answer in the socket revives nothing.
#[tokio::test(flavor = "multi_thread")]
async fn c11_a_logout_elsewhere_holds_against_a_refresh_that_was_frozen() {
    let (stage, frozen, peer, asked) = stopped_in_mid_refresh().await;
    let since = Instant::now();
    let witness = stage.witness();
    let (stored, _) = witness.peek().await;
    let session_id = stored.expect("a stored session").session_id;
    let answer = peer.ask(json!({ "do": "logout" })).await;
    assert_eq!(answer["session"]["status"], "signedOut", "{answer}");
    assert!(since.elapsed() < Duration::from_secs(10), "a logout does not wait for a stopped process");
    eventually("an empty keychain", async || witness.peek().await == (None, false)).await;
    tokio::time::sleep(FROZEN_ALONE.saturating_sub(since.elapsed())).await;

    frozen.signal("CONT").await;
    let answer = frozen.ended(asked).await;
    assert_eq!(answer["ok"], false, "{answer}");
    let over = |session: &Value| session["status"] == "signedOut";
    frozen.until_session("the end of its session", over).await;
    let is_over = || stage.control.session_state(&session_id) != Some(SessionState::Active);
    eventually("the revocation", async || is_over()).await;
    eventually("an empty keychain", async || witness.peek().await == (None, false)).await;
    let restarted = stage.start();
    assert_eq!(restarted.session().await["status"], "signedOut");
    assert_eq!(stage.control.replays(), 0);
}
