//! OTPless's v1 spelling, which a relay speaks. It has the web dialect's names, with one trap: `sessionToken` in a
//! body is whatever names the session, the JWT or the opaque id, and in the answer about a session's details it is the id.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Answerer, Object, accepted, confirmed, present, revoked, unexpected_answer};
use crate::{
    api::{ApiError, Identity, Refreshed, SessionDetails, transport::Response},
    clock::Timestamp,
};

/// More identities than one person signs in with.
const MAX_IDENTITIES: usize = 32;

/// The last moment a page's `Date` can hold (ECMA-262 §21.4.1.1).
const MAX_MILLIS: i64 = 8_640_000_000_000_000;

/// What OTPless documents of a device. Anything else stays out of the page.
const DEVICE: [&str; 14] = [
    "userAgent",
    "platform",
    "vendor",
    "browser",
    "connection",
    "language",
    "cookieEnabled",
    "screenWidth",
    "screenHeight",
    "screenColorDepth",
    "devicePixelRatio",
    "timezoneOffset",
    "cpuArchitecture",
    "fontFamily",
];

/// What OTPless documents of a network.
const NETWORK: [&str; 3] = ["ip", "timezone", "ipLocation"];

#[derive(Serialize)]
pub(crate) struct SessionBody<'a> {
    /// The session JWT or the opaque id.
    #[serde(rename = "sessionToken")]
    pub(crate) session: &'a str,
}

#[derive(Serialize)]
pub(crate) struct RefreshBody<'a> {
    #[serde(rename = "refreshToken")]
    pub(crate) refresh_token: &'a str,
}

#[derive(Deserialize)]
struct RefreshAnswer {
    success: bool,
    data: Option<Object<RefreshData>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefreshData {
    session_id: Option<Zeroizing<String>>,
    refresh_token: Option<Zeroizing<String>>,
    session_token: Option<Zeroizing<String>>,
}

/// Without `sessionToken`, which is the session id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DetailsAnswer {
    user_id: String,
    started_at: i64,
    last_active_at: i64,
    identities: Option<Vec<Object<IdentityAnswer>>>,
    device_info: Option<Map<String, Value>>,
    network: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityAnswer {
    identity_type: Option<String>,
    identity_value: Option<String>,
    channel: Option<String>,
    methods: Option<Vec<String>>,
    name: Option<String>,
    /// Milliseconds; OTPless's other APIs spell it as a date.
    verified_at: Option<Value>,
}

/// v1 confirms and renews nothing.
pub(crate) fn read_validated(response: &Response) -> Result<(), ApiError> {
    confirmed(response, Answerer::Relay)
}

pub(crate) fn read_refreshed(response: &Response) -> Result<Refreshed, ApiError> {
    let answer: RefreshAnswer = accepted(response, Answerer::Relay)?;
    let Object(data) = answer.data.filter(|_| answer.success).ok_or_else(unexpected_answer)?;
    Ok(Refreshed {
        session_id: present(data.session_id),
        session_token: present(data.session_token).ok_or_else(unexpected_answer)?,
        refresh_token: present(data.refresh_token),
    })
}

pub(crate) fn read_revoked(response: &Response) -> Result<(), ApiError> {
    revoked(confirmed(response, Answerer::Relay))
}

pub(crate) fn read_details(response: &Response) -> Result<SessionDetails, ApiError> {
    let answer: DetailsAnswer = accepted(response, Answerer::Relay)?;
    let times = [answer.started_at, answer.last_active_at];
    let identities = answer.identities.unwrap_or_default();
    if identities.len() > MAX_IDENTITIES || !times.iter().all(|at| (0..=MAX_MILLIS).contains(at)) {
        return Err(unexpected_answer());
    }
    Ok(SessionDetails {
        user_id: answer.user_id,
        started_at: Timestamp(answer.started_at),
        last_active_at: Timestamp(answer.last_active_at),
        identities: identities.into_iter().map(|Object(identity)| identity.into()).collect(),
        device_info: documented(answer.device_info.unwrap_or_default(), &DEVICE),
        network: documented(answer.network.unwrap_or_default(), &NETWORK),
    })
}

fn documented(mut fields: Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    fields.retain(|key, value| keys.contains(&key.as_str()) && !value.is_null());
    fields
}

impl From<IdentityAnswer> for Identity {
    fn from(answer: IdentityAnswer) -> Self {
        let verified_at = answer.verified_at.as_ref().and_then(Value::as_i64);
        Self {
            identity_type: answer.identity_type,
            identity_value: answer.identity_value,
            channel: answer.channel,
            methods: answer.methods.unwrap_or_default(),
            name: answer.name,
            verified_at: verified_at.filter(|at| (0..=MAX_MILLIS).contains(at)).map(Timestamp),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Verdict;

    fn response(status: u16, body: &Value) -> Response {
        let body = Zeroizing::new(body.to_string().into_bytes());
        Response { status, body, date: None, retry_after: None }
    }

    fn details() -> Value {
        json!({
            "sessionToken": "canary-session-id",
            "userId": "MO-1",
            "startedAt": 1_725_879_411_000_i64,
            "lastActiveAt": 1_725_879_412_000_i64,
            "identities": [{
                "identityType": "EMAIL",
                "identityValue": "user@example.com",
                "channel": "EMAIL_LOGIN",
                "methods": ["EMAIL"],
                "name": "Asha Rao",
                "verifiedAt": 1_725_879_354_000_i64,
                "secret": "canary-identity",
            }],
            "deviceInfo": {"browser": "Chrome", "screenWidth": 385, "cookieEnabled": true, "token": "canary-device"},
            "network": {"ip": "192.0.2.1", "ipLocation": {"city": {"name": "Patna"}}, "token": "canary-network"},
            "accessToken": "canary-token",
        })
    }

    #[test]
    fn d2_of_the_details_the_documented_fields_are_read_and_nothing_else() {
        let read = read_details(&response(200, &details())).unwrap();
        let mut expected = details();
        expected
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !matches!(key.as_str(), "sessionToken" | "accessToken"));
        expected["identities"][0].as_object_mut().unwrap().remove("secret");
        expected["deviceInfo"].as_object_mut().unwrap().remove("token");
        expected["network"].as_object_mut().unwrap().remove("token");
        assert_eq!(serde_json::to_value(&read).unwrap(), expected);
        assert!(!format!("{read:?}").contains("canary"), "{read:?}");
    }

    #[test]
    fn what_otpless_leaves_out_of_the_details_is_left_out() {
        let bare = json!({"userId": "MO-1", "startedAt": 1, "lastActiveAt": 2});
        let read = read_details(&response(200, &bare)).unwrap();
        let empty = json!({
            "userId": "MO-1", "startedAt": 1, "lastActiveAt": 2, "identities": [], "deviceInfo": {}, "network": {},
        });
        assert_eq!(serde_json::to_value(&read).unwrap(), empty);
        let mut nulls = bare.clone();
        for member in ["identities", "deviceInfo", "network"] {
            nulls[member] = Value::Null;
        }
        assert_eq!(read_details(&response(200, &nulls)).unwrap(), read);
        let mut no_methods = details();
        no_methods["identities"][0]["methods"] = Value::Null;
        assert_eq!(read_details(&response(200, &no_methods)).unwrap().identities[0].methods, [""; 0]);
        for no_time in [json!("2024-10-15T14:07:14Z"), json!(-1), json!(MAX_MILLIS + 1), json!(1.5)] {
            let mut dated = details();
            dated["identities"][0]["verifiedAt"] = no_time.clone();
            assert_eq!(
                read_details(&response(200, &dated)).unwrap().identities[0].verified_at,
                None,
                "{no_time}"
            );
        }
    }

    #[test]
    fn details_of_another_shape_or_size_are_no_answer_of_otpless() {
        for (field, value) in [
            ("userId", Value::Null),
            ("userId", json!(1)),
            ("startedAt", json!("1725879411000")),
            ("startedAt", json!(1e30)),
            ("startedAt", json!(-1)),
            ("lastActiveAt", json!(u64::MAX)),
            ("lastActiveAt", json!(MAX_MILLIS + 1)),
            ("identities", json!({})),
            ("identities", json!(["user@example.com"])),
            ("identities", json!([{"methods": "OTP"}])),
            ("identities", json!([["EMAIL", "user@example.com", "OTP", [], "Asha Rao", 7]])),
            ("identities", json!(vec![json!({}); MAX_IDENTITIES + 1])),
            ("deviceInfo", json!([])),
            ("network", json!("192.0.2.1")),
        ] {
            let mut answer = details();
            answer[field] = value.clone();
            let error = read_details(&response(200, &answer)).unwrap_err();
            assert_eq!(error.verdict, Verdict::Transient, "{field} = {value}");
        }
    }

    #[test]
    fn c5_a_success_that_is_none_confirms_nothing() {
        for body in [json!({}), json!({"success": false}), json!({"success": "true"}), json!([])] {
            let answer = response(200, &body);
            assert!(read_validated(&answer).is_err() && read_revoked(&answer).is_err(), "{body}");
        }
        let tokens = json!({"sessionId": "i", "refreshToken": "r", "sessionToken": "s"});
        for body in [
            json!({"success": false, "data": tokens}),
            json!({"success": true, "data": ["i", "r", "s"]}),
            json!({"success": true}),
            tokens,
        ] {
            assert_eq!(
                read_refreshed(&response(200, &body)).unwrap_err().verdict,
                Verdict::Transient,
                "{body}"
            );
        }
    }

    #[test]
    fn c5_a_refusal_without_a_reason_names_what_to_check_in_relay_mode() {
        for (status, body) in [(401, json!({})), (403, json!({"message": "Forbidden"}))] {
            let refused = read_validated(&response(status, &body)).unwrap_err();
            assert_eq!(refused.verdict, Verdict::Permanent);
            for named in ["relayUrl", "relayHeaders", "client id and secret", "The session is kept"] {
                assert!(refused.error.message().contains(named), "{}", refused.error);
            }
            assert!(!refused.error.message().contains("appId"), "{}", refused.error);
        }
        let refused = read_validated(&response(401, &json!({"errorCode": "401"}))).unwrap_err();
        assert!(refused.error.message().contains("the relay's client id and secret"), "{}", refused.error);
        assert_eq!(refused.error.code(), Some("401"));
    }
}
