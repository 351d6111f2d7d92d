//! The engine in processes of its own: side by side, killed, stopped, and with a keychain that misbehaves.
//!
//! Every test has a session bus and a gnome-keyring of its own, so they may run at the same time and break what they
//! like. Linux alone: no other system lets a test make a keychain and throw it away.

#![cfg(target_os = "linux")]

mod frozen;
mod keychain;
mod kills;
mod peers;
mod random_kills;
mod support;
