//! A session's life in the real app: a real webview, driven by clicks; a real Secret Service; the local OTPless.
//!
//! Runs on the desktop that `cargo xtask test --only end-to-end` makes and throws away, and nowhere else: it signs in
//! and out in whatever keychain it finds.
#![cfg(target_os = "linux")]

mod backend;
mod frameworks;
mod hostile;
mod leaks;
#[cfg(debug_assertions)]
mod rehearsal;
mod relay;
mod sessions;
mod showcase;
mod support;
