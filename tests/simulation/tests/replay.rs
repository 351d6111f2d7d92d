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
        ("stores-only-sign-ins", "dies with tokens that the keychain would have taken"),
        ("stolen-key", "serves a token that the service has not issued"),
        ("early-deadlines", "ended a session as Some(Inactive), which is not why"),
        ("two-engines", "has two exchanges of one token under way"),
        ("hammering", "calls within an hour"),
        ("revokes-nothing", "the service still has a session that is over"),
        ("sleepless-clock", "the network has not settled"),
    ] {
        let output = simulation(&["--seeds", "60", "--from", "1", "--sabotage", sabotage]);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(violation), "{sabotage}: {said}");
    }
}

/// A life is cut off at each of its steps, of every kind, and the same life is the same again.
#[test]
fn every_step_of_a_life_is_one_at_which_it_is_cut_off() {
    let all = simulation(&["--crash-points", "1", "--from", "7"]);
    let said = text(&all.stdout);
    assert!(all.status.success(), "{said}{}", text(&all.stderr));
    for kind in [
        "at an await",
        "before a read",
        "before a write",
        "after a write",
        "before an erase",
        "after an erase",
    ] {
        assert!(said.contains(&format!("cut off {kind}")), "{kind}: {said}");
    }
    for life in ["in-company", "damaged-in-company", "stopped-revoked"] {
        let play = || story(&simulation(&["--life", life, "--step", "60", "--seed", "7"]));
        let once = play();
        assert!(once.contains("it was cut off"), "{once}");
        assert_eq!(once, play());
    }
}

/// And what must not happen is noticed there, too: tokens that are kept from a keychain that would take them.
#[test]
fn what_must_not_come_of_a_crash_is_noticed() {
    let output = simulation(&["--crash-points", "1", "--from", "1", "--sabotage", "stores-only-sign-ins"]);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("dies with tokens that the keychain would have taken"), "{said}");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for wrong in [
        &["--seeds"][..],
        &["--seeds", "many"],
        &["--seeds", "0"],
        &["--crash-points", "0"],
        &["--life", "eternal", "--step", "1", "--seed", "1"],
        &["--life", "alone", "--seed", "1"],
        &["--sabotage", "everything"],
    ] {
        let output = simulation(wrong);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("usage"), "{}", text(&output.stderr));
    }
}
