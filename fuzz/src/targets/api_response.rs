//! Any answer of OTPless, to each of v4's calls.

use tauri_plugin_otpless::engine::{ClientApi, Credentials, SessionApi};

use super::{
    answer::{Recorded, SESSION_ID, assert_is_token},
    issuer::{self, Answers, RUNTIME},
};

pub fn run(data: &[u8]) {
    let Some(answer) = Recorded::read(data) else { return };
    let Some((call, status)) = answer.call() else { return };
    let base = "https://api.otpless.com".parse().expect("a URL");
    let api = ClientApi::new(Answers { status, body: answer.body.to_vec() }, base, issuer::APP_ID);
    let id = SESSION_ID.into();
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
    answer.assert_is_sound(&outcome);
    #[cfg(fuzzing)]
    tauri_plugin_otpless::fuzzing::header_times(answer.head.lines().skip(1));
}
