//! An app that somebody has installed: the plugin on tauri's mock runtime, the real keychain, the real file of
//! tauri-plugin-store, and as many starts as a test wants.

use otpless_local::{OtplessLocal, Settings, SignIn};
use tauri::{
    App,
    test::{MockRuntime, mock_builder, mock_context, noop_assets},
};
use tauri_plugin_otpless::{
    Builder, OtplessExt, Session,
    engine::{KeychainStore, SessionStore, Slot},
};

use super::require_keychain;

/// The app, and the server it talks to. What it has kept goes with it.
pub(crate) struct Installed {
    pub otpless: OtplessLocal,
    identifier: String,
}

impl Installed {
    /// An app with a name of its own.
    pub(crate) async fn new(name: &str, settings: Settings) -> Self {
        require_keychain();
        let identifier = format!("app.otpless.test.{name}{}", std::process::id());
        Self { otpless: OtplessLocal::start(settings).await.expect("the local OTPless starts"), identifier }
    }

    pub(crate) fn start(&self, change: impl FnOnce(Builder) -> Builder) -> App<MockRuntime> {
        let url = self.otpless.url();
        let builder = Builder::new()
            .app_id(&self.otpless.settings().app_id)
            .api_url(&url)
            .jwks_url(format!("{url}/.well-known/jwks"));
        let mut context = mock_context(noop_assets());
        context.config_mut().identifier = self.identifier.clone();
        mock_builder()
            .plugin(tauri_plugin_store::Builder::default().build())
            .plugin(change(builder).build())
            .build(context)
            .expect("an app with the plugin")
    }

    pub(crate) async fn sign_in(&self, app: &App<MockRuntime>) -> Session {
        let who = SignIn { phone: Some("919876543210".into()), ..SignIn::default() };
        let issued = self.otpless.state().sign_in(who);
        app.otpless().start_session(issued.web()).await.expect("the sign-in is accepted")
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let identifier = self.identifier.clone();
        // A plain thread, because the Secret Service client brings its own runtime.
        let erased = std::thread::spawn(move || {
            let mut store = KeychainStore::new(identifier);
            [Slot::Session, Slot::Revocations].map(|slot| store.erase(slot))
        });
        let _ = erased.join();
    }
}
