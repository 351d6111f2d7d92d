//! The plugin's integration tests, one module per topic, in one binary because linking a webview takes its time.
//!
//! The server is the local OTPless over real HTTP. `keychain` and `ipc` need a session bus with an unlocked keyring;
//! `cargo xtask test` makes one.

mod bad_input;
mod contract;
mod endings;
mod ipc;
mod keychain;
mod life;
mod refresh;
mod secrets;
mod storage;
mod support;
mod tokens;
mod verdicts;
