//! The targets: what is done with the bytes, and what must hold whatever they are.
//!
//! They work on the engine's public parts, so the plugin's own tests can replay the corpus (tests/corpus.rs has this
//! very module) without a nightly compiler. What only `cfg(fuzzing)` can reach is at the end of a target.

pub mod answer;
pub mod api_response;
pub mod api_response_v1;
pub mod claims;
pub mod discovery;
pub mod issuer;
pub mod jwks;
pub mod jwt;
pub mod sign_in;
pub mod stored_record;

/// What every target is.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 8] = [
    ("api_response", api_response::run),
    ("api_response_v1", api_response_v1::run),
    ("claims", claims::run),
    ("discovery", discovery::run),
    ("jwks", jwks::run),
    ("jwt", jwt::run),
    ("sign_in", sign_in::run),
    ("stored_record", stored_record::run),
];
