//! v1, the server-to-server API: a client id and secret, four calls.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Refusal},
    call::Call,
    operation::Operation,
    sessions::{Session, SessionState, Sessions, World},
};

pub(crate) fn answer(
    operation: Operation,
    sessions: &mut Sessions,
    world: World<'_>,
    call: &Call,
) -> Result<Answer, Refusal> {
    if call.header("clientid") != Some(&world.settings.client_id)
        || call.header("clientsecret") != Some(&world.settings.client_secret)
    {
        return Err(Refusal::WrongClient);
    }
    if operation == Operation::GetNewSessionToken {
        let token = call.text("refreshToken").ok_or(Refusal::Invalid("refreshToken is missing"))?;
        let issued = sessions.refresh(world, token)?;
        return Ok(Answer::ok(&json!({
            "success": true,
            "data": {
                "sessionId": issued.session_id,
                "refreshToken": issued.refresh_token,
                "sessionToken": issued.session_token,
            },
        })));
    }
    let token = call.text("sessionToken").ok_or(Refusal::Invalid("sessionToken is missing"))?;
    let session = sessions.by_session_token(world, token)?;
    let body = match operation {
        Operation::ValidateSession => {
            session.last_active_at = world.now_ms;
            json!({ "success": true })
        }
        Operation::GetSessionDetails => details(session),
        Operation::RevokeSession => {
            session.state = SessionState::Revoked;
            json!({ "success": true })
        }
        _ => return Err(Refusal::NoSuchCall),
    };
    Ok(Answer::ok(&body))
}

/// As in OTPless's documented sample: here `verifiedAt` is a number, and the device and network are those of a sign-in.
fn details(session: &Session) -> Value {
    let mut identities = session.identities();
    for identity in &mut identities {
        if let Some(fields) = identity.as_object_mut() {
            fields.remove("verified");
            fields.insert("verifiedAt".into(), session.started_at.into());
        }
    }
    json!({
        "sessionToken": session.id,
        "userId": session.user_id,
        "startedAt": session.started_at,
        "lastActiveAt": session.last_active_at,
        "identities": identities,
        "deviceInfo": {
            "userAgent": "otpless-local",
            "platform": "Linux x86_64",
            "browser": "Firefox",
            "connection": "4g",
            "language": "en",
            "cookieEnabled": true,
            "screenWidth": 385,
            "screenHeight": 854,
            "devicePixelRatio": 1.875,
            "timezoneOffset": -330,
        },
        "network": {
            "ip": "192.0.2.1",
            "timezone": "Asia/Kolkata",
            "ipLocation": {
                "city": { "name": "Patna" },
                "country": { "code": "IN", "name": "India" },
                "latitude": 25.5908,
                "longitude": 85.1348,
            },
        },
    })
}
