//! An independent witness of the keychain: asks the Secret Service over D-Bus, with none of the plugin's code.

use std::process::{Command, Output};

/// The bundle identifier of the demo, under which the plugin keeps its entries.
const SERVICE: &str = "app.otpless.demo";

/// The entries of the plugin, by the account name a person sees in their keychain application.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    Session,
    Revocations,
}

impl Slot {
    fn attributes(self) -> String {
        let account = match self {
            Self::Session => "otpless-session",
            Self::Revocations => "otpless-revocations",
        };
        format!("{{'service': '{SERVICE}', 'username': '{account}'}}")
    }
}

/// How many entries there are in the slot: 0 or 1, if all is well.
pub(crate) fn entries(slot: Slot) -> usize {
    search(&slot.attributes()).len()
}

/// Removes what an earlier test left.
pub(crate) fn clear() {
    for path in search(&format!("{{'service': '{SERVICE}'}}")) {
        call(&path, "org.freedesktop.Secret.Item.Delete", &[]);
    }
    assert_eq!(search(&format!("{{'service': '{SERVICE}'}}")), Vec::<String>::new(), "the keychain is empty");
}

/// The object paths of the matching items, unlocked or locked.
fn search(attributes: &str) -> Vec<String> {
    let answer =
        call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.SearchItems", &[attributes]);
    answer
        .split('\'')
        .filter(|part| part.starts_with("/org/freedesktop/secrets/"))
        .map(str::to_owned)
        .collect()
}

fn call(path: &str, method: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new("gdbus")
        .args(["call", "--session", "--timeout=10", "--dest=org.freedesktop.secrets"])
        .args([format!("--object-path={path}"), format!("--method={method}")])
        .args(arguments)
        .output()
        .expect("gdbus, which `cargo xtask setup` installs");
    assert!(status.success(), "the Secret Service refuses {method}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}
