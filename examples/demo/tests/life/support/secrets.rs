//! What must be found nowhere: the session's tokens, cut into pieces and spelt in every way they could be written down.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use otpless_local::Issued;
use std::collections::BTreeMap;

/// Length of the pieces. A database splits a long value across pages, a log cuts it short: a piece still tells. 24
/// characters of a signature or of a random id occur nowhere by chance.
const PIECE: usize = 24;

/// Secrets and their names. The names are what a failing test prints.
#[derive(Clone, Default)]
pub(crate) struct Secrets(BTreeMap<String, &'static str>);

impl Secrets {
    pub(crate) fn add(&mut self, issued: &Issued) {
        self.add_id(&issued.session_id);
        self.add_token("session token", &issued.session_token);
        self.add_token("refresh token", &issued.refresh_token);
    }

    pub(crate) fn add_id(&mut self, session_id: &str) {
        self.0.insert(session_id.to_owned(), "session id");
    }

    pub(crate) fn add_token(&mut self, name: &'static str, token: &str) {
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("a {name} has three segments");
        };
        // The claims are no secret, the signature makes the token. The header is the same in every token signed with
        // this key, also in those this test has not seen, being renewed behind its back.
        self.0.insert(signature.to_owned(), name);
        self.0.insert(header.to_owned(), "JWT");
    }

    /// What finds them all in one pass.
    pub(crate) fn finder(&self) -> Finder {
        let mut patterns = Vec::new();
        let mut names = Vec::new();
        for (secret, name) in &self.0 {
            for piece in secret.as_bytes().chunks_exact(PIECE.min(secret.len())) {
                for (encoding, pattern) in spellings(piece) {
                    patterns.push(pattern);
                    names.push((*name, encoding));
                }
            }
        }
        Finder { automaton: AhoCorasick::new(&patterns).expect("few and short patterns"), names }
    }
}

pub(crate) struct Finder {
    automaton: AhoCorasick,
    names: Vec<(&'static str, &'static str)>,
}

impl Finder {
    /// The secrets in `bytes`: each name with each spelling once.
    pub(crate) fn find(&self, bytes: &[u8]) -> Vec<(&'static str, &'static str)> {
        let mut found: Vec<_> = self
            .automaton
            .find_overlapping_iter(bytes)
            .map(|hit| self.names[hit.pattern().as_usize()])
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn spellings(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let little: Vec<u8> = piece.iter().flat_map(|&byte| [byte, 0]).collect();
    let big: Vec<u8> = piece.iter().flat_map(|&byte| [0, byte]).collect();
    let numbers = piece.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes();
    let hex = piece.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
    let mut all = vec![("raw", piece.to_vec()), ("UTF-16", little), ("UTF-16", big), ("hex", hex)];
    // What `{:?}` makes of bytes.
    all.push(("list of numbers", numbers));
    // Where a piece stands within a base64 text decides how it looks: three ways, by what precedes it.
    for before in 0..3 {
        for (name, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            let text = engine.encode([&[0; 2][..before], piece].concat());
            // Characters that carry bits of a neighbour are left out.
            let first = (before * 8).div_ceil(6);
            let last = (before + piece.len()) * 8 / 6;
            all.push((name, text.as_bytes()[first..last].to_vec()));
        }
    }
    all
}
