//! What must be found nowhere: secrets, cut into pieces and spelt in every way they could be written down.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use otpless_local::Issued;
use percent_encoding::percent_decode;

/// Length of the pieces. A database splits a long value across pages, a log cuts it short: a piece still tells. 24
/// characters of a signature or of a random id occur nowhere by chance.
const PIECE: usize = 24;

/// Shortest secret that can be looked for: a shorter one is found where it is not.
const SHORTEST: usize = 8;

/// Secrets and their names. The names are what a failing test prints.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, &'static str>);

impl Secrets {
    /// The three values of a session.
    pub fn add_session(&mut self, issued: &Issued) {
        self.add("session id", &issued.session_id);
        self.add_token("session token", &issued.session_token);
        self.add_token("refresh token", &issued.refresh_token);
    }

    /// A secret that is one from its first character to its last.
    ///
    /// # Panics
    ///
    /// When it has fewer than 8 bytes, which would be found anywhere.
    pub fn add(&mut self, name: &'static str, secret: &str) {
        assert!(secret.len() >= SHORTEST, "a {name} of {} bytes is too short to be looked for", secret.len());
        self.0.insert(secret.to_owned(), name);
    }

    /// A JWT.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn add_token(&mut self, name: &'static str, token: &str) {
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("a {name} has three segments");
        };
        // The claims are no secret, the signature makes the token. The header is the same in every token signed with
        // this key, also in those a test has not seen, being renewed behind its back.
        self.add(name, signature);
        self.add("JWT", header);
    }

    /// What finds them all in one pass.
    ///
    /// # Panics
    ///
    /// When they are too many for one automaton: gigabytes.
    #[must_use]
    pub fn finder(&self) -> Finder {
        let mut patterns = Vec::new();
        let mut names = Vec::new();
        for (secret, name) in &self.0 {
            for piece in pieces(secret.as_bytes()) {
                for (spelling, pattern) in spellings(piece) {
                    patterns.push(pattern);
                    names.push((*name, spelling));
                }
            }
        }
        Finder { automaton: AhoCorasick::new(&patterns).expect("few and short patterns"), names }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}

/// Finds secrets.
pub struct Finder {
    automaton: AhoCorasick,
    names: Vec<(&'static str, &'static str)>,
}

impl Finder {
    /// The secrets in `bytes`: each name with each spelling once.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<(&'static str, &'static str)> {
        let mut found: Vec<_> = self.plain(bytes).collect();
        // Which characters are escaped is the writer's choice, so no pattern could stand for it.
        if let Cow::Owned(decoded) = Cow::from(percent_decode(bytes)) {
            let escaped: Vec<_> = self
                .plain(&decoded)
                .filter(|hit| !found.contains(hit))
                .map(|(name, _)| (name, "percent-encoding"))
                .collect();
            found.extend(escaped);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn plain(&self, bytes: &[u8]) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.automaton.find_overlapping_iter(bytes).map(|hit| self.names[hit.pattern().as_usize()])
    }

    /// That there are none in `bytes`.
    ///
    /// # Panics
    ///
    /// When there are. The message has `place`, names and spellings; no secret, because test output is kept and passed around.
    #[track_caller]
    pub fn finds_nothing_in(&self, place: &str, bytes: impl AsRef<[u8]>) {
        let found = self.find(bytes.as_ref());
        assert!(found.is_empty(), "{place} holds {found:?}");
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("patterns", &self.names.len()).finish_non_exhaustive()
    }
}

/// Counts how often each of some secrets stands in bytes, in any spelling but percent-encoding, of which there are too many: for
/// places where a copy or two may be expected.
pub struct Counter {
    automaton: AhoCorasick,
    of_pattern: Vec<usize>,
    secrets: usize,
}

impl Counter {
    /// Counts `secrets`.
    ///
    /// # Panics
    ///
    /// When one has fewer than 8 bytes, which would be found anywhere, or they are too many for one automaton: gigabytes.
    #[must_use]
    pub fn new(secrets: &[&str]) -> Self {
        let mut patterns = Vec::new();
        let mut of_pattern = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            assert!(secret.len() >= SHORTEST, "number {index} is too short to be looked for");
            for (_, pattern) in spellings(secret.as_bytes()) {
                // Without a letter beyond the common ones base64 and base64url are the same, which is not two copies.
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                    of_pattern.push(index);
                }
            }
        }
        let automaton = AhoCorasick::new(&patterns).expect("few and short patterns");
        Self { automaton, of_pattern, secrets: secrets.len() }
    }

    /// How often each stands in `bytes`.
    #[must_use]
    pub fn count(&self, bytes: &[u8]) -> Vec<usize> {
        let mut counts = vec![0; self.secrets];
        for hit in self.automaton.find_overlapping_iter(bytes) {
            counts[self.of_pattern[hit.pattern().as_usize()]] += 1;
        }
        counts
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

/// The pieces in a row, and the last of them from the end.
fn pieces(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    let length = PIECE.min(secret.len());
    let rest = !secret.len().is_multiple_of(length);
    secret.chunks_exact(length).chain(rest.then(|| &secret[secret.len() - length..]))
}

fn spellings(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let little: Vec<u8> = piece.iter().flat_map(|&byte| [byte, 0]).collect();
    let big: Vec<u8> = piece.iter().flat_map(|&byte| [0, byte]).collect();
    let each = |spell: fn(&u8) -> String, between: &str| {
        piece.iter().map(spell).collect::<Vec<_>>().join(between).into_bytes()
    };
    let mut all = vec![
        ("raw", piece.to_vec()),
        ("UTF-16", little),
        ("UTF-16", big),
        ("hex", each(|byte| format!("{byte:02x}"), "")),
        ("hex", each(|byte| format!("{byte:02X}"), "")),
        // What `{:?}` makes of bytes, and what JSON does.
        ("list of numbers", each(u8::to_string, ", ")),
        ("list of numbers", each(u8::to_string, ",")),
    ];
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

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

    use super::*;

    /// Three pieces long, with something of every class that an encoding treats apart.
    const SECRET: &str = "canary.of-a_s?>~~?>>>+/=hidden.in-a_t?>~~?>>>+/=behind.of-a_u?>~~?>>>+/";

    fn finder(secret: &str) -> Finder {
        let mut secrets = Secrets::default();
        secrets.add("secret", secret);
        secrets.finder()
    }

    /// `text` in one spelling.
    fn spelt(text: &str) -> Vec<(&'static str, Vec<u8>)> {
        let hex = |upper: bool| {
            let byte = |byte: u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            text.bytes().map(byte).collect::<String>().into_bytes()
        };
        let every = |byte: u8| format!("%{byte:02x}");
        vec![
            ("raw", text.into()),
            ("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("UTF-16", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            ("hex", hex(false)),
            ("hex", hex(true)),
            ("list of numbers", format!("{:?}", text.as_bytes()).into()),
            ("list of numbers", serde_json::to_vec(text.as_bytes()).unwrap()),
            ("base64", STANDARD.encode(text).into()),
            ("base64", STANDARD_NO_PAD.encode(text).into()),
            ("base64url", URL_SAFE.encode(text).into()),
            ("base64url", URL_SAFE_NO_PAD.encode(text).into()),
            ("percent-encoding", percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string().into()),
            ("percent-encoding", text.replace('.', "%2e").into()),
            ("percent-encoding", text.bytes().map(every).collect::<String>().into()),
        ]
    }

    #[test]
    fn every_spelling_is_found_wherever_the_secret_stands_in_a_text() {
        let finder = finder(SECRET);
        for before in 0..7 {
            let text = format!("{}{SECRET}, and more", "x".repeat(before));
            for (spelling, bytes) in spelt(&text) {
                let found = finder.find(&bytes);
                assert!(found.contains(&("secret", spelling)), "{before} before {spelling}: {found:?}");
            }
        }
    }

    #[test]
    fn a_part_of_a_secret_is_found_wherever_it_was_cut() {
        let secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let finder = finder(secret);
        // So long that a whole piece is in it, whatever its place.
        let part = 2 * PIECE - 1;
        for start in 0..=secret.len() - part {
            for (spelling, bytes) in spelt(&secret[start..start + part]) {
                assert!(!finder.find(&bytes).is_empty(), "{spelling} from {start}");
            }
        }
        assert_eq!(finder.find(&secret.as_bytes()[secret.len() - PIECE..]), [("secret", "raw")], "its end");
    }

    #[test]
    fn a_secret_as_short_as_it_may_be_is_found_in_every_spelling() {
        let finder = finder("c4n?.>_~");
        for before in 0..3 {
            for (spelling, bytes) in spelt(&format!("{}c4n?.>_~", &"xyz"[..before])) {
                let found = finder.find(&bytes);
                assert!(found.contains(&("secret", spelling)), "{before} before {spelling}: {found:?}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_is_not_found() {
        let finder = finder(SECRET);
        for (spelling, bytes) in spelt(&SECRET.replace("~~", "~-")) {
            finder.finds_nothing_in(spelling, bytes);
        }
        finder.finds_nothing_in("nothing", "");
    }

    #[test]
    #[should_panic = "the log holds [(\"secret\", \"raw\")]"]
    fn whoever_claims_that_there_is_nothing_is_told_what_there_is() {
        finder(SECRET).finds_nothing_in("the log", format!("INFO {SECRET}"));
    }

    #[test]
    fn a_token_is_found_by_its_signature_and_by_its_header_and_its_claims_are_no_secret() {
        let (header, claims, signature) = ("h".repeat(30), "p".repeat(60), "s".repeat(100));
        let mut secrets = Secrets::default();
        secrets.add_token("session token", &format!("{header}.{claims}.{signature}"));
        let finder = secrets.finder();
        assert_eq!(finder.find(signature.as_bytes()), [("session token", "raw")]);
        assert_eq!(finder.find(header.as_bytes()), [("JWT", "raw")]);
        finder.finds_nothing_in("a page that shows claims", claims);
        assert!(!format!("{secrets:?} {finder:?}").contains("sss"));
    }

    #[test]
    fn every_spelling_is_counted_once() {
        let counter = Counter::new(&[SECRET, "another-secret"]);
        for (spelling, bytes) in
            spelt(SECRET).into_iter().filter(|(spelling, _)| *spelling != "percent-encoding")
        {
            let text = [b"so it is: ", &*bytes, b"another-secret"].concat();
            assert_eq!(counter.count(&text), [1, 1], "{spelling}");
        }
        assert_eq!(counter.count(b"another-secre"), [0, 0]);
        assert_eq!(counter.count(b"another-secretanother-secret"), [0, 2]);
    }
}
