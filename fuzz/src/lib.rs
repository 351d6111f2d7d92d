//! What strangers can send, in every shape libFuzzer can think of. See README.md beside this crate.

#![forbid(unsafe_code)]

pub mod targets;
