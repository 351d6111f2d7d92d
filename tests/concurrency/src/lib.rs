//! The small core of the engine under a scheduler that decides who runs: [shuttle].
//!
//! The single flight and the generation are compiled here from the files that ship, not from copies. They name what they
//! are synchronised with as `crate::sync` and where work runs as `crate::runtime`; here those modules are shuttle's mutex
//! and atomics, tokio's watch with a scheduling point before every operation, and shuttle's executor. An execution runs one
//! thread at a time and changes threads at scheduling points alone, so that a scheduler can try one order after another and
//! an order that fails can be played again.
//!
//! What surrounds them is a model. [`flights`] has callers that come together, come as a flight ends, go away, and flights
//! that panic or are dropped. [`endings`] has processes that sign in, renew and sign out over one keychain; it takes from
//! the real one (`store/vault.rs`, `session/`) the order of the steps and leaves out what they do. The bulletins, by which
//! processes tell each other of logouts, are not in it; the simulation and `tests/processes` have them for real.
//!
//! What it does not show: shuttle's atomics are sequentially consistent whatever ordering is asked for, which is the ordering
//! the core asks for, and an operation on a watch is one step, because it is tokio's own, which tokio tests with loom.
//!
//! The scenarios also run with flaws put in ([`flights::Core`], [`endings::Flaw`]), which must be found: a test that cannot
//! fail shows nothing.
//!
//! # A failure, once more
//!
//! Schedules are drawn from a fixed seed, so a test that failed fails again; `SHUTTLE_RANDOM_SEED` sets another one. A failure
//! prints the schedule that led to it, a second time when the thread that failed has unwound; the last one is whole. It runs
//! alone, its lines joined to one, with
//!
//! ```sh
//! OTPLESS_SCHEDULE=91010… cargo test -p otpless-concurrency --test suite -- NAME_OF_THE_TEST --nocapture
//! ```
//!
//! for as long as neither the core nor the scenario has changed. The tests that play every order there is need no schedule:
//! they meet it again.

// The files that ship bring their own tests, which are the plugin's: they need tokio's runtime and run in the plugin.
#![cfg(not(test))]

pub mod endings;
pub mod explore;
mod flawed;
pub mod flights;
mod runtime;
mod sync;

#[path = "../../../src/generation.rs"]
mod generation;
#[path = "../../../src/single_flight.rs"]
mod single_flight;
