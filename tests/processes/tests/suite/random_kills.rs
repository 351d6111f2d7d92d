//! Processes killed at moments that nobody chose (A6, C1, C11).

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use otpless_local::{SessionState, Settings};
use serde_json::json;

use crate::support::{Stage, Stored, eventually, play};

const KILLS: usize = 40;

/// A refresh takes about this long on an idle machine.
const WITHIN_MICROSECONDS: u64 = 40_000;

/// SplitMix64: the seed that is printed plays the same moments again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A6, C11: every third is a logout, the others are refreshes. `OTPLESS_SEED` sets the seed.
#[tokio::test(flavor = "multi_thread")]
async fn a6_c11_a_process_killed_at_any_moment_leaves_the_old_or_the_new_and_no_ended_session() {
    play(forty_kills).await;
}

async fn forty_kills() {
    let seed = match std::env::var("OTPLESS_SEED") {
        Ok(seed) => seed.parse().expect("OTPLESS_SEED is a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    println!("OTPLESS_SEED={seed}");
    let mut random = Random(seed);
    let mut stage = Stage::new(Settings::default()).await;
    let witness = stage.witness();
    let mut app = stage.start();
    let mut stored = Stored::from(&stage.sign_in(&app).await);
    let (mut unchanged, mut renewed, mut lost, mut ended) = (0, 0, 0, 0);
    for kill in 0..KILLS {
        stage.time_passes(Duration::from_secs(20), &[&app]).await;
        let replays = stage.control.replays();
        let logout = kill % 3 == 2;
        app.tell(json!({ "do": if logout { "logout" } else { "refresh" } })).await;
        // Not a wait for anything: the moment is the point.
        tokio::time::sleep(Duration::from_micros(random.next() % WITHIN_MICROSECONDS)).await;
        app.kill().await;

        let found = witness.peek().await.0;
        app = stage.start();
        let session = app.session().await;
        let on_server = stage.control.tokens(&stored.session_id).map(|issued| Stored::from(&issued));
        if session["status"] == "signedOut" {
            assert!(logout, "kill {kill}, seed {seed}: a killed refresh signed out: {session}");
            eventually("the revocation", async || {
                stage.control.session_state(&stored.session_id) != Some(SessionState::Active)
            })
            .await;
            eventually("an empty keychain", async || witness.peek().await == (None, false)).await;
            ended += 1;
            stored = Stored::from(&stage.sign_in(&app).await);
            continue;
        }
        // A logout that had not reached the engine yet leaves everything as it was.
        assert_eq!(session["status"], "active", "kill {kill}, seed {seed}: {session}");
        let found = found.expect("an active session is stored");
        let on_server = on_server.expect("an active session is present");
        assert!(found == stored || (found == on_server && !logout), "A6: kill {kill}, seed {seed}: mixed");
        let died_unstored = found != on_server;
        let answer = app.refresh().await;
        if died_unstored {
            assert_eq!(answer["ok"], false, "kill {kill}, seed {seed}: {answer}");
            assert_eq!(stage.control.replays(), replays + 1);
            lost += 1;
            stored = Stored::from(&stage.sign_in(&app).await);
        } else {
            assert_eq!(answer["ok"], true, "kill {kill}, seed {seed}: {answer}");
            *(if found == stored { &mut unchanged } else { &mut renewed }) += 1;
            let issued = stage.control.tokens(&stored.session_id).expect("the session is present");
            stored = Stored::from(&issued);
            assert_eq!(witness.peek().await.0.as_ref(), Some(&stored));
        }
    }
    println!(
        "{KILLS} kills: {unchanged} found the old, {renewed} the new, {ended} the end, {lost} died unstored"
    );
}
