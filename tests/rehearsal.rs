//! A rehearsal as an app uses it: handed to the builder, acted on while the plugin runs with the real keychain.

use std::time::Duration;

use otpless_local::{Operation, OtplessLocal, Settings, SignIn};
use tauri::{
    App,
    test::{MockRuntime, mock_builder, mock_context, noop_assets},
};
use tauri_plugin_otpless::{
    Builder, EndReason, OtplessExt, Rehearsal, Session, SessionManager, SessionStatus, Storage,
    engine::{KeychainStore, SessionStore, Slot},
};

use crate::support::{PATIENCE, require_keychain};

const HOURS: Duration = Duration::from_secs(8 * 60 * 60);

/// An app whose session is rehearsed, and what its restarts have in common.
struct Stage {
    otpless: OtplessLocal,
    identifier: String,
}

impl Stage {
    async fn new(name: &str, settings: Settings) -> Self {
        require_keychain();
        let identifier = format!("app.otpless.test.rehearsal{}{name}", std::process::id());
        Self { otpless: OtplessLocal::start(settings).await.expect("the local OTPless starts"), identifier }
    }

    fn start(&self, rehearsal: &Rehearsal, change: impl FnOnce(Builder) -> Builder) -> App<MockRuntime> {
        let url = self.otpless.url();
        let builder = Builder::new()
            .app_id(&self.otpless.settings().app_id)
            .api_url(&url)
            .jwks_url(format!("{url}/.well-known/jwks"))
            .dangerous_rehearsal(rehearsal.clone());
        let mut context = mock_context(noop_assets());
        context.config_mut().identifier = self.identifier.clone();
        mock_builder()
            .plugin(tauri_plugin_store::Builder::default().build())
            .plugin(change(builder).build())
            .build(context)
            .expect("an app with the plugin")
    }

    async fn sign_in(&self, app: &App<MockRuntime>) -> Session {
        let who = SignIn { phone: Some("919876543210".into()), ..SignIn::default() };
        let issued = self.otpless.state().sign_in(who);
        app.otpless().start_session(issued.web()).await.expect("the sign-in is accepted")
    }

    /// The machine sleeps, and the world goes on meanwhile.
    fn sleep(&self, rehearsal: &Rehearsal) {
        self.otpless.state().set_clock_offset(i64::try_from(HOURS.as_millis()).expect("a short time"));
        rehearsal.sleep(HOURS);
    }
}

impl Drop for Stage {
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

async fn until(manager: &SessionManager, what: &str, mut wanted: impl FnMut(&Session) -> bool) -> Session {
    let mut sessions = manager.subscribe();
    match tokio::time::timeout(PATIENCE, sessions.wait_for(|session| wanted(session))).await {
        Ok(Ok(session)) => session.clone(),
        _ => panic!("waited in vain for {what}; the session is {:?}", manager.current()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a_sign_in_with_a_locked_keychain_is_ephemeral_and_is_stored_once_it_is_unlocked() {
    let stage = Stage::new("a3", Settings::default()).await;
    let rehearsal = Rehearsal::new();
    rehearsal.set_keychain_locked(true);
    let app = stage.start(&rehearsal, |builder| builder);
    let session = stage.sign_in(&app).await;
    assert_eq!((session.status, session.storage), (SessionStatus::Active, Storage::Ephemeral));
    let problem = app.otpless().diagnostics().storage_error.expect("a reason");
    assert!(problem.contains("locked"), "{problem}");

    rehearsal.set_keychain_locked(false);
    let stored = until(app.otpless(), "the session to be stored", |s| s.storage == Storage::Keychain).await;
    assert_eq!(stored.user_id, session.user_id);
    assert_eq!(app.otpless().diagnostics().storage_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_a_keychain_locked_at_start_is_not_signed_out_and_recovers_once_it_is_unlocked() {
    let stage = Stage::new("a8", Settings::default()).await;
    let app = stage.start(&Rehearsal::new(), |builder| builder);
    let before = stage.sign_in(&app).await;
    assert_eq!(before.storage, Storage::Keychain);
    drop(app);

    let rehearsal = Rehearsal::new();
    rehearsal.set_keychain_locked(true);
    let app = stage.start(&rehearsal, |builder| builder);
    let session = app.otpless().session().await;
    assert_eq!((session.status, session.storage), (SessionStatus::Restoring, Storage::Unavailable));

    rehearsal.set_keychain_locked(false);
    let session = until(app.otpless(), "the session", |s| s.status == SessionStatus::Active).await;
    assert_eq!((session.user_id, session.storage), (before.user_id, Storage::Keychain));
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_after_a_sleep_that_outlasts_the_token_the_plugin_wakes_at_once_and_renews_it() {
    let stage = Stage::new("c10", Settings { session_token_seconds: 3600, ..Settings::default() }).await;
    let rehearsal = Rehearsal::new();
    let app = stage.start(&rehearsal, |builder| builder);
    let before = stage.sign_in(&app).await.expires_at.expect("an expiry");
    let mut changes = app.otpless().subscribe();

    stage.sleep(&rehearsal);
    // Nobody asks, so only the background task can tell.
    let stale = changes.wait_for(|session| session.status == SessionStatus::Stale);
    assert!(tokio::time::timeout(PATIENCE, stale).await.is_ok_and(|told| told.is_ok()), "everyone is told");
    let session = until(app.otpless(), "the session", |s| s.status == SessionStatus::Active).await;
    assert!(session.expires_at.is_some_and(|expires| expires > before + HOURS - Duration::from_secs(60)));
    assert_eq!(stage.otpless.state().count(Operation::Refresh), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_a_sleep_beyond_the_inactivity_timeout_ends_the_session_as_inactive() {
    let stage = Stage::new("c8", Settings::default()).await;
    let rehearsal = Rehearsal::new();
    let app = stage.start(&rehearsal, |builder| builder.inactivity_timeout(HOURS / 2));
    stage.sign_in(&app).await;
    stage.sleep(&rehearsal);
    let session = until(app.otpless(), "the end", |s| s.status == SessionStatus::SignedOut).await;
    assert_eq!(session.end_reason, Some(EndReason::Inactive));
}
