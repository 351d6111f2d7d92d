//! The real keychain: on Linux the Secret Service of the session that the tests run in.

use std::sync::Arc;

use tauri_plugin_otpless::{
    SessionStatus, Storage,
    engine::{KeychainStore, SessionStore, Slot},
};

use crate::support::{Device, require_keychain};

fn service(name: &str) -> String {
    require_keychain();
    format!("app.otpless.test.{name}{}", std::process::id())
}

#[test]
fn a_value_is_kept_replaced_and_erased_for_everyone() {
    let service = service("keep");
    let mut first = KeychainStore::new(&service);
    let mut second = KeychainStore::new(&service);
    assert_eq!(first.read(Slot::Session), Ok(None));
    for value in ["one", "two", &"three ".repeat(1400)] {
        first.write(Slot::Session, value.as_bytes()).unwrap();
        let kept = second.read(Slot::Session).unwrap().expect("another connection sees it");
        assert_eq!(kept.as_slice(), value.as_bytes());
    }
    assert_eq!(first.read(Slot::Revocations), Ok(None), "the slots are apart");
    second.erase(Slot::Session).unwrap();
    assert_eq!(first.read(Slot::Session), Ok(None));
    first.erase(Slot::Session).expect("erasing nothing is no error");
}

#[test]
fn another_app_has_another_entry() {
    let mut ours = KeychainStore::new(service("ours"));
    let mut theirs = KeychainStore::new(service("theirs"));
    ours.write(Slot::Session, b"ours").unwrap();
    assert_eq!(theirs.read(Slot::Session), Ok(None));
    ours.erase(Slot::Session).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_in_the_keychain_through_a_restart_until_logout() {
    let service: Arc<str> = service("life").into();
    let device = Device::new().await;
    let start = || {
        let service = service.clone();
        device.start_with(move || Box::new(KeychainStore::new(&*service)))
    };
    let app = start();
    let issued = device.issue();
    let session = app.start_session(issued.web()).await.unwrap();
    assert_eq!(session.storage, Storage::Keychain);
    app.refresh().await.unwrap();
    app.kill().await;
    let app = start();
    let session = app.session().await;
    assert_eq!((session.status, session.user_id), (SessionStatus::Active, Some(issued.user_id)));
    app.logout().await;
    let left = std::thread::spawn(move || KeychainStore::new(&*service).read(Slot::Session));
    assert_eq!(left.join().unwrap(), Ok(None));
    assert_eq!(device.control.replays(), 0);
}
