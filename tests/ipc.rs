//! The plugin as an app meets it: tauri's IPC with the plugin's real permission files, on tauri's mock runtime.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use otpless_local::{Operation, OtplessLocal, Settings, SignIn};
use serde_json::{Value, json};
use tauri::{
    App, Listener, RunEvent, WebviewWindow, WebviewWindowBuilder,
    ipc::{CallbackFn, InvokeBody, RuntimeAuthority},
    plugin::Plugin,
    test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder, mock_context, noop_assets},
    utils::acl::{
        capability::Capability,
        manifest::{Manifest, PermissionFile},
        resolved::Resolved,
    },
    utils::platform::Target,
    webview::InvokeRequest,
};
use tauri_plugin_otpless::{OtplessExt, SESSION_CHANGED, engine::KeychainStore};

use crate::support::{PATIENCE, require_keychain};

const DEFAULT: [&str; 5] = ["get_session", "logout", "record_activity", "verify_session", "refresh_session"];
const NOT_DEFAULT: [&str; 9] = [
    "start_session",
    "get_session_token",
    "get_session_details",
    "diagnostics",
    "fetch",
    "fetch_write",
    "fetch_send",
    "fetch_read",
    "fetch_cancel",
];

/// The permission files as they are shipped.
fn manifest() -> Manifest {
    fn collect(directory: &Path, files: &mut Vec<PermissionFile>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|e| e == "toml") {
                files.push(toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap());
            }
        }
    }
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("permissions"), &mut files);
    Manifest::new(files, None)
}

/// With one capability, or a list of them.
fn authority(capabilities: Value) -> RuntimeAuthority {
    let acl = BTreeMap::from([("otpless".to_owned(), manifest())]);
    let list = if capabilities.is_array() { capabilities } else { json!([capabilities]) };
    let capabilities: Vec<Capability> = serde_json::from_value(list).unwrap();
    let capabilities = capabilities.into_iter().map(|one| (one.identifier.clone(), one)).collect();
    let resolved = Resolved::resolve(&acl, capabilities, Target::current()).unwrap();
    RuntimeAuthority::new(acl, resolved)
}

pub(crate) struct Page {
    pub(crate) app: App<MockRuntime>,
    pub(crate) window: WebviewWindow<MockRuntime>,
    identifier: String,
}

impl Drop for Page {
    fn drop(&mut self) {
        use tauri_plugin_otpless::engine::{SessionStore, Slot};
        let mut store = KeychainStore::new(&self.identifier);
        for slot in [Slot::Session, Slot::Revocations] {
            // A plain thread, because the Secret Service client brings its own runtime.
            let _ = store.erase(slot);
        }
    }
}

fn context(config: Value, permissions: Value) -> (tauri::Context<MockRuntime>, String) {
    context_with(config, json!({"identifier": "test", "windows": ["main"], "permissions": permissions}))
}

fn context_with(config: Value, capability: Value) -> (tauri::Context<MockRuntime>, String) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let identifier =
        format!("app.otpless.test.ipc{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    let mut context = mock_context(noop_assets());
    context.config_mut().identifier = identifier.clone();
    context.config_mut().plugins.0.insert("otpless".into(), config);
    *context.runtime_authority_mut() = authority(capability);
    (context, identifier)
}

pub(crate) fn open(url: &str, permissions: Value) -> Page {
    open_with(json!({"apiUrl": url, "jwksUrl": key_set(url)}), permissions)
}

pub(crate) fn key_set(url: &str) -> String {
    format!("{url}/.well-known/jwks")
}

/// A page of an app with these settings.
pub(crate) fn open_with(config: Value, permissions: Value) -> Page {
    open_covered(config, json!({"identifier": "test", "windows": ["main"], "permissions": permissions}))
}

/// A page of an app with this capability.
pub(crate) fn open_covered(mut config: Value, capability: Value) -> Page {
    require_keychain();
    config["appId"] = json!("DEMOAPP00000000000001");
    let (context, identifier) = context_with(config, capability);
    let app = mock_builder()
        .plugin(tauri_plugin_store::Builder::default().build())
        .plugin(tauri_plugin_otpless::init())
        .build(context)
        .unwrap();
    let window = WebviewWindowBuilder::new(&app, "main", Default::default()).build().unwrap();
    Page { app, window, identifier }
}

pub(crate) fn invoke_from(
    window: &WebviewWindow<MockRuntime>,
    url: &str,
    command: &str,
    args: Value,
) -> Result<Value, Value> {
    let request = InvokeRequest {
        cmd: format!("plugin:otpless|{command}"),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: url.parse().unwrap(),
        body: InvokeBody::Json(args),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.to_string(),
    };
    get_ipc_response(window, request).map(|body| body.deserialize().unwrap())
}

impl Page {
    pub(crate) fn invoke(&self, command: &str, args: Value) -> Result<Value, Value> {
        invoke_from(&self.window, "tauri://localhost", command, args)
    }
}

pub(crate) fn server() -> OtplessLocal {
    tauri::async_runtime::block_on(OtplessLocal::start(Settings::default())).unwrap()
}

pub(crate) fn all() -> Value {
    json!([
        "otpless:default",
        "otpless:allow-start-session",
        "otpless:allow-get-session-token",
        "otpless:allow-get-session-details",
        "otpless:allow-diagnostics",
        "otpless:allow-fetch"
    ])
}

pub(crate) fn is_denied(answer: &Result<Value, Value>) -> bool {
    matches!(answer, Err(Value::String(why)) if why.contains("not allowed"))
}

#[test]
fn d3_the_default_set_is_the_documented_one_and_gives_no_token_and_no_write() {
    let set = manifest().default_permission.unwrap().permissions;
    let documented: Vec<_> =
        DEFAULT.iter().map(|command| format!("allow-{}", command.replace('_', "-"))).collect();
    assert_eq!(set, documented);
}

#[test]
fn d3_every_command_has_a_permission_and_the_default_set_opens_just_its_own() {
    let page = open("http://127.0.0.1:9", json!(["otpless:default"]));
    for command in DEFAULT {
        assert!(!is_denied(&page.invoke(command, json!({}))), "{command}");
    }
    for command in NOT_DEFAULT {
        assert!(is_denied(&page.invoke(command, json!({}))), "{command}");
    }
    let page = open("http://127.0.0.1:9", all());
    for command in DEFAULT.iter().chain(&NOT_DEFAULT) {
        assert!(!is_denied(&page.invoke(command, json!({}))), "{command}");
    }
}

#[test]
fn d3_the_ready_made_sets_open_what_they_say_and_nothing_more() {
    for (set, granted) in [
        ("otpless:allow-session-read", &["get_session"][..]),
        ("otpless:allow-sign-in", &["get_session", "start_session"]),
    ] {
        let page = open("http://127.0.0.1:9", json!([set]));
        for command in DEFAULT.iter().chain(&NOT_DEFAULT) {
            let answer = page.invoke(command, json!({}));
            assert_eq!(!is_denied(&answer), granted.contains(command), "{command} with {set}: {answer:?}");
        }
    }
}

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

#[test]
fn d4_remote_pages_and_other_windows_are_refused_whatever_the_command() {
    let page = open("http://127.0.0.1:9", all());
    for url in [
        "https://evil.example",
        "https://tauri.localhost.evil.example",
        "http://127.0.0.1:9",
        "https://otpless.com",
        "data:text/html,x",
        "about:blank",
    ] {
        for command in DEFAULT.iter().chain(&NOT_DEFAULT) {
            let answer = invoke_from(&page.window, url, command, json!({}));
            assert!(is_denied(&answer), "{command} from {url}: {answer:?}");
        }
    }
    let other = WebviewWindowBuilder::new(&page.app, "other", Default::default()).build().unwrap();
    for command in DEFAULT.iter().chain(&NOT_DEFAULT) {
        assert!(is_denied(&invoke_from(&other, "tauri://localhost", command, json!({}))), "{command}");
    }
}

#[test]
fn a_whole_life_through_the_ipc_with_events_and_no_token_where_none_belongs() {
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
fn d8_whatever_a_page_passes_it_gets_a_typed_error() {
    let page = open("http://127.0.0.1:9", all());
    for args in [
        json!({}),
        json!({"result": null}),
        json!({"result": 1}),
        json!({"result": [[]]}),
        json!({"other": 1}),
    ] {
        let error = page.invoke("start_session", args.clone()).unwrap_err();
        assert_eq!(error["kind"], "invalidArgument", "{args}: {error}");
    }
    for bad in [json!("60"), json!(-1), json!(1e300), json!([]), json!({}), json!(true)] {
        let error = page.invoke("get_session_token", json!({"minValidity": bad})).unwrap_err();
        assert_eq!(error["kind"], "invalidArgument", "{bad}: {error}");
    }
    for good in [json!(null), json!(0), json!(1.5)] {
        let error = page.invoke("get_session_token", json!({"minValidity": good})).unwrap_err();
        assert_eq!(error["kind"], "notSignedIn", "{good}: {error}");
    }
}

#[test]
fn d10_a_forged_event_changes_nothing() {
    use tauri::Emitter;
    let page = open("http://127.0.0.1:9", all());
    let before = page.invoke("get_session", json!({})).unwrap();
    page.app.emit(SESSION_CHANGED, json!({"revision": 999, "status": "active"})).unwrap();
    assert_eq!(page.invoke("get_session", json!({})).unwrap(), before);
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
