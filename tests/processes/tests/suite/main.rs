//! The engine in processes of its own: side by side, killed, stopped, and with a keychain that misbehaves.
//!
//! Every test has a session bus and a gnome-keyring of its own, so they may run at the same time and break what they
//! like. They start in the order of their names, and the longest, [`concurrent`], comes first. Linux alone: no other system lets a test make a keychain and throw it away.

#![cfg(target_os = "linux")]

mod concurrent;
mod frozen;
mod keychain;
mod kills;
mod memory;
mod random_kills;
mod support;
