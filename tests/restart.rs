//! An app that is started again with no network: what its keychain and its file give back.

use otpless_local::Settings;
use tauri::Manager as _;
use tauri_plugin_otpless::{OtplessExt, SessionStatus};

use crate::support::{Installed, until};

/// B11: the keys are in the file of tauri-plugin-store, so that a start without a network can verify. Without them the
/// session is kept and shown, unverified.
#[tokio::test(flavor = "multi_thread")]
async fn b11_the_keys_that_the_file_has_kept_verify_a_session_at_a_start_without_a_network() {
    let stage = Installed::new("restart", Settings::default()).await;
    let app = stage.start(|builder| builder);
    let before = stage.sign_in(&app).await;
    let file = app.path().app_data_dir().expect("a data directory").join("otpless.json");
    drop(app);
    stage.otpless.go_offline().await;

    let app = stage.start(|builder| builder);
    let session = app.otpless().session().await;
    assert_eq!((session.status, &session.user_id), (SessionStatus::Active, &before.user_id));
    assert!(session.claims.is_some(), "it has been verified");
    drop(app);

    let kept = std::fs::read_to_string(&file).expect("the plugin's file");
    assert!(kept.contains("\"kid\""), "the keys are there: {kept}");
    std::fs::write(&file, "not what anybody wrote").expect("the plugin's file");
    let app = stage.start(|builder| builder);
    let session = app.otpless().session().await;
    assert_eq!((session.status, session.user_id), (SessionStatus::Stale, before.user_id));
    assert!(session.claims.is_none());
    drop(app);

    stage.otpless.go_online().await.expect("the server is back");
    let app = stage.start(|builder| builder);
    until(app.otpless(), "the keys", |session| session.status == SessionStatus::Active).await;
}
