//! A page that plays script which got into it: what it gets hold of, and what it can make the app do (D1, D2, D3, D8, D9, D10).

use crate::support::{App, Policy, Stage, Theme, eventually};
use otpless_local::SessionState;
use otpless_test_kit::leaks::{Finder, Secrets};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Long enough for 3,000 calls and some that are never answered, on a busy machine.
const ATTACK_BOUND: Duration = Duration::from_secs(300);

/// What a page with the default permissions may call.
const GRANTED: [&str; 4] = ["get_session", "record_activity", "verify_session", "refresh_session"];

/// What it is told of a session, and nothing else (D2).
const FIELDS: [&str; 13] = [
    "claims",
    "endReason",
    "expiresAt",
    "expiringAt",
    "inactivityDeadline",
    "lastActiveAt",
    "lifetimeDeadline",
    "refreshExpiresAt",
    "revision",
    "startedAt",
    "status",
    "storage",
    "userId",
];

/// D1, D2, D3, D8, D9, D10. Of frames it shows that Tauri's script is not in them; what they could call by hand is not tried.
#[tokio::test]
async fn d1_d9_d10_a_hostile_page_gets_no_token_and_changes_nothing() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    let user = app.read("user").await;
    let session_id = stage.session_id().to_owned();
    let requests_before = stage.control().requests().len();

    app.click("open-hostile").await;
    let main = app.turn_to_other_window().await;
    app.click("attack").await;
    app.shows_one_of("attack-state", &["done"], ATTACK_BOUND).await;
    let loot = app.run("return JSON.parse(JSON.stringify(window.loot))", vec![]).await;
    let hostile = app.turn_to_other_window().await;
    println!("{}", told(&loot));

    // What it has got hold of.
    stage.note_tokens();
    let finder = stage.secrets().finder();
    finder.finds_nothing_in("what a hostile page got hold of", loot.to_string());
    for (command, outcomes) in loot["commands"].as_object().expect("an object") {
        let outcomes = outcomes.as_array().expect("a list");
        assert!(outcomes.len() >= 3, "{command} was tried: {outcomes:?}");
        if GRANTED.contains(&&**command) {
            assert!(
                outcomes.iter().any(|outcome| outcome["ok"] == true),
                "{command} is granted: {outcomes:?}"
            );
            for outcome in outcomes.iter().filter(|outcome| outcome["ok"] == true) {
                let fields: BTreeSet<_> = outcome["answer"].as_object().expect("a session").keys().collect();
                assert!(fields.iter().all(|field| FIELDS.contains(&&***field)), "{command}: {fields:?}");
            }
            for outcome in outcomes.iter().filter(|outcome| outcome["ok"] == false) {
                assert!(
                    outcome["answer"]["kind"].is_string(),
                    "{command} answers by a typed error: {outcome}"
                );
            }
        } else {
            assert!(outcomes.iter().all(|outcome| outcome["ok"] == false), "{command}: {outcomes:?}");
        }
    }
    let events: Vec<_> = loot["heard"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|heard| heard["payload"].is_object())
        .collect();
    assert!(!events.is_empty(), "it hears of changes: its own forgeries at the least");
    for frame in ["about:blank", "srcdoc", "another page of the app", "the IPC itself"] {
        let inside = &loot["frames"][frame]["answer"];
        assert_ne!(inside["token"]["ok"], json!(true), "a frame is no better: {inside}");
    }
    assert!(
        loot["overheard"].as_array().is_some_and(|overheard| overheard.len() > 50),
        "its patches see its own calls"
    );

    // What it made the app do. A session asks at most this often, whoever wants what (requirement D9).
    let made = stage.control().requests().len() - requests_before;
    println!("        {} calls of a hostile page made {made} requests to OTPless", loot["flood"]["calls"]);
    assert!(made <= 20, "{made} requests");

    // And what it could not: the others go on as before.
    app.turn_to(main).await;
    app.shows("status", "active").await;
    assert_eq!(app.read("user").await, user);
    assert_eq!(stage.control().session_state(&session_id), Some(SessionState::Active));
    stage.no_token_anywhere(Some(&app)).await;
    app.turn_to(hostile).await;
    stage.no_token_anywhere(Some(&app)).await;
    app.kill().await;
}

/// D1: the page of the main window has been given the permission for the session token. The same script in it has that, and of
/// the refresh token nothing.
#[tokio::test]
async fn d1_script_in_a_page_that_may_have_the_session_token_never_has_the_refresh_token() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    stage.sign_in(&app).await;
    let issued = stage.control().tokens(stage.session_id()).expect("the session is there");
    bring_in(&app).await;
    app.run("window.attack().then((loot) => { window.loot = loot; })", vec![]).await;
    let loot = eventually("the attack is over", ATTACK_BOUND, async || {
        match app
            .run("return window.loot === undefined ? null : JSON.parse(JSON.stringify(window.loot))", vec![])
            .await
        {
            Value::Null => Err("not yet"),
            loot => Ok(loot),
        }
    })
    .await;

    let now = stage.control().tokens(stage.session_id()).expect("the session is there");
    let got =
        only("session token", [&issued.session_token, &now.session_token]).find(loot.to_string().as_bytes());
    assert!(!got.is_empty(), "the permission is good for something");
    let mut refresh = Secrets::default();
    for token in [&issued.refresh_token, &now.refresh_token] {
        refresh.add("refresh token", token.rsplit('.').next().expect("a signature"));
    }
    refresh.add("session id", &issued.session_id);
    // The session token says itself whose it is.
    let rest = loot.to_string().replace(&now.session_token, "").replace(&issued.session_token, "");
    refresh.finder().finds_nothing_in("what script in the main page got hold of", rest);
    app.kill().await;
}

fn only(name: &'static str, tokens: [&String; 2]) -> Finder {
    let mut secrets = Secrets::default();
    for token in tokens {
        secrets.add(name, token.rsplit('.').next().expect("a signature"));
    }
    secrets.finder()
}

/// As if it had got into the page by a hole in it.
async fn bring_in(app: &App) {
    let script = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/dist/hostile.js"));
    app.run(&script.expect("the page is built before the app"), vec![]).await;
}

/// For whoever reads the test's output: what was tried, and how often it was let in.
fn told(loot: &Value) -> String {
    let line = |(command, outcomes): (&String, &Value)| {
        let outcomes = outcomes.as_array().map_or(&[][..], Vec::as_slice);
        let answered = outcomes.iter().filter(|outcome| outcome["ok"] == true).count();
        format!("        {command:<28} tried {:>2} times, answered {answered}", outcomes.len())
    };
    loot["commands"].as_object().expect("an object").iter().map(line).collect::<Vec<_>>().join("\n")
}
