//! Any answer that a relay passes on, to each of v1's calls, or gives by itself.

use serde_json::Value;
use tauri_plugin_otpless::{
    SessionDetails, Timestamp,
    engine::{Answer, ApiError, Credentials, Refreshed, RelayApi, RelayHeaders, SessionApi, Verdict},
};

use super::{
    answer::{Recorded, SESSION_ID, assert_is_token},
    issuer::{self, Answers, RUNTIME},
};

/// More identities than one person signs in with.
const MAX_IDENTITIES: usize = 32;

/// The last moment a page's `Date` can hold.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;

/// How many fields of a device OTPless documents.
const DEVICE_FIELDS: usize = 14;

pub fn run(data: &[u8]) {
    let _ = outcome(data);
}

/// What becomes of the call, if one is recorded.
pub fn outcome(data: &[u8]) -> Option<Result<(), ApiError>> {
    let answer = Recorded::read(data)?;
    let (call, status) = answer.call()?;
    let transport = Answers { status, body: answer.body.to_vec() };
    let base = "https://relay.example".parse().expect("a URL");
    let api = RelayApi::new(transport, base, RelayHeaders::default()).expect("no header is refused");
    let id = SESSION_ID.into();
    let (outcome, server_date) = match call {
        "authenticate" => {
            let credentials = Credentials { session_id: &id, session_token: &"h.p.s".into(), state: None };
            accepted(RUNTIME.block_on(api.authenticate(credentials)), |token| {
                assert!(token.is_none(), "v1 renews nothing here");
                assert_succeeded(answer.body);
            })
        }
        "refresh" => accepted(RUNTIME.block_on(api.refresh(&"h.r.s".into(), None)), |fresh| {
            assert_succeeded(answer.body);
            assert_are_the_offered(&fresh, answer.body);
        }),
        "revoke" => accepted(RUNTIME.block_on(api.revoke(&id)), |()| {
            if status == 200 {
                assert_succeeded(answer.body);
            }
        }),
        "details" => {
            let question = api.session_details(&id).expect("v1 has the question");
            accepted(RUNTIME.block_on(question), |details| {
                assert_may_be_shown(&details, answer.body);
                #[cfg(fuzzing)]
                tauri_plugin_otpless::fuzzing::secret_in_details(&details, SESSION_ID);
            })
        }
        _ => return None,
    };
    answer.assert_is_sound(&outcome);
    if let Err(refused) = &outcome {
        // A relay's own clock is not OTPless's, and a code is what OTPless signs with.
        assert_eq!(server_date.is_some(), refused.error.code().is_some());
        assert!(refused.verdict != Verdict::Permanent || matches!(status, 400 | 401 | 403), "{status}");
    }
    Some(outcome)
}

fn accepted<T>(answer: Answer<T>, look: impl FnOnce(T)) -> (Result<(), ApiError>, Option<Timestamp>) {
    (answer.outcome.map(look), answer.server_date)
}

/// Fields nobody asked for may hold what only a parser that skips them reads; then there is nothing to compare with.
fn offered(body: &[u8]) -> Option<Value> {
    issuer::object(body).map(Value::Object)
}

fn assert_succeeded(body: &[u8]) {
    assert!(offered(body).is_none_or(|offered| offered["success"] == true));
}

fn assert_are_the_offered(fresh: &Refreshed, body: &[u8]) {
    let token = fresh.session_token.expose();
    assert_is_token(token);
    fresh.refresh_token.iter().for_each(|token| assert_is_token(token.expose()));
    fresh.session_id.iter().for_each(|id| assert_is_token(id.expose()));
    let Some(offered) = offered(body) else { return };
    let data = &offered["data"];
    assert_eq!(data["sessionToken"], token);
    assert!(fresh.refresh_token.as_ref().is_none_or(|token| data["refreshToken"] == token.expose()));
    assert!(fresh.session_id.as_ref().is_none_or(|id| data["sessionId"] == id.expose()));
}

/// Nothing but what the answer has under names that OTPless documents, and no person in a log (A2).
fn assert_may_be_shown(details: &SessionDetails, body: &[u8]) {
    for Timestamp(at) in [details.started_at, details.last_active_at]
        .into_iter()
        .chain(details.identities.iter().filter_map(|identity| identity.verified_at))
    {
        assert!((0..=MAX_MILLIS).contains(&at), "{at}");
    }
    assert!(details.identities.len() <= MAX_IDENTITIES);
    assert!(details.device_info.len() <= DEVICE_FIELDS);
    assert!(details.network.keys().all(|key| ["ip", "timezone", "ipLocation"].contains(&key.as_str())));
    if let Some(offered) = offered(body) {
        let shown = serde_json::to_value(details).expect("JSON");
        assert!(is_part_of(&shown, &offered), "{shown} is not part of {offered}");
    }
    let mut nobody = details.clone();
    (nobody.device_info, nobody.network) = Default::default();
    for identity in &mut nobody.identities {
        (identity.identity_value, identity.name) = (None, None);
    }
    assert_eq!(format!("{details:?}"), format!("{nobody:?}"));
    assert_eq!(format!("{:?}", details.identities), format!("{:?}", nobody.identities));
}

/// What is empty may be missing.
fn is_part_of(shown: &Value, offered: &Value) -> bool {
    match (shown, offered) {
        (Value::Object(shown), Value::Object(offered)) => shown.iter().all(|(key, value)| {
            let empty = matches!(value, Value::Array(all) if all.is_empty())
                || matches!(value, Value::Object(all) if all.is_empty());
            offered.get(key).map_or(empty, |offered| is_part_of(value, offered))
        }),
        (Value::Array(shown), Value::Array(offered)) => {
            shown.len() == offered.len() && shown.iter().zip(offered).all(|(a, b)| is_part_of(a, b))
        }
        _ => shown == offered,
    }
}
