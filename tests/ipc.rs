//! The plugin's life as an app meets it: settings, commands, events, what it puts into pages.

use otpless_local::{Operation, SignIn};
use serde_json::{Value, json};
use tauri::{
    Listener, RunEvent,
    plugin::Plugin,
    test::{MockRuntime, mock_builder},
};
use tauri_plugin_otpless::{OtplessExt, SESSION_CHANGED};

use crate::support::{
    PATIENCE,
    page::{all, context, key_set, open, open_with, server},
    require_keychain,
};

/// What the system tells a phone's app when it comes to the front.
#[test]
fn c10_a_resume_is_a_moment_to_look() {
    require_keychain();
    let (context, _) = context(json!({}), json!([]));
    let store = tauri_plugin_store::Builder::default().build();
    let app = mock_builder().plugin(store).build(context).unwrap();
    let mut plugin = tauri_plugin_otpless::init::<MockRuntime>();
    let config = json!({"appId": "DEMOAPP00000000000001", "apiUrl": "http://127.0.0.1:9"});
    plugin.initialize(app.handle(), config).unwrap();
    let last_look = || app.otpless().diagnostics().last_look_at;
    plugin.on_event(app.handle(), &RunEvent::Ready);
    assert_eq!(last_look(), None, "not every event is one");
    plugin.on_event(app.handle(), &RunEvent::Resumed);
    assert!(last_look().is_some());
}

/// D7: what is in a page before the app's own script is nothing of the session.
#[test]
fn d7_the_plugin_puts_no_script_into_pages() {
    let plugin = tauri_plugin_otpless::init::<MockRuntime>();
    assert!(plugin.initialization_script().is_none() && plugin.initialization_script_2().is_none());
}

#[test]
fn d7_a_whole_life_through_the_ipc_with_events_and_no_token_where_none_belongs() {
    let server = server();
    let page = open(&server.url(), all());
    let (events, seen) = std::sync::mpsc::channel();
    page.app.listen_any(SESSION_CHANGED, move |event| {
        let _ = events.send(serde_json::from_str::<Value>(event.payload()).unwrap());
    });

    let session = page.invoke("get_session", json!({})).unwrap();
    assert_eq!((&session["status"], &session["storage"]), (&json!("signedOut"), &json!("keychain")));
    let error = page.invoke("refresh_session", json!({})).unwrap_err();
    assert_eq!((&error["kind"], &error["retryable"]), (&json!("notSignedIn"), &json!(false)));

    let issued = server.state().sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
    let session = page.invoke("start_session", json!({"result": issued.web()})).unwrap();
    assert_eq!((&session["status"], &session["userId"]), (&json!("active"), &json!(issued.user_id)));
    let event = seen.recv_timeout(PATIENCE).unwrap();
    let fields: Vec<_> = event.as_object().unwrap().keys().collect();
    assert!(fields.iter().all(|f| ["revision", "status", "reason"].contains(&f.as_str())), "{event}");

    let token = page.invoke("get_session_token", json!({"minValidity": 60})).unwrap();
    assert_eq!(token["token"], issued.session_token);
    assert_eq!(token["expiresAt"], session["expiresAt"]);

    let mut shown = String::new();
    for command in
        ["get_session", "record_activity", "verify_session", "refresh_session", "diagnostics", "logout"]
    {
        shown += &page.invoke(command, json!({})).unwrap().to_string();
    }
    for secret in [&issued.session_id, &issued.session_token, &issued.refresh_token] {
        assert!(!shown.contains(secret.as_str()), "{shown}");
    }
    let ended = page.invoke("get_session", json!({})).unwrap();
    assert_eq!((&ended["status"], &ended["endReason"]), (&json!("signedOut"), &json!("logout")));
    let last = std::iter::from_fn(|| seen.recv_timeout(PATIENCE).ok())
        .find(|event| event["status"] == "signedOut")
        .unwrap();
    assert_eq!(last["reason"], "logout");
}

#[test]
fn d1_session_details_reach_a_page_that_may_have_them_in_relay_mode_only() {
    let server = server();
    let settings =
        otpless_relay::Settings::new("LOCALCLIENTID", "local-client-secret").upstream(server.url());
    let relay = tauri::async_runtime::block_on(otpless_relay::Relay::start(settings)).unwrap();
    let sign_in =
        || server.state().sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });

    let page = open_with(
        json!({"mode": "relay", "relayUrl": relay.url(), "relayHeaders": {"x-api-key": "k"},
               "jwksUrl": key_set(&server.url())}),
        all(),
    );
    let error = page.invoke("get_session_details", json!({})).unwrap_err();
    assert_eq!(error["kind"], "notSignedIn");
    let issued = sign_in();
    page.invoke("start_session", json!({"result": issued.web()})).unwrap();
    let details = page.invoke("get_session_details", json!({})).unwrap();
    assert_eq!((&details["userId"], details.get("sessionToken")), (&json!(issued.user_id), None));
    assert_eq!(details["identities"][0]["identityValue"], "919876543210");
    for secret in [&issued.session_id, &issued.session_token, &issued.refresh_token] {
        assert!(!details.to_string().contains(secret.as_str()), "{details}");
    }

    let page = open(&server.url(), all());
    page.invoke("start_session", json!({"result": sign_in().web()})).unwrap();
    let error = page.invoke("get_session_details", json!({})).unwrap_err();
    assert_eq!(error["kind"], "invalidConfig", "{error}");
}

#[test]
fn d10_a_forged_event_changes_nothing() {
    use tauri::Emitter;
    let server = server();
    let page = open(&server.url(), all());
    page.sign_in(&server);
    let before = page.invoke("get_session", json!({})).unwrap();
    assert_eq!(before["status"], "active");
    for forged in
        [json!({"revision": 999, "status": "signedOut", "reason": "revoked"}), json!(null), json!("logout")]
    {
        page.app.emit(SESSION_CHANGED, forged.clone()).unwrap();
        assert_eq!(page.invoke("get_session", json!({})).unwrap(), before, "{forged}");
        assert!(page.invoke("get_session_token", json!({})).is_ok(), "{forged}");
    }
}

#[test]
fn the_app_does_not_start_with_settings_that_make_no_sense_and_the_message_names_the_key() {
    for (config, named) in [
        (json!({}), "plugins.otpless.appId"),
        (json!({"appID": "x"}), "appID"),
        (json!({"appId": "x", "apiUrl": "http://example.com"}), "plugins.otpless.apiUrl"),
        (json!({"appId": "x", "maxLifetime": 0}), "plugins.otpless.maxLifetime"),
        (json!({"appId": "x", "mode": "relay"}), "plugins.otpless.relayUrl"),
        (json!({"appId": "x", "clientSecret": "s"}), "plugins.otpless.clientSecret"),
    ] {
        let (context, _) = context(config.clone(), json!([]));
        let error = mock_builder()
            .plugin(tauri_plugin_store::Builder::default().build())
            .plugin(tauri_plugin_otpless::init())
            .build(context)
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains(named), "{config}: {error}");
    }
}

#[test]
fn an_app_that_forgot_the_store_plugin_is_told_what_to_add() {
    let (context, _) = context(json!({"appId": "x"}), json!([]));
    let error = mock_builder().plugin(tauri_plugin_otpless::init()).build(context).map(drop).unwrap_err();
    assert!(error.to_string().contains("tauri_plugin_store::Builder::default().build()"), "{error}");
}

#[test]
fn rust_code_sees_the_same_session_as_the_page() {
    let server = server();
    let page = open(&server.url(), json!(["otpless:default"]));
    let issued = server.state().sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
    let session = tauri::async_runtime::block_on(page.app.otpless().start_session(issued.mobile())).unwrap();
    assert_eq!(page.invoke("get_session", json!({})).unwrap(), serde_json::to_value(session).unwrap());
}

#[test]
fn b11_an_app_finds_the_keys_where_its_discovery_url_says() {
    let server = server();
    let url = server.url();
    let discovery_url = format!("{url}/.well-known/openid-configuration");
    let page = open_with(json!({"apiUrl": url, "discoveryUrl": discovery_url}), all());
    let who = SignIn { phone: Some("919876543210".into()), ..SignIn::default() };
    let result = server.state().sign_in(who).web();
    let session = page.invoke("start_session", json!({ "result": result })).unwrap();
    assert_eq!(session["status"], "active");
    let asked = |operation| server.state().count(operation);
    assert_eq!((asked(Operation::OpenidConfiguration), asked(Operation::Jwks)), (1, 1));
}
