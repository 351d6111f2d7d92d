//! v4, the client API: no secret, three calls.

use serde_json::json;

use crate::{
    answer::{Answer, Refusal},
    call::Call,
    operation::Operation,
    sessions::{Sessions, World},
};

/// What clients of v4 name as their origin, whatever the issuer of the tokens.
const ORIGIN: &str = "https://otpless.com";

pub(crate) fn answer(
    operation: Operation,
    sessions: &mut Sessions,
    world: World<'_>,
    call: &Call,
) -> Result<Answer, Refusal> {
    check_headers(world, call)?;
    match operation {
        Operation::Authenticate => {
            check_body(world, call)?;
            let id = call.text("sessionToken").ok_or(Refusal::Invalid("sessionToken is missing"))?;
            let jwt = call.text("sessionTokenJWT").ok_or(Refusal::Invalid("sessionTokenJWT is missing"))?;
            let token = sessions.authenticate(world, id, jwt)?;
            Ok(Answer::ok(&json!({ "sessionTokenJWT": token })))
        }
        Operation::Refresh => {
            check_body(world, call)?;
            let token = call.text("refreshToken").ok_or(Refusal::Invalid("refreshToken is missing"))?;
            Ok(Answer::ok(&sessions.refresh(world, token)?.mobile()))
        }
        Operation::Delete => {
            // Documented without a body; a client that sends the common fields all the same must get them right.
            if call.body_bytes > 0 {
                check_body(world, call)?;
            }
            let id = call.last_segment().ok_or(Refusal::Invalid("the session is missing in the path"))?;
            sessions.delete(world, &id)?;
            Ok(Answer::ok(&json!({ "success": true, "message": "Session deleted successfully" })))
        }
        _ => Err(Refusal::NoSuchCall),
    }
}

fn check_headers(world: World<'_>, call: &Call) -> Result<(), Refusal> {
    let app_id = call.header("appid").filter(|id| !id.is_empty());
    let app_id = app_id.ok_or(Refusal::Invalid("the appId header is missing"))?;
    // It may be empty, but it is sent.
    call.header("state").ok_or(Refusal::Invalid("the state header is missing"))?;
    if !call.is_json() {
        return Err(Refusal::Invalid("the Content-Type is not application/json"));
    }
    if app_id == world.settings.app_id { Ok(()) } else { Err(Refusal::UnknownApp) }
}

fn check_body(world: World<'_>, call: &Call) -> Result<(), Refusal> {
    let app_id = &world.settings.app_id;
    if call.text("appId") != Some(app_id) {
        return Err(Refusal::Invalid("appId is missing in the body or not that of the header"));
    }
    if call.text("origin") != Some(ORIGIN) {
        return Err(Refusal::Invalid("origin is missing or wrong"));
    }
    if call.text("loginUri") != Some(&format!("{ORIGIN}/rc5/appid/{app_id}")) {
        return Err(Refusal::Invalid("loginUri is missing or wrong"));
    }
    Ok(())
}
