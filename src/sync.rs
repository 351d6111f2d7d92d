//! What the small core is synchronised with: std's mutex and atomics, tokio's watch.
//!
//! Named in one place because `tests/concurrency` compiles the files that use it a second time, with a scheduler's
//! primitives in this one's stead, and plays through the ways in which their threads can interleave.

pub(crate) use std::sync::{Arc, Mutex, PoisonError, atomic};

pub(crate) use tokio::sync::watch;
