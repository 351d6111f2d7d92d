//! The plugin as an app meets it: tauri's IPC with the plugin's real permission files, on tauri's mock runtime.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use otpless_local::{Issued, OtplessLocal, Settings, SignIn};
use serde_json::{Value, json};
use tauri::{
    App, LogicalPosition, LogicalSize, Webview, WebviewBuilder, WebviewUrl, WebviewWindow,
    WebviewWindowBuilder,
    http::HeaderMap,
    ipc::{CallbackFn, InvokeBody, InvokeError, InvokeResponse, InvokeResponseBody, RuntimeAuthority},
    test::{INVOKE_KEY, MockRuntime, mock_builder, mock_context, noop_assets},
    utils::{
        acl::{
            capability::Capability,
            manifest::{Manifest, PermissionFile},
            resolved::Resolved,
        },
        platform::Target,
    },
    webview::InvokeRequest,
};
use tauri_plugin_otpless::{
    OtplessExt,
    engine::{KeychainStore, SessionStore, Slot},
};

use super::require_keychain;

/// Where the app's own pages are.
pub(crate) const LOCAL: &str = "tauri://localhost";

/// The permission files as they are shipped.
pub(crate) fn manifest() -> Manifest {
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
        let mut store = KeychainStore::new(&self.identifier);
        for slot in [Slot::Session, Slot::Revocations] {
            // A plain thread, because the Secret Service client brings its own runtime.
            let _ = store.erase(slot);
        }
    }
}

pub(crate) fn context(config: Value, permissions: Value) -> (tauri::Context<MockRuntime>, String) {
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

/// One call of a command, as it comes from a webview whose page is at `url`.
pub(crate) struct Invocation<'a> {
    pub(crate) webview: &'a Webview<MockRuntime>,
    pub(crate) url: &'a str,
    pub(crate) command: &'a str,
    pub(crate) body: InvokeBody,
    pub(crate) headers: HeaderMap,
}

/// What a command answers, or is refused with.
pub(crate) type Answer = Result<InvokeResponseBody, Value>;

impl Invocation<'_> {
    /// The answer comes when the channel has it.
    pub(crate) fn start(self, answers: mpsc::Sender<Answer>) {
        let request = InvokeRequest {
            cmd: format!("plugin:otpless|{}", self.command),
            callback: CallbackFn(0),
            error: CallbackFn(1),
            url: self.url.parse().unwrap(),
            body: self.body,
            headers: self.headers,
            invoke_key: INVOKE_KEY.to_string(),
        };
        let respond = move |response| {
            let answer = match response {
                InvokeResponse::Ok(body) => Ok(body),
                InvokeResponse::Err(InvokeError(error)) => Err(error),
            };
            // Nobody may be waiting any more.
            let _ = answers.send(answer);
        };
        self.webview.clone().on_message(request, Box::new(move |_, _, response, _, _| respond(response)));
    }

    pub(crate) fn answer(self) -> Answer {
        let (answers, answer) = mpsc::channel();
        self.start(answers);
        answer.recv().expect("the command answers")
    }

    pub(crate) fn json(self) -> Result<Value, Value> {
        self.answer().map(|answer| answer.deserialize().unwrap())
    }
}

/// From one of the app's own pages.
pub(crate) fn invocation<'a>(
    webview: &'a Webview<MockRuntime>,
    command: &'a str,
    args: Value,
) -> Invocation<'a> {
    Invocation { webview, url: LOCAL, command, body: InvokeBody::Json(args), headers: HeaderMap::new() }
}

impl Page {
    pub(crate) fn invoke(&self, command: &str, args: Value) -> Result<Value, Value> {
        invocation(self.window.as_ref(), command, args).json()
    }

    /// A page of the app's in a webview of its own, in the main window.
    pub(crate) fn child(&self, label: &str) -> Webview<MockRuntime> {
        let builder = WebviewBuilder::new(label, WebviewUrl::App("other.html".into()));
        let window = self.window.as_ref().window();
        window.add_child(builder, LogicalPosition::new(0, 0), LogicalSize::new(100, 100)).unwrap()
    }

    /// Somebody signs in, past the page.
    pub(crate) fn sign_in(&self, server: &OtplessLocal) -> Issued {
        let issued =
            server.state().sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
        let signing_in = self.app.otpless().start_session(issued.web());
        tauri::async_runtime::block_on(signing_in).expect("the sign-in is accepted");
        issued
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

/// Refused by Tauri: no capability grants it.
pub(crate) fn is_denied(answer: &Result<Value, Value>) -> bool {
    matches!(answer, Err(Value::String(why)) if why.contains("not allowed"))
}
