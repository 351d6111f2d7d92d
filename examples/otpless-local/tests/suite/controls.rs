//! The controls over HTTP.

use otpless_local::{Operation, Rotation, SessionState, Settings};
use serde_json::{Value, json};

use crate::support::{Fixture, JWKS, PHONE};

async fn state(fixture: &Fixture) -> Value {
    fixture.get("/control/state").await.json()
}

#[tokio::test]
async fn the_state_has_everything_the_console_shows() {
    let fixture = Fixture::new().await;
    fixture.control.fault(Operation::Jwks, otpless_local::Fault::Hang, 2);
    fixture.control.set_clock_offset(-5000);
    let state = state(&fixture).await;
    assert_eq!(state["settings"]["sessionTokenSeconds"], 86_400);
    assert_eq!(state["settings"]["maxLifetimeSeconds"], Value::Null);
    assert_eq!(state["keys"], json!(["local-1"]));
    assert_eq!(state["clockOffsetMs"], -5000);
    assert_eq!((&state["codes"], &state["requests"], &state["replays"]), (&json!([]), &json!([]), &json!(0)));
    assert_eq!(
        state["faults"],
        json!([{ "operation": "jwks", "fault": "hang", "delayMs": 0, "remaining": 2 }])
    );
    let session = &state["sessions"][0];
    assert_eq!(session["sessionId"], fixture.issued.session_id);
    assert_eq!(session["userId"], fixture.issued.user_id);
    assert_eq!((&session["phone"], &session["state"]), (&json!(PHONE), &json!("active")));
    let time = |name: &str| session[name].as_i64().expect("milliseconds");
    assert_eq!(time("startedAt"), time("lastActiveAt"));
    assert_eq!(time("expiresAt") / 1000 - time("startedAt") / 1000, 7 * 24 * 60 * 60);
}

#[tokio::test]
async fn the_request_log_of_the_state_has_no_token_and_no_whole_id() {
    let fixture = Fixture::new().await;
    fixture.authenticate(&fixture.issued).await;
    let refreshed = fixture.refresh(&fixture.issued.refresh_token).await.json();
    fixture.delete(&fixture.issued.session_id).await;
    let requests = state(&fixture).await["requests"].clone();
    assert_eq!(requests.as_array().map(Vec::len), Some(3));
    let text = requests.to_string();
    let now = refreshed["refreshToken"].as_str().expect("a token");
    for secret in [
        fixture.issued.session_id.as_str(),
        &fixture.issued.session_token,
        &fixture.issued.refresh_token,
        now,
        refreshed["sessionTokenJWT"].as_str().expect("a token"),
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let shortened = format!("/v4/session/{}…", &fixture.issued.session_id[..6]);
    assert_eq!(requests[2]["path"], shortened);
    assert_eq!((&requests[2]["method"], &requests[2]["status"]), (&json!("DELETE"), &json!(200)));
    assert_eq!((&requests[2]["n"], &requests[2]["outcome"]), (&json!(3), &json!("ok")));
}

#[tokio::test]
async fn settings_change_in_part_and_refuse_what_is_impossible() {
    let fixture = Fixture::new().await;
    let reply =
        fixture.post("/control/settings", json!({ "rotation": "grace", "inactivitySeconds": 60 })).await;
    assert_eq!((reply.status, &reply.json()["rotation"]), (200, &json!("grace")));
    let reply = fixture
        .post("/control/settings", json!({ "maxLifetimeSeconds": 90, "inactivitySeconds": null }))
        .await;
    assert_eq!(reply.status, 200);
    let expected =
        Settings { rotation: Rotation::Grace, max_lifetime_seconds: Some(90), ..Settings::default() };
    assert_eq!(fixture.control.settings(), expected);
    for (changes, named) in [
        (json!({ "sessionTokenSecond": 5 }), "sessionTokenSecond"),
        (json!({ "sessionTokenSeconds": "5" }), "sessionTokenSeconds"),
        (json!({ "sessionTokenSeconds": 0 }), "sessionTokenSeconds"),
        (json!({ "refreshTokenSeconds": null }), "refreshTokenSeconds"),
        (json!({ "rotation": "sometimes" }), "rotation"),
        (json!({ "port": 1 }), "port"),
        (json!([]), "object"),
    ] {
        let reply = fixture.post("/control/settings", changes.clone()).await;
        assert_eq!(reply.status, 400, "{changes}");
        let error = reply.json()["error"].as_str().expect("a message").to_owned();
        assert!(error.contains(named), "{error}");
    }
    assert_eq!(fixture.control.settings(), expected);
}

#[tokio::test]
async fn a_sign_in_comes_in_both_spellings() {
    let fixture = Fixture::new().await;
    let reply =
        fixture.post("/control/sign-in", json!({ "phone": "4915112345678", "name": "Jo" })).await.json();
    let (web, mobile) = (&reply["web"], &reply["mobile"]);
    let id = web["sessionId"].as_str().expect("an id");
    let issued = fixture.control.tokens(id).expect("the session is present");
    assert_eq!((web, mobile), (&issued.web(), &issued.mobile()));
    assert_eq!(
        mobile,
        &json!({ "sessionToken": id, "sessionTokenJWT": web["sessionToken"], "refreshToken": web["refreshToken"] })
    );
    assert_eq!(web["success"], true);
    assert_eq!(fixture.control.claims(id).expect("it is present")["name"], "Jo");
    assert_eq!(fixture.post("/control/sign-in", Value::Null).await.status, 200, "nothing needs to be known");
    assert_eq!(fixture.post("/control/sign-in", json!({ "fone": "1" })).await.status, 400);
}

#[tokio::test]
async fn revoking_takes_a_session_a_user_or_all() {
    let fixture = Fixture::new().await;
    let sign_in = || fixture.control.sign_in(Default::default());
    let (a, b, c, d) = (sign_in(), sign_in(), sign_in(), sign_in());
    let states = || [&a, &b, &c, &d].map(|issued| fixture.control.session_state(&issued.session_id));
    let (active, revoked) = (Some(SessionState::Active), Some(SessionState::Revoked));

    let reply = fixture.post("/control/revoke", json!({ "sessionId": a.session_id })).await;
    assert_eq!((&reply.json()["revoked"], states()), (&json!(1), [revoked, active, active, active]));
    fixture.post("/control/revoke", json!({ "userId": b.user_id })).await;
    assert_eq!(states(), [revoked, revoked, active, active]);
    let both = json!({ "sessionId": c.session_id, "userId": c.user_id });
    assert_eq!(fixture.post("/control/revoke", both).await.status, 400);
    assert_eq!(fixture.post("/control/revoke", json!({ "session": c.session_id })).await.status, 400);
    assert_eq!(states(), [revoked, revoked, active, active]);
    fixture.post("/control/revoke", json!({})).await;
    assert_eq!(states(), [revoked; 4]);
}

#[tokio::test]
async fn faults_are_planned_by_name_with_times_and_delay() {
    let fixture = Fixture::new().await;
    let plan = json!({ "operation": "jwks", "fault": "server-error-500", "times": 2 });
    assert_eq!(fixture.post("/control/fault", plan).await.status, 200);
    assert_eq!(fixture.get(JWKS).await.status, 500);
    assert_eq!(fixture.get(JWKS).await.status, 500);
    assert_eq!(fixture.get(JWKS).await.status, 200);

    let limited = json!({ "rate-limited": { "code": "7023", "retryAfter": 7 } });
    fixture.post("/control/fault", json!({ "operation": "any", "fault": limited })).await;
    assert_eq!(fixture.get(JWKS).await.header("retry-after"), Some("7"));
    assert_eq!(fixture.get(JWKS).await.status, 200, "once is the default");

    fixture.post("/control/fault", json!({ "operation": "jwks", "fault": "rate-limited" })).await;
    assert_eq!(fixture.get(JWKS).await.refusal(), (429, "7020".to_owned()));

    for (fault, status) in [("delay", 200), ("server-error-500", 500)] {
        fixture.post("/control/fault", json!({ "operation": "jwks", "fault": fault, "delayMs": 200 })).await;
        let before = std::time::Instant::now();
        assert_eq!(fixture.get(JWKS).await.status, status);
        assert!(before.elapsed().as_millis() >= 200, "{fault}");
    }

    fixture.post("/control/fault", json!({ "operation": "any", "fault": "hang", "times": 1_000_000 })).await;
    fixture.post("/control/clear-faults", json!({})).await;
    assert_eq!(fixture.get(JWKS).await.status, 200);

    for wrong in [
        json!({ "operation": "jwks", "fault": "sulk" }),
        json!({ "operation": "everything", "fault": "hang" }),
        json!({ "operation": "jwks", "fault": "delay" }),
        json!({ "operation": "jwks", "fault": { "status": [7, ""] } }),
        json!({ "operation": "jwks" }),
    ] {
        assert_eq!(fixture.post("/control/fault", wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(fixture.get(JWKS).await.status, 200);
}

#[tokio::test]
async fn keys_rotate_and_the_clock_moves() {
    let fixture = Fixture::new().await;
    let reply = fixture.post("/control/rotate-keys", json!({ "keepOld": true })).await;
    assert_eq!(reply.json()["keys"], json!(["local-1", "local-2"]));
    let reply = fixture.post("/control/rotate-keys", json!({ "keepOld": false })).await;
    assert_eq!(reply.json()["keys"], json!(["local-3"]));
    assert_eq!(fixture.post("/control/rotate-keys", json!({})).await.status, 400);

    let before = fixture.control.now();
    fixture.post("/control/clock", json!({ "offsetMs": 3_600_000 })).await;
    assert!((3_600_000..3_660_000).contains(&(fixture.control.now() - before)));
    assert_eq!(fixture.post("/control/clock", json!({ "offsetMs": "soon" })).await.status, 400);
}

#[tokio::test]
async fn a_reset_brings_the_start_back() {
    let fixture = Fixture::with(Settings { session_token_seconds: 77, ..Settings::default() }).await;
    let control = &fixture.control;
    let start = state(&fixture).await;
    control.set_settings(|settings| settings.session_token_seconds = 1);
    control.set_clock_offset(1000);
    control.fault(Operation::Any, otpless_local::Fault::ServerError500, 3);
    control.rotate_keys(false);
    let gate = control.pause(Operation::Jwks);
    fixture.refresh(&fixture.issued.refresh_token).await;

    fixture.post("/control/reset", json!({})).await;
    let now = state(&fixture).await;
    for part in ["settings", "faults", "keys", "clockOffsetMs", "replays", "requests", "codes"] {
        assert_eq!(now[part], start[part], "{part}");
    }
    assert_eq!(now["sessions"], json!([]));
    assert_eq!(fixture.get(JWKS).await.status, 200, "the gate is open");
    drop(gate);
}
