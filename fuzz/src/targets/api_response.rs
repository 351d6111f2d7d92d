//! Any answer of a server, to each of the calls. A line with the call and the status, headers, an empty line, the body.
//!
//! Nothing but OTPless's own verdict ends a session (C5), and nothing of an answer gets into an error (A2).

use serde_json::Value;
use tauri_plugin_otpless::engine::{ApiError, ClientApi, Credentials, SessionApi, Verdict};

use super::issuer::{self, Answers, RUNTIME};

/// The longest token there is.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

pub fn run(data: &[u8]) {
    let Some(end) = data.windows(2).position(|pair| pair == b"\n\n") else { return };
    let (head, body) = (&data[..end], &data[end + 2..]);
    let Ok(head) = std::str::from_utf8(head) else { return };
    let mut lines = head.lines();
    let Some((call, status)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let Ok(status) = status.parse() else { return };
    let base = "https://api.otpless.com".parse().expect("a URL");
    let api = ClientApi::new(Answers { status, body: body.to_vec() }, base, issuer::APP_ID);
    let id = "0123456789abcdef0123456789abcdef".into();
    let outcome = match call {
        "authenticate" => {
            let credentials = Credentials { session_id: &id, session_token: &"h.p.s".into(), state: None };
            let outcome = RUNTIME.block_on(api.authenticate(credentials)).outcome;
            outcome.map(|token| token.iter().for_each(|token| assert_is_token(token.expose())))
        }
        "refresh" => {
            let outcome = RUNTIME.block_on(api.refresh(&"h.r.s".into(), None)).outcome;
            outcome.map(|fresh| {
                assert_is_token(fresh.session_token.expose());
                fresh.refresh_token.iter().for_each(|token| assert_is_token(token.expose()));
                fresh.session_id.iter().for_each(|id| assert_is_token(id.expose()));
            })
        }
        "revoke" => RUNTIME.block_on(api.revoke(&id)).outcome,
        _ => return,
    };
    match outcome {
        Ok(()) if call == "revoke" && (400..500).contains(&status) => assert!(is_verdict(body)),
        Ok(()) => assert!(status == 200 && body.trim_ascii_start().starts_with(b"{")),
        Err(refused) => assert_is_sound(&refused, status, body),
    }
    #[cfg(fuzzing)]
    tauri_plugin_otpless::fuzzing::header_times(lines);
}

fn assert_is_token(token: &str) {
    assert!(!token.is_empty() && token.len() <= MAX_TOKEN_BYTES);
}

fn assert_is_sound(refused: &ApiError, status: u16, body: &[u8]) {
    if refused.verdict == Verdict::Over {
        assert!((400..500).contains(&status) && is_verdict(body));
    }
    let code = refused.error.code().unwrap_or_default();
    assert!(code.len() <= 8 && code.bytes().all(|b| b.is_ascii_alphanumeric()), "{code}");
    // The server's words are not passed on, only a status and a code.
    let words = refused.error.message();
    assert!(words.len() < 200 && words.is_ascii(), "{words}");
}

/// One of the two codes that end a session, as a string, where it belongs.
fn is_verdict(body: &[u8]) -> bool {
    let code = issuer::object(body).and_then(|answer| answer.get("errorCode").cloned());
    matches!(code, Some(Value::String(code)) if code == "7414" || code == "7415")
}
