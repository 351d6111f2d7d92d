//! The plugin's integration tests, one module per topic, in one binary because linking a webview takes its time.
//!
//! The server is the local OTPless over real HTTP. `keychain`, `rehearsal`, `restart` and what goes through the IPC (`arguments`, `callers`, `fetch_ipc`, `floods`, `ipc`) need a session bus with an unlocked keyring;
//! `cargo xtask test` makes one.

mod arguments;
mod bad_input;
mod callers;
mod clocks;
mod contract;
mod contract_v1;
mod corpus;
mod destinations;
mod dialects;
mod discovery;
mod endings;
mod fetch;
mod fetch_ipc;
mod floods;
mod forgeries;
mod ipc;
mod jwt_crate;
mod keychain;
mod keys;
mod life;
mod middleware;
mod panics;
mod peers;
mod proven;
mod refresh;
#[cfg(debug_assertions)]
mod rehearsal;
mod relay;
mod release;
mod restart;
mod rules;
mod secrets;
mod storage;
mod support;
// Elsewhere than on Linux the system's own store of certificates decides, and no test can put one into it.
#[cfg(target_os = "linux")]
mod tls;
mod tokens;
mod verdicts;
mod waits;
