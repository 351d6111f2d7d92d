//! A page that plays script which got into it: what it gets hold of, and what it can make the app do (D1 to D3, D6 to D10).

use crate::support::{App, Backend, COOKIE_CANARY, Policy, Stage, Theme, eventually};
use otpless_local::SessionState;
use otpless_test_kit::leaks::Secrets;
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

/// What a page with the default permissions is told of a change, and nothing else (D7).
const CHANGE: [&str; 3] = ["reason", "revision", "status"];

/// D1, D2, D3, D6, D7, D8, D9, D10.
#[tokio::test]
async fn d1_d6_d9_d10_a_hostile_page_gets_no_token_and_changes_nothing() {
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
        } else if command == "by hand" {
            // With the key that it overheard it comes as far as with Tauri's own script, and no further.
            let answered: Vec<_> = outcomes
                .iter()
                .filter(|outcome| outcome["ok"] == true)
                .map(|outcome| &outcome["with"])
                .collect();
            assert_eq!(answered, ["get_session with the overheard key"]);
        } else {
            assert!(outcomes.iter().all(|outcome| outcome["ok"] == false), "{command}: {outcomes:?}");
        }
    }
    hears_of_changes_and_no_more(&loot);
    frames_are_no_better(&loot);
    assert!(
        loot["overheard"].as_array().is_some_and(|overheard| overheard.len() > 50),
        "its patches see its own calls"
    );

    // What it made the app do. A session asks at most this often, whoever wants what (requirement D9).
    let made = stage.control().requests().len() - requests_before;
    println!("        {} calls of a hostile page made {made} requests to OTPless", loot["flood"]["calls"]);
    assert!(made <= 6, "{made} requests");

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

/// D7: by the plugin's own events, not only by those that the page has forged.
fn hears_of_changes_and_no_more(loot: &Value) {
    let payloads = loot["heard"].as_array().expect("a list").iter().map(|heard| &heard["payload"]);
    let own: Vec<_> = payloads
        .filter(|payload| payload["revision"].as_u64().is_some_and(|revision| revision < 1_000_000))
        .collect();
    assert!(!own.is_empty(), "its own call of refresh_session changes the session: {}", loot["heard"]);
    for payload in own {
        let fields: Vec<_> = payload.as_object().expect("an object").keys().collect();
        assert!(fields.iter().all(|field| CHANGE.contains(&&***field)), "{payload}");
    }
}

/// D6: on Linux and Android Tauri takes a frame for the page around it. It is answered as that is, and no better.
fn frames_are_no_better(loot: &Value) {
    let ways = ["invoked", "byHand", "byMessage"];
    let frames = loot["frames"].as_object().expect("an object");
    assert_eq!(frames.len(), 4);
    let mut answered = 0;
    for (name, frame) in frames {
        for way in ways {
            let tried = &frame["answer"][way];
            assert_ne!(tried["token"]["ok"], json!(true), "{name}, {way}: {tried}");
            answered += usize::from(tried["session"]["answer"]["status"] == "active");
        }
    }
    println!("        frames were told of the session {answered} times by hand, of no token");
    assert!(answered > 0, "if no frame comes through at all, this shows nothing: {}", loot["frames"]);
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
    let (own, other) = (Backend::start().await, Backend::start().await);
    let backends = json!({"own": own.origin(), "other": other.origin()});
    app.run("window.attack(arguments[0]).then((loot) => { window.loot = loot; })", vec![backends]).await;
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
    let mut got = BTreeSet::from([issued.session_token.clone(), now.session_token.clone()]);
    session_tokens_in(&loot["commands"]["get_session_token"], &mut got);
    assert!(got.len() > 2, "the permission is good for something: {}", told(&loot));
    let mut refresh = Secrets::default();
    for token in [&issued.refresh_token, &now.refresh_token] {
        refresh.add("refresh token", token.rsplit('.').next().expect("a signature"));
    }
    refresh.add("session id", &issued.session_id);
    // A session token says itself whose it is.
    let rest = got.iter().fold(loot.to_string(), |rest, token| rest.replace(token, ""));
    refresh.finder().finds_nothing_in("what script in the main page got hold of", rest);
    fetch_is_no_way_around(&loot, &own, &other, &got);
    app.kill().await;
}

/// Those that the page was answered with.
fn session_tokens_in(outcomes: &Value, found: &mut BTreeSet<String>) {
    let outcomes = outcomes.as_array().expect("a list");
    found.extend(outcomes.iter().filter_map(|outcome| Some(outcome["answer"]["token"].as_str()?.to_owned())));
}

/// D1, D5, D9: a page that may call its backend with the session, and may even have the session token, does not get it from
/// there, nor anything of anybody else's.
fn fetch_is_no_way_around(loot: &Value, own: &Backend, other: &Backend, tokens: &BTreeSet<String>) {
    let tried = loot["backend"].as_array().expect("a list");
    let outcome = |words: &str| tried.iter().find(|outcome| outcome["with"] == words).expect(words);
    for outcome in tried {
        let text = outcome["answer"].to_string();
        assert!(
            tokens.iter().all(|token| !text.contains(token)) && !text.contains(COOKIE_CANARY),
            "{outcome}"
        );
    }
    let echoed = outcome("its own headers back");
    assert_eq!((&echoed["ok"], &echoed["answer"]["body"]), (&json!(true), &json!("hello")), "{echoed}");
    let carried = |backend: &Backend| {
        let requests = backend.requests();
        requests.iter().filter(|request| tokens.iter().any(|token| request.contains(token))).count()
    };
    assert!(carried(own) >= 1, "the backend itself has seen it");
    assert!(!other.requests().is_empty(), "the redirects were followed");
    assert_eq!(carried(other), 0, "and the session stayed behind");
    let attackers = own.requests().into_iter().filter(|request| request.contains("attacker")).count();
    assert_eq!(attackers, 0, "none of its headers has gone out");
    let refused = |outcome: &Value, kind: &str| outcome["ok"] == false && outcome["answer"]["kind"] == kind;
    for outcome in tried.iter().filter(|outcome| outcome["with"].as_str().unwrap().starts_with("the header "))
    {
        assert!(refused(outcome, "invalidArgument"), "{outcome}");
    }
    assert!(refused(outcome("outside of the scope"), "notPermitted"));
    let guesses: Vec<_> =
        tried.iter().filter(|outcome| outcome["with"] == "the number of somebody else's call").collect();
    assert!(
        !guesses.is_empty() && guesses.iter().all(|guess| refused(guess, "invalidArgument")),
        "{guesses:?}"
    );
    let opened = outcome("3000 calls at once")["answer"].as_u64().expect("a count");
    println!("        of 3000 calls of fetch at once {opened} were opened");
    assert!((1..=128).contains(&opened), "{opened}");
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
