//! The simulation itself is held to its word: a seed replays exactly, and what must not happen is noticed.

use std::process::{Command, Output};

fn simulation(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otpless-simulation"))
        .args(arguments)
        .output()
        .expect("the simulation runs")
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// All that happened, without what differs from run to run: ids, which the service makes, and how long it took.
fn story(output: &Output) -> String {
    let text = text(&output.stdout);
    let lines = text.lines().filter(|line| !line.starts_with("simulated in"));
    let words = lines.map(|line| {
        let words = line.split(' ').map(|word| if word.starts_with("MO-") { "MO-" } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    words.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_seed_replays_exactly_and_another_is_another_story() {
    let [once, again, other] = ["7", "7", "8"].map(|seed| story(&simulation(&["--seed", seed])));
    assert!(once.lines().count() > 100, "{once}");
    assert_eq!(once, again);
    assert_ne!(once, other);
}

/// Without this a simulation that checks nothing would pass as well.
#[test]
fn what_must_not_happen_is_noticed() {
    for (sabotage, violation) in [
        ("forgetful-keychain", "found nobody signed in, and nobody had signed out"),
        ("no-locks", "offers a token that another process has under way"),
        ("revived-by-hand", "shows a session again that was over"),
        ("no-deadlines", "shows a session beyond its maximum lifetime"),
        ("endless-waits", "is still Stale"),
        ("deaf-to-waits", "before the service asked it to"),
        ("loop-stops", "by itself, "),
        ("never-stores", "has not stored its session in an hour"),
    ] {
        let output = simulation(&["--seeds", "60", "--from", "1", "--sabotage", sabotage]);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(violation), "{sabotage}: {said}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for wrong in [&["--seeds"][..], &["--seeds", "many"], &["--seeds", "0"], &["--sabotage", "everything"]] {
        let output = simulation(wrong);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("usage"), "{}", text(&output.stderr));
    }
}
