//! Whether the search for tokens would find one: a canary is planted wherever a token could end up.

use crate::support::{Hit, Policy, Stage, Theme};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

const SESSION_ID: &str = "c0ffee00c0ffee11c0ffee22c0ffee33";

#[tokio::test]
async fn a_canary_planted_in_a_file_is_found_in_every_spelling() {
    let mut stage = Stage::new(Policy::default()).await;
    let token = plant(&mut stage);
    assert!(stage.look_for_leaks(None).await.hits.is_empty(), "nothing is planted yet");

    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let record = format!("{{\"id\":\"{SESSION_ID}\",\"token\":\"{token}\"}}");
    for (spelling, bytes) in [
        ("raw", record.clone().into_bytes()),
        ("base64", STANDARD.encode(&record).into_bytes()),
        ("base64url", URL_SAFE_NO_PAD.encode(&record).into_bytes()),
        ("UTF-16", utf16(&record)),
        ("hex", record.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()),
        ("list of numbers", format!("{:?}", record.as_bytes()).into_bytes()),
    ] {
        let file = stage.home().join("cache/planted");
        fs::write(&file, bytes).expect("a planted file");
        let hits = stage.look_for_leaks(None).await.hits;
        let here: BTreeSet<_> = hits.iter().filter(|hit| hit.place == "cache/planted").collect();
        assert_eq!(here.len(), hits.len(), "all in that file: {hits:?}");
        for secret in ["session id", "session token"] {
            assert!(
                here.iter().any(|hit| hit.secret == secret && hit.encoding == spelling),
                "the {secret} as {spelling} among {here:?}"
            );
        }
        fs::remove_file(file).expect("the planted file goes");
    }
}

#[tokio::test]
async fn a_canary_cut_in_two_is_found() {
    let mut stage = Stage::new(Policy::default()).await;
    let token = plant(&mut stage);
    let half = &token[token.len() / 2..];
    fs::write(stage.home().join("data/half"), half).expect("a planted file");
    let hits = stage.look_for_leaks(None).await.hits;
    assert_eq!(hits.iter().map(Hit::to_string).collect::<Vec<_>>(), ["a session token (raw) in data/half"]);
}

#[tokio::test]
async fn a_canary_that_the_page_keeps_is_found_in_the_page_and_in_the_files_of_the_webview() {
    let mut stage = Stage::new(Policy::default()).await;
    let token = plant(&mut stage);
    let app = stage.start_app(Theme::Light).await;
    assert!(stage.look_for_leaks(Some(&app)).await.hits.is_empty(), "nothing is planted yet");

    let plantings = [
        ("page: localStorage", "localStorage.setItem('canary', arguments[0])"),
        ("page: sessionStorage", "sessionStorage.setItem('canary', arguments[0])"),
        ("page: document", "document.body.dataset.canary = arguments[0]"),
        ("page: fields", "document.querySelector('input').value = arguments[0]"),
        ("page: window name", "window.name = arguments[0]"),
        ("page: history state", "history.replaceState(arguments[0], '')"),
    ];
    for (_, script) in plantings {
        app.run(script, vec![json!(token)]).await;
    }
    let hits = stage.look_for_leaks(Some(&app)).await.hits;
    for (place, _) in plantings {
        assert!(hits.iter().any(|hit| hit.place == place), "{place} among {hits:?}");
    }

    app.close().await;
    let hits = stage.look_for_leaks(None).await.hits;
    assert!(
        hits.iter().any(|hit| hit.place.contains("localstorage") && hit.encoding == "UTF-16"),
        "the webview's own database among {hits:?}"
    );
}

/// A token like those of a sign-in, which the app never gets; from here on it is searched for.
fn plant(stage: &mut Stage) -> String {
    let token = stage.control().mint(json!({ "sub": SESSION_ID, "sessionId": SESSION_ID }), Value::Null);
    stage.secrets().add("session id", SESSION_ID);
    stage.secrets().add_token("session token", &token);
    token
}
