//! What a dump of the process finds of a session after its end (E6).

use std::fs;

use otpless_local::{Issued, SessionState, Settings, SignIn};
use otpless_relay::Relay;
use serde_json::{Value, json};

use crate::support::{Process, Stage, eventually};

/// Most copies of one token that the HTTP client, the D-Bus client and the allocator may leave behind: docs/security.md
/// says what was measured.
const BOUND_ELSEWHERE: usize = 4;

/// The same for the session id, which stands in the URL of the revocation, of which every layer of an HTTP client makes texts of its
/// own. From then on it is worth nothing.
const BOUND_OF_THE_ID: usize = 16;

/// Pieces of a secret that are its own: of a JWT some of its payload and of its signature, of which a copy that was half
/// overwritten shows one.
fn pieces(secret: &str) -> Vec<&str> {
    // The first half of a short text that was given back is written over by the allocator.
    let Some(dot) = secret.rfind('.') else { return vec![&secret[secret.len() / 2..]] };
    let signature = dot + 1;
    vec![
        &secret[signature - 60..signature - 30],
        &secret[signature + 20..signature + 50],
        &secret[signature + 200..][..30],
    ]
}

/// How many copies of each secret are there, by the piece of it that is seen most often.
fn copies<const N: usize>(app: &Process, secrets: [&str; N]) -> [usize; N] {
    let pieces = secrets.map(pieces);
    let seen = app.sightings(&pieces.concat());
    let mut seen = seen.into_iter();
    pieces.map(|pieces| pieces.iter().filter_map(|_| seen.next()).max().unwrap_or_default())
}

/// What the session has had: its id, session and refresh token of the sign-in, and the two it has now.
fn secrets(stage: &Stage, issued: &Issued) -> [String; 5] {
    let now = stage.control.tokens(&issued.session_id).expect("the session is there");
    assert_ne!(now.refresh_token, issued.refresh_token, "it has rotated");
    let Issued { session_id, session_token, refresh_token, .. } = issued.clone();
    [session_id, session_token, refresh_token, now.session_token, now.refresh_token]
}

async fn logs_out(stage: &Stage, app: &Process, session_id: &str) {
    let answer = app.ask(json!({ "do": "logout" })).await;
    assert_eq!(answer["session"]["status"], "signedOut", "{answer}");
    // v4 forgets a session that is deleted, v1 remembers that it is over.
    let is_over = || stage.control.session_state(session_id) != Some(SessionState::Active);
    eventually("the revocation", async || is_over()).await;
    let idle = |answer: &Value| answer["diagnostics"]["pendingRevocations"] == 0;
    eventually("the end of it", async || idle(&app.ask(json!({ "do": "diagnostics" })).await)).await;
}

/// E6: with buffers at either end that are wiped, whatever is still found is ours. Nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn e6_nothing_of_a_token_is_left_in_our_memory_after_a_logout() {
    let stage = Stage::new(Settings::default()).await;
    let app = stage.start_bare();
    leaves_nothing(&stage, &app).await;
}

/// E6: nor of one that lives behind a relay, whose answers are others.
#[tokio::test(flavor = "multi_thread")]
async fn e6_nothing_of_a_token_is_left_in_our_memory_in_relay_mode_either() {
    let stage = Stage::new(Settings::default()).await;
    let settings = otpless_relay::Settings::new("LOCALCLIENTID", "local-client-secret");
    let relay = Relay::start(settings.upstream(stage.otpless.url())).await.expect("the relay starts");
    let app = stage.start_bare_behind(&relay);
    leaves_nothing(&stage, &app).await;
}

async fn leaves_nothing(stage: &Stage, app: &Process) {
    let issued = stage.control.sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
    let file = stage.desktop.app_directory().join("sign-in.json");
    fs::write(&file, issued.web().to_string()).expect("the sign-in result");
    let answer = app.ask(json!({ "do": "start-session-from", "file": file })).await;
    assert_eq!(answer["session"]["status"], "active", "{answer}");
    assert!(copies(app, [&issued.refresh_token])[0] > 0, "the search finds what is there");

    let answer = app.refresh().await;
    assert_eq!(answer["ok"], true, "{answer}");
    let secrets = secrets(stage, &issued);
    logs_out(stage, app, &issued.session_id).await;
    assert_eq!(copies(app, secrets.each_ref().map(String::as_str)), [0; 5]);
}

/// E6: a refused sign-in may hold tokens that are good. Each is refused at another place.
#[tokio::test(flavor = "multi_thread")]
async fn e6_nothing_of_a_refused_sign_in_is_left_in_our_memory() {
    let stage = Stage::new(Settings::default()).await;
    let app = stage.start_bare();
    let issued = stage.control.sign_in(SignIn::default());
    let refused: [fn(&mut Value); 7] = [
        |result| *result = json!([result]),
        |result| result["padding"] = "x".repeat(16 * 1024).into(),
        |result| *result = json!({ "response": "none", "sessionInfo": result }),
        |result| *result = json!({ "response": { "sessionInfo": [result], "status": "SUCCESS" } }),
        |result| result["success"] = false.into(),
        |result| result["sessionId"] = "../x".into(),
        |result| result["state"] = "a\r\nb".into(),
    ];
    for (index, refuse) in refused.into_iter().enumerate() {
        let mut result = issued.web();
        refuse(&mut result);
        let file = stage.desktop.app_directory().join("sign-in.json");
        fs::write(&file, result.to_string()).expect("the sign-in result");
        let answer = app.ask(json!({ "do": "start-session-from", "file": file })).await;
        assert_eq!(answer["error"]["kind"], "invalidArgument", "{index}: {answer}");
        let secrets = [&*issued.session_id, &issued.session_token, &issued.refresh_token];
        assert_eq!(copies(&app, secrets), [0; 3], "{index}");
    }
    fs::write(stage.desktop.app_directory().join("sign-in.json"), issued.web().to_string()).expect("a file");
    let file = stage.desktop.app_directory().join("sign-in.json");
    let answer = app.ask(json!({ "do": "start-session-from", "file": file })).await;
    assert_eq!(answer["session"]["status"], "active", "{answer}");
    assert!(copies(&app, [&issued.refresh_token])[0] > 0, "the search finds what is there");
}

/// E6: with the real HTTP client and the real keychain some copies are left, by those; no more than a stated number.
#[tokio::test(flavor = "multi_thread")]
async fn e6_what_the_libraries_leave_in_memory_after_a_logout_is_bounded() {
    let stage = Stage::new(Settings::default()).await;
    let mut first = stage.start();
    let issued = stage.sign_in(&first).await;
    first.kill().await;

    let app = stage.start();
    assert_eq!(app.session().await["status"], "active");
    let answer = app.refresh().await;
    assert_eq!(answer["ok"], true, "{answer}");
    let secrets = secrets(&stage, &issued);
    let secrets = secrets.each_ref().map(String::as_str);
    assert!(copies(&app, secrets)[4] > 0, "the search finds what is there");
    logs_out(&stage, &app, &issued.session_id).await;
    let left = copies(&app, secrets);
    println!("e6: copies left by libraries after a logout: {left:?} of the session id and the tokens");
    let [of_the_id, of_tokens @ ..] = left;
    assert!(of_tokens.iter().all(|copies| *copies <= BOUND_ELSEWHERE), "{left:?}");
    assert!(of_the_id <= BOUND_OF_THE_ID, "{left:?}");
}
