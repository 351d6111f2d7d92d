//! The test vectors of the Wycheproof project, against the code as it ships.

use std::{collections::HashMap, fs, io::Write as _, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wycheproof::{
    TestResult,
    rsa_pkcs1_verify::{TestName, TestSet},
};

use super::{Unverified, jwk::RsaKey, jwks, jws};

/// Every RSASSA-PKCS1-v1_5 signature with SHA-256 that Wycheproof has, for every size of key that the policy lets in.
///
/// `acceptable` is what Wycheproof leaves open: padding without the NULL parameter, as some old signers made it. RFC 8017
/// appendix B.1 asks for the NULL, and what is not asked for is not needed: refused, and that is asserted too.
#[test]
fn e4_ring_judges_every_rsa_signature_as_wycheproof_does() {
    let mut judged = HashMap::new();
    for name in
        [TestName::Rsa2048Sha256, TestName::Rsa3072Sha256, TestName::Rsa4096Sha256, TestName::Rsa8192Sha256]
    {
        let set = TestSet::load(name).expect("the crate reads its own data");
        for group in set.test_groups {
            // Without the policy, which refuses the exponent 3 of some groups: the question here is what ring says.
            let key = RsaKey::without_policy(trimmed(&group.key.n), trimmed(&group.key.e));
            for test in group.tests {
                let genuine = key.verifies(&test.msg, &test.sig);
                assert_eq!(
                    genuine,
                    test.result == TestResult::Valid,
                    "{name:?} {}: {}",
                    test.tc_id,
                    test.comment
                );
                *judged.entry(genuine).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(judged, HashMap::from([(true, 31), (false, 1003)]), "none was left out");
}

/// ring takes numbers without leading zeros, which [`RsaKey::from_jwk`] strips.
fn trimmed(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// The JOSE vectors, which no crate has. They are kept beside the project, with the verdict on each of a verifier that
/// takes RS256 alone.
struct Vectors(PathBuf);

impl Vectors {
    /// `None`, said where it is seen, if they are not there.
    fn find() -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
        if folder.is_dir() {
            return Some(Self(folder));
        }
        // Not with `eprintln`, which is only shown for tests that fail.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: the JOSE vectors of Wycheproof are not in ../shared/vectors of the project"
        );
        None
    }

    fn read(&self, file: &str) -> Value {
        let bytes = fs::read(self.0.join(file)).expect("a file of vectors");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Every case: its file and number, its group, and the token.
    fn cases(&self) -> Vec<(String, u64, Value, String)> {
        let mut cases = Vec::new();
        for file in ["json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"] {
            for group in self.read(file)["testGroups"].as_array().expect("groups") {
                for test in group["tests"].as_array().expect("tests") {
                    // Encrypted tokens are none that are signed, and two cases are JSON: refused as what they are.
                    let token = test.get("jws").or(test.get("jwe")).expect("a token");
                    let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
                    let number = test["tcId"].as_u64().expect("a number");
                    cases.push((file.to_owned(), number, group.clone(), token));
                }
            }
        }
        cases
    }

    /// The manifest's verdicts.
    fn verdicts(&self) -> HashMap<(String, u64), bool> {
        let manifest = self.read("rs256-only-manifest.json");
        let verdict = |case: &Value| {
            let accept = match case["rs256_only_expect"].as_str() {
                Some("accept") => true,
                Some("reject") => false,
                other => panic!("what is {other:?}?"),
            };
            (
                (case["file"].as_str().expect("a file").to_owned(), case["tcId"].as_u64().expect("a number")),
                accept,
            )
        };
        manifest["cases"].as_array().expect("cases").iter().map(verdict).collect()
    }
}

/// The keys that the group's tokens are checked with, as they would be taken from a key set.
///
/// Adapted: a group with one key has it without a set around it, so one is put around it. A group without a public key
/// has only a secret one, which goes into the set instead; an issuer that published it would be refused by the same
/// policy. The keys themselves and their ids stay as they are, so nothing is accepted for want of what was left out.
fn keys_of(group: &Value) -> HashMap<String, RsaKey> {
    let key = group.get("public").or_else(|| group.get("private")).expect("a key");
    let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
    jwks::parse(&serde_json::to_vec(&set).expect("JSON")).unwrap_or_default()
}

#[test]
fn b1_the_jose_vectors_are_judged_as_by_a_verifier_that_takes_rs256_alone() {
    let Some(vectors) = Vectors::find() else { return };
    let mut verdicts = vectors.verdicts();
    let mut accepted = HashMap::new();
    for (file, number, group, token) in vectors.cases() {
        let keys = keys_of(&group);
        let genuine = jws::payload(&token, |kid| keys.get(kid).cloned()).is_ok();
        let expected = verdicts.remove(&(file.clone(), number)).expect("a verdict on every case");
        assert_eq!(genuine, expected, "{file} {number}");
        *accepted.entry(file).or_insert(0) += usize::from(genuine);
    }
    assert!(verdicts.is_empty(), "a case for every verdict: {verdicts:?}");
    assert_eq!(
        accepted,
        HashMap::from([
            ("json_web_signature_test.json".to_owned(), 8),
            ("json_web_key_test.json".to_owned(), 1),
            ("json_web_crypto_test.json".to_owned(), 1),
        ])
    );
}

/// The manifest leaves the key of CVE-2017-15361 open, as most libraries take it. Here the policy refuses it for its
/// fingerprint and for nothing else: the signature is genuine.
#[test]
fn b3_the_vectors_key_of_the_broken_generator_is_refused_for_its_fingerprint() {
    let Some(vectors) = Vectors::find() else { return };
    let cases: Vec<_> = (vectors.cases().into_iter())
        .filter(|(file, number, ..)| {
            [("json_web_key_test.json", 7), ("json_web_crypto_test.json", 46)].contains(&(file, *number))
        })
        .collect();
    assert_eq!(cases.len(), 2);
    for (file, _, group, token) in cases {
        assert!(keys_of(&group).is_empty(), "{file}");
        assert_eq!(jws::payload(&token, |_| None), Err(Unverified::UnknownKey), "{file}");
        let public = &group["public"];
        let key = if public["keys"].is_array() { &public["keys"][0] } else { public };
        let number =
            |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a number")).expect("base64url");
        let key = RsaKey::without_policy(trimmed(&number("n")), &number("e"));
        assert!(jws::payload(&token, |_| Some(key)).is_ok(), "{file}");
    }
}
