//! However often a page calls, the server is asked as often as one session ever needs (requirement D9).

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    page::{Page, all, invocation, key_set, open, open_with, server},
};

const CALLS: u32 = 10_000;

/// `MIN_EXCHANGE_INTERVAL` of the engine: what went well is not asked for again sooner.
const INTERVAL: Duration = Duration::from_secs(10);

/// Calls as fast as the IPC takes them; how long it took until all were answered.
fn flood(page: &Page, command: &str, args: &Value) -> Duration {
    let began = Instant::now();
    let (answers, answer) = mpsc::channel();
    for _ in 0..CALLS {
        invocation(page.window.as_ref(), command, args.clone()).start(answers.clone());
    }
    for n in 0..CALLS {
        let answered = answer.recv_timeout(PATIENCE);
        assert!(answered.is_ok(), "{command} has answered {n} times of {CALLS}");
    }
    began.elapsed()
}

/// One of its own now and one whenever the interval is over, and perhaps one of the background task's.
fn is_few(made: usize, took: Duration) -> bool {
    made as u64 <= 2 + took.as_secs() / INTERVAL.as_secs()
}

#[test]
fn d9_ten_thousand_questions_for_details_are_one() {
    let server = server();
    let settings =
        otpless_relay::Settings::new("LOCALCLIENTID", "local-client-secret").upstream(server.url());
    let relay = tauri::async_runtime::block_on(otpless_relay::Relay::start(settings)).unwrap();
    let config = json!({"mode": "relay", "relayUrl": relay.url(), "relayHeaders": {"x-api-key": "k"},
                        "jwksUrl": key_set(&server.url())});
    let page = open_with(config, all());
    page.sign_in(&server);
    let before = server.state().requests().len();
    let took = flood(&page, "get_session_details", &json!({}));
    let made = server.state().requests().len() - before;
    println!("{CALLS} calls of get_session_details in {took:.1?} made {made} requests");
    assert!(made > 0 && is_few(made, took), "{made} requests in {took:?}");
}

#[test]
fn d9_ten_thousand_calls_of_a_command_ask_the_server_a_few_times() {
    let server = server();
    let page = open(&server.url(), all());
    let issued = page.sign_in(&server);
    let part = |json: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, json);
    let forged = format!("{}.{}.AAAA", part(r#"{"alg":"RS256","kid":"nobody's"}"#), part("{}"));
    let mut of_an_attacker = issued.web();
    of_an_attacker["sessionToken"] = json!(forged);
    for (command, args) in [
        ("get_session", json!({})),
        ("record_activity", json!({})),
        ("refresh_session", json!({})),
        ("verify_session", json!({})),
        // More than any token has left, so that each call wants another.
        ("get_session_token", json!({"minValidity": 1_000_000})),
        ("start_session", json!({"result": of_an_attacker})),
        ("diagnostics", json!({})),
    ] {
        let before = server.state().requests().len();
        let took = flood(&page, command, &args);
        let made = server.state().requests().len() - before;
        println!("{CALLS} calls of {command} in {took:.1?} made {made} requests");
        assert!(is_few(made, took), "{command}: {made} requests in {took:?}");
    }
    assert_eq!(page.invoke("get_session", json!({})).unwrap()["status"], "active");
    page.invoke("logout", json!({})).unwrap();
    let before = server.state().requests().len();
    let took = flood(&page, "logout", &json!({}));
    let made = server.state().requests().len() - before;
    assert!(made <= 2, "logout: {made} requests in {took:?}");
}
