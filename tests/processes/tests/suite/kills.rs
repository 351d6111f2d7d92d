//! A process killed with SIGKILL at each named point of a refresh and of a logout: old or new, never mixed, never
//! revived (A6, A9, C1, C11).

use std::{collections::BTreeMap, time::Duration};

use otpless_local::{Gate, Operation, Rotation, SessionState, Settings};
use serde_json::json;

use crate::support::{Process, Stage, Stored, eventually, play};

/// Long enough for tokens of another second, and for an exchange to be allowed again.
const BETWEEN: Duration = Duration::from_secs(20);

/// Where a process is killed.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// It stands still there by itself.
    Process(&'static str),
    /// Its request is at the server, which has done nothing yet.
    ServerBefore,
    /// The server has done its work and has not answered.
    ServerAfter,
    /// Everybody has been told of the new token.
    Published,
}

/// The points of a refresh, whether the server has spent the old token there, and whether the new one is stored.
const REFRESH: [(&str, Point, bool, bool); 9] = [
    ("before the re-read", Point::Process("re-read"), false, false),
    ("before sending", Point::Process("before-send"), false, false),
    ("received by the server", Point::ServerBefore, false, false),
    ("exchanged, not answered", Point::ServerAfter, true, false),
    ("answered", Point::Process("received"), true, false),
    ("before the write", Point::Process("before-write"), true, false),
    ("after the write", Point::Process("written"), true, true),
    ("after the read-back", Point::Process("read-back"), true, true),
    ("published", Point::Published, true, true),
];

/// The points of a logout.
const LOGOUT: [(&str, Point); 10] = [
    ("before the revocation is noted", Point::Process("before-note")),
    ("noted", Point::Process("noted")),
    ("before the erase", Point::Process("before-erase")),
    ("erased", Point::Process("erased")),
    ("before the revocation is sent", Point::Process("before-revoke")),
    ("received by the server", Point::ServerBefore),
    ("revoked, not answered", Point::ServerAfter),
    ("answered", Point::Process("revoked")),
    ("before the note is removed", Point::Process("before-settle")),
    ("removed", Point::Process("settled")),
];

/// A stage, its witness and the process that runs at the moment.
struct Scene {
    stage: Stage,
    witness: Process,
    app: Process,
    /// What was signed in with or bought last, as far as the server knows.
    stored: Stored,
}

impl Scene {
    async fn new(settings: Settings) -> Self {
        let stage = Stage::new(settings).await;
        let witness = stage.witness();
        let app = stage.start();
        let stored = Stored::from(&stage.sign_in(&app).await);
        Self { stage, witness, app, stored }
    }

    /// Has `command` done and kills the process at `point`.
    async fn kill_at(&mut self, point: Point, operation: Operation, command: &str) {
        let command = json!({ "do": command });
        let control = &self.stage.control;
        match point {
            Point::Process(name) => {
                self.app.park(Some(name)).await;
                self.app.tell(command).await;
                self.app.at(name).await;
                self.app.kill().await;
            }
            Point::ServerBefore | Point::ServerAfter => {
                let gate = match point {
                    Point::ServerBefore => control.pause_before(operation),
                    _ => control.pause(operation),
                };
                self.app.tell(command).await;
                held(&gate).await;
                self.app.kill().await;
                // A gate that opened earlier would let a dead client's call do its work.
                eventually("the server to notice", async || gate.holding() == 0).await;
            }
            Point::Published => {
                let before = self.app.session().await["expiresAt"].clone();
                self.app.tell(command).await;
                self.app.until_session("the new token", |session| session["expiresAt"] != before).await;
                self.app.kill().await;
            }
        }
    }

    fn on_server(&self) -> Stored {
        let issued = self.stage.control.tokens(&self.stored.session_id).expect("the session is present");
        Stored::from(&issued)
    }

    /// Starts the next process; it must find the session, whatever happened to the one before.
    async fn restart_signed_in(&mut self, at: &str) {
        self.app = self.stage.start();
        let session = self.app.session().await;
        assert_eq!(session["status"], "active", "after {at}: {session}");
    }

    async fn sign_in_again(&mut self) {
        self.stored = Stored::from(&self.stage.sign_in(&self.app).await);
    }
}

async fn held(gate: &Gate) {
    let waited = tokio::time::timeout(crate::support::PATIENCE, gate.held(1)).await;
    assert!(waited.is_ok(), "no request came");
}

/// Kills a process at every point of a refresh, `rounds` times over; answers how many sessions were lost where.
async fn kill_refreshes(settings: Settings, rounds: usize) -> BTreeMap<&'static str, usize> {
    let mut scene = Scene::new(settings).await;
    let mut lost = BTreeMap::new();
    for round in 0..rounds {
        for (at, point, spent, kept) in REFRESH {
            scene.stage.time_passes(BETWEEN, &[&scene.app]).await;
            let replays = scene.stage.control.replays();
            let old = scene.stored.clone();
            assert_eq!(scene.witness.peek().await.0.as_ref(), Some(&old), "before {at}, round {round}");
            scene.kill_at(point, Operation::Refresh, "refresh").await;

            let new = scene.on_server();
            assert_eq!(new.refresh_token != old.refresh_token, spent, "{at}: what the server did");
            let found = scene.witness.peek().await.0;
            let expected = if kept { &new } else { &old };
            assert_eq!(found.as_ref(), Some(expected), "A6, {at}: exactly the old or the new record");

            scene.restart_signed_in(at).await;
            let answer = scene.app.refresh().await;
            if answer["ok"] == true {
                assert_eq!(scene.stage.control.replays(), replays, "{at}");
                scene.stored = scene.on_server();
            } else {
                assert!(spent && !kept, "{at}: only a token that died unstored may cost a session: {answer}");
                assert_eq!(scene.app.session().await["endReason"], "revoked", "{at}");
                assert_eq!(scene.stage.control.replays(), replays + 1, "{at}");
                *lost.entry(at).or_insert(0) += 1;
                scene.sign_in_again().await;
            }
            assert_eq!(scene.witness.peek().await.0.as_ref(), Some(&scene.stored), "after {at}");
        }
    }
    lost
}

/// A6, C1: 207 kills against a server without any grace. The one loss nobody can prevent is a token that the server has
/// spent and whose successor was never stored; those are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a6_c1_a_refresh_killed_anywhere_leaves_the_old_or_the_new_record() {
    play(refreshes_under_strict_rotation).await;
}

async fn refreshes_under_strict_rotation() {
    const ROUNDS: usize = 23;
    let lost = kill_refreshes(Settings::default(), ROUNDS).await;
    println!("{} kills in a refresh, strict rotation; sessions lost: {lost:?}", ROUNDS * REFRESH.len());
    let expected: BTreeMap<_, _> = (REFRESH.iter())
        .filter(|(_, _, spent, kept)| *spent && !kept)
        .map(|(at, ..)| (*at, ROUNDS))
        .collect();
    assert_eq!(lost, expected, "a strict server makes every one of them a loss, and no other");
}

/// C1: 27 kills against a server that answers a spent token once more; none costs a session.
#[tokio::test(flavor = "multi_thread")]
async fn c1_with_grace_a_refresh_killed_anywhere_costs_no_session() {
    play(refreshes_with_grace).await;
}

async fn refreshes_with_grace() {
    const ROUNDS: usize = 3;
    let settings = Settings { rotation: Rotation::Grace, grace_seconds: 600, ..Settings::default() };
    let lost = kill_refreshes(settings, ROUNDS).await;
    println!("{} kills in a refresh, with grace; sessions lost: {lost:?}", ROUNDS * REFRESH.len());
    assert!(lost.is_empty(), "{lost:?}");
}

/// A9, C11: 200 kills in a logout. It is final from the moment it began, and the server hears of it in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a9_c11_a_logout_killed_anywhere_is_final_and_is_delivered() {
    play(logouts).await;
}

async fn logouts() {
    const ROUNDS: usize = 20;
    let mut scene = Scene::new(Settings::default()).await;
    for round in 0..ROUNDS {
        for (at, point) in LOGOUT {
            scene.stage.time_passes(BETWEEN, &[&scene.app]).await;
            let old = scene.stored.clone();
            scene.kill_at(point, Operation::Delete, "logout").await;
            let found = scene.witness.peek().await.0;
            assert!(found.is_none() || found.as_ref() == Some(&old), "A6, {at}: whole or gone");

            scene.app = scene.stage.start();
            assert_logged_out(&scene, &old, &format!("{at}, round {round}")).await;
            scene.sign_in_again().await;
        }
    }
    println!("{} kills in a logout; none was revived, all were delivered", ROUNDS * LOGOUT.len());
    assert_eq!(scene.stage.control.replays(), 0);
}

async fn assert_logged_out(scene: &Scene, old: &Stored, at: &str) {
    let session = scene.app.session().await;
    assert_eq!(session["status"], "signedOut", "C11, {at}: {session}");
    let control = &scene.stage.control;
    eventually(&format!("the revocation after {at}"), async || {
        control.session_state(&old.session_id) != Some(SessionState::Active)
    })
    .await;
    eventually(&format!("an empty keychain after {at}"), async || {
        scene.witness.peek().await == (None, false)
    })
    .await;
    let answer = scene.app.refresh().await;
    assert_eq!(answer["error"]["kind"], "notSignedIn", "{at}: {answer}");
    let statuses = scene.app.statuses();
    assert!(
        statuses.iter().all(|status| status == "restoring" || status == "signedOut"),
        "C11, {at}: {statuses:?}"
    );
}
