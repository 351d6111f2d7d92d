//! What an app gets with the plugin, and what not (E4, E5): the dependency tree of a release build, as cargo resolves it.
//!
//! That no rehearsal is left in a release is the compiler's to say, see the end of src/lib.rs; licences and advisories
//! are cargo-deny's.

use std::{collections::BTreeMap, process::Command};

/// Every crate of a release build on this machine with its features. The committed Cargo.lock decides.
fn release() -> BTreeMap<String, Vec<String>> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "--package", "tauri-plugin-otpless"])
        .args(["--edges", "no-dev", "--prefix", "none", "--no-dedupe", "--format", "{p} {f}"])
        .output()
        .expect("cargo starts");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("text");
    let mut crates = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        let (name, rest) = line.split_once(' ').expect("a name and a version");
        let features = rest.rsplit(' ').next().unwrap_or_default();
        crates.entry(name.into()).or_default().extend(features.split(',').map(str::to_owned));
    }
    crates
}

#[test]
fn e5_no_part_of_the_tests_is_in_a_release_build() {
    let release = release();
    for real in ["keyring-core", "rustls", "tokio", "tauri"] {
        assert!(release.contains_key(real), "{real} is what it is built with");
    }
    let ours: Vec<_> = release.keys().filter(|name| name.contains("otpless")).collect();
    assert_eq!(ours, ["tauri-plugin-otpless"], "no local server, no fail points");
    // A clock that tests can stop; a runtime without a webview; a store in a file; IPC bodies in the log (A2).
    for (name, feature) in
        [("tokio", "test-util"), ("tauri", "test"), ("keyring-core", "sample"), ("tauri", "tracing")]
    {
        assert!(!release[name].iter().any(|on| on == feature), "{name}/{feature}: {:?}", release[name]);
    }
    assert!(release["tokio"].iter().any(|on| on == "time"), "features are seen: {:?}", release["tokio"]);
}

#[test]
fn e4_ring_alone_makes_tls_and_checks_signatures_in_a_release_build() {
    let release = release();
    assert!(release.contains_key("ring"));
    for other in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "rsa"] {
        assert!(!release.contains_key(other), "{other}");
    }
}

/// RUSTSEC-2023-0071. Whatever the platform and the features: `Cargo.lock` names all there could be.
#[test]
fn e4_the_rsa_crate_and_openssl_are_not_even_in_the_lock_file() {
    let lock: toml::Table = toml::from_str(include_str!("../Cargo.lock")).expect("a lock file");
    let packages = lock["package"].as_array().expect("packages");
    let has = |name: &str| packages.iter().any(|package| package["name"].as_str() == Some(name));
    assert!(has("ring") && has("windows-native-keyring-store") && has("android-native-keyring-store"));
    for banned in ["rsa", "openssl", "openssl-sys", "native-tls"] {
        assert!(!has(banned), "{banned}");
    }
    for package in packages {
        let from = package.get("source").map(|source| source.as_str());
        let registry = Some("registry+https://github.com/rust-lang/crates.io-index");
        assert!(from.is_none_or(|from| from == registry), "{package}");
    }
}
