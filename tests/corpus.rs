//! The corpus of the fuzz targets, replayed: what `cargo xtask fuzz` starts from, and what it has found, holds without
//! a nightly compiler too. The targets say what must hold; here stand the cases that must not hold for want of input.

use std::{fs, path::PathBuf};

use tauri_plugin_otpless::engine::{SessionRecord, SignIn, TokenVerifier};

#[path = "../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, reason = "public in the crate where they are fuzzed")]
mod targets;

use targets::{
    TARGETS,
    discovery::{ON_THIS_MACHINE, OVER_TLS},
    issuer,
};

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| file.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(&path).expect("a file")))
        .collect()
}

fn seed(target: &str, name: &str) -> Vec<u8> {
    corpus(target).into_iter().find(|(path, _)| path.ends_with(name)).expect("the seed by that name").1
}

#[test]
fn a2_a4_b4_b5_b6_b10_b11_c5_e1_what_must_hold_for_any_bytes_holds_for_the_whole_corpus() {
    for (target, run) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 10, "{target}: {} files", files.len());
        for (path, data) in files {
            println!("{}", path.display());
            run(&data);
            // Cut off anywhere, as by a connection that breaks.
            let step = data.len() / 16 + 1;
            (0..data.len()).step_by(step).for_each(|end| run(&data[..end]));
        }
    }
}

/// A target whose best input is refused shows nothing.
#[test]
fn every_target_has_input_that_is_accepted() {
    for token in targets::jwt::GENUINE {
        issuer::verifier().verify(token).expect("the issuer has signed it");
    }
    issuer::verifier().verify(&issuer::sign(&seed("claims", "whole"))).expect("a whole session");
    assert_eq!(targets::jwks::kept(&seed("jwks", "two")).map(|keys| keys.len()), Some(2));
    for name in ["authenticate-done", "refresh-rotated", "revoke-done", "details"] {
        let outcome = targets::api_response_v1::outcome(&seed("api_response_v1", name));
        assert!(matches!(outcome, Some(Ok(()))), "{name}: {outcome:?}");
    }
    for (name, source) in [("otpless", OVER_TLS), ("loopback", ON_THIS_MACHINE)] {
        targets::discovery::key_set_of(&seed("discovery", name), source).expect("an address");
    }
    SessionRecord::from_bytes(&seed("stored_record", "framed")).expect("a record");
    for name in ["web", "mobile", "onetap"] {
        SignIn::from_json(serde_json::from_slice(&seed("sign_in", name)).expect("JSON")).expect("a sign-in");
    }
}
