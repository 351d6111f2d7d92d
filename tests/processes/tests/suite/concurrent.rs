//! Eight processes of one app, one keychain, and a server that takes every refresh token once (A7, C4).

use std::time::{Duration, Instant};

use otpless_local::{Operation, Settings};
use serde_json::json;

use crate::support::Stage;

const PROCESSES: usize = 8;
const ROUNDS: usize = 1000;

/// A token lives for two minutes, so after this it is due in every process.
const UNTIL_DUE: Duration = Duration::from_secs(100);

/// A7: in each of 1,000 rounds all eight want a fresh token at the same moment; exactly one of them buys it.
#[tokio::test(flavor = "multi_thread")]
async fn a7_eight_processes_and_a_thousand_refreshes_without_a_replay() {
    let settings = Settings { session_token_seconds: 120, ..Settings::default() };
    let mut stage = Stage::new(settings).await;
    let first = stage.start();
    stage.sign_in(&first).await;
    let mut apps = vec![first];
    apps.extend((1..PROCESSES).map(|_| stage.start()));
    for app in &apps {
        assert_eq!(app.session().await["status"], "active");
    }

    let began = Instant::now();
    for round in 1..=ROUNDS {
        stage.time_passes(UNTIL_DUE, &apps.iter().collect::<Vec<_>>()).await;
        let mut asked = Vec::with_capacity(PROCESSES);
        for app in &apps {
            asked.push(app.tell(json!({ "do": "refresh" })).await);
        }
        for (app, id) in apps.iter().zip(asked) {
            let answer = app.ended(id).await;
            assert_eq!(answer["ok"], true, "round {round}: {answer}");
            assert_eq!(answer["session"]["status"], "active", "round {round}: {answer}");
        }
    }
    let (exchanges, replays) = (stage.control.count(Operation::Refresh), stage.control.replays());
    println!(
        "{PROCESSES} processes, {ROUNDS} rounds in {:.0} s: {exchanges} exchanges, {replays} replays",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(replays, 0);
    assert_eq!(exchanges, ROUNDS, "one exchange a round: the other seven adopt what it brought");
    let expiry = apps[0].session().await["expiresAt"].as_i64().expect("an active session expires");
    for app in &apps {
        let session = app.session().await;
        assert_eq!(session["status"], "active", "{session}");
        // By its own clock: a machine whose clock is set by a part of a second meanwhile, as virtual ones are, makes no
        // other token of it. The next token is 100 s away.
        let apart = session["expiresAt"].as_i64().map(|at| (at - expiry).abs());
        assert!(apart.is_some_and(|ms| ms < 5_000), "all have the last token: {session}, {expiry}");
        app.assert_never_signed_out();
    }
}
