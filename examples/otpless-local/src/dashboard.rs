//! `/control/*`: the controls over HTTP, for the console page and for tests in other processes.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    call::LoggedRequest,
    control::Control,
    faults::Fault,
    operation::Operation,
    sessions::{SessionState, SignIn},
};

/// How many requests `GET /control/state` shows, the newest ones.
const SHOWN_REQUESTS: usize = 200;

type Outcome = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/control/state", get(state))
        .route("/control/settings", post(settings))
        .route("/control/sign-in", post(sign_in))
        .route("/control/revoke", post(revoke))
        .route("/control/fault", post(fault))
        .route("/control/clear-faults", post(clear_faults))
        .route("/control/rotate-keys", post(rotate_keys))
        .route("/control/clock", post(clock))
        .route("/control/reset", post(reset))
        .with_state(control)
}

/// The body as `T`; no body at all is an empty object.
fn parse<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, (StatusCode, Json<Value>)> {
    let bytes: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(bytes).map_err(|error| bad_request(&error.to_string()))
}

fn bad_request(error: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error })))
}

async fn state(State(control): State<Control>) -> Json<Value> {
    let (url, replays, codes) = (control.url(), control.replays(), control.codes());
    let codes: Vec<_> = codes
        .into_iter()
        .map(|sent| json!({ "phone": sent.phone, "code": sent.code, "at": sent.at }))
        .collect();
    let mut state = control.lock();
    let (world, sessions, _) = state.parts();
    let now = world.now_ms;
    let sessions: Vec<_> = sessions
        .settled(world)
        .iter()
        .map(|session| {
            json!({
                "sessionId": session.id,
                "userId": session.user_id,
                "phone": session.who.phone,
                "startedAt": session.started_at,
                "lastActiveAt": session.last_active_at,
                "expiresAt": session.expires_at(world.settings),
                "state": session.state,
            })
        })
        .collect();
    let skipped = state.log.len().saturating_sub(SHOWN_REQUESTS);
    Json(json!({
        "url": url,
        "now": now,
        "settings": state.settings,
        "sessions": sessions,
        "codes": codes,
        "requests": state.log.iter().skip(skipped).map(without_secrets).collect::<Vec<_>>(),
        "faults": state.faults.waiting(),
        "keys": state.keys.kids(),
        "clockOffsetMs": state.clock_offset_ms,
        "replays": replays,
    }))
}

/// The opaque id in a path is a credential; six characters of it are enough to recognise it by.
fn without_secrets(request: &LoggedRequest) -> Value {
    let path = match (request.operation, request.path.rsplit_once('/')) {
        (Operation::Delete | Operation::Unknown, Some((parent, last))) if last.chars().count() > 6 => {
            format!("{parent}/{}…", last.chars().take(6).collect::<String>())
        }
        _ => request.path.clone(),
    };
    json!({
        "n": request.n,
        "at": request.at,
        "method": request.method,
        "path": path,
        "status": request.status,
        "outcome": request.outcome,
    })
}

async fn settings(State(control): State<Control>, body: Bytes) -> Outcome {
    let changes: Value = parse(&body)?;
    let current = control.settings();
    let changed = current.with(&changes).map_err(|error| bad_request(&error.to_string()))?;
    if changed.port != current.port {
        return Err(bad_request("port cannot be changed while the server runs"));
    }
    let shown = json!(changed);
    control.set_settings(|settings| *settings = changed);
    Ok(Json(shown))
}

async fn sign_in(State(control): State<Control>, body: Bytes) -> Outcome {
    let issued = control.sign_in(parse::<SignIn>(&body)?);
    Ok(Json(json!({ "userId": issued.user_id, "web": issued.web(), "mobile": issued.mobile() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Revoke {
    session_id: Option<String>,
    user_id: Option<String>,
}

async fn revoke(State(control): State<Control>, body: Bytes) -> Outcome {
    let revoked = match parse(&body)? {
        Revoke { session_id: Some(id), user_id: None } => usize::from(control.revoke(id)),
        Revoke { session_id: None, user_id: Some(id) } => control.revoke_user(id),
        Revoke { session_id: None, user_id: None } => control.revoke_all(),
        Revoke { .. } => return Err(bad_request("give sessionId or userId, not both")),
    };
    Ok(Json(json!({ "revoked": revoked, "state": SessionState::Revoked })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlanFault {
    operation: Operation,
    fault: Value,
    times: Option<usize>,
    delay_ms: Option<u64>,
}

impl PlanFault {
    /// Faults with values may be given by name alone where `delayMs` or the commonest value says enough.
    fn fault(&self) -> Result<Fault, (StatusCode, Json<Value>)> {
        match self.fault.as_str() {
            Some("delay") if self.delay_ms.is_none() => Err(bad_request("the fault \"delay\" needs delayMs")),
            // `delayMs` is the delay.
            Some("delay") => Ok(Fault::Delay(0)),
            Some("rate-limited") => Ok(Fault::RateLimited { code: "7020".to_owned(), retry_after: None }),
            Some("huge") => Ok(Fault::Huge(10_000_000)),
            _ => serde_json::from_value(self.fault.clone()).map_err(|error| bad_request(&error.to_string())),
        }
    }
}

async fn fault(State(control): State<Control>, body: Bytes) -> Outcome {
    let plan: PlanFault = parse(&body)?;
    let fault = plan.fault()?;
    if let Fault::Status(status, _) | Fault::Redirect(status, _) = fault
        && !(200..=599).contains(&status)
    {
        return Err(bad_request("the status of an answer is between 200 and 599"));
    }
    control.delayed_fault(plan.operation, fault, plan.times.unwrap_or(1), plan.delay_ms.unwrap_or(0));
    Ok(Json(json!({ "faults": control.lock().faults.waiting() })))
}

async fn clear_faults(State(control): State<Control>) -> Json<Value> {
    control.clear_faults();
    Json(json!({ "faults": [] }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateKeys {
    keep_old: bool,
}

async fn rotate_keys(State(control): State<Control>, body: Bytes) -> Outcome {
    let RotateKeys { keep_old } = parse(&body)?;
    let rotating = control.clone();
    // Making a key takes a moment in which the server should go on answering.
    (tokio::task::spawn_blocking(move || rotating.rotate_keys(keep_old)).await)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": error.to_string() }))))?;
    Ok(Json(json!({ "keys": control.kids() })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Clock {
    offset_ms: i64,
}

async fn clock(State(control): State<Control>, body: Bytes) -> Outcome {
    let Clock { offset_ms } = parse(&body)?;
    control.set_clock_offset(offset_ms);
    Ok(Json(json!({ "clockOffsetMs": offset_ms, "now": control.now() })))
}

async fn reset(State(control): State<Control>) -> Json<Value> {
    control.reset();
    Json(json!({}))
}
