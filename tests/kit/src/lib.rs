//! What the test suites of several crates of this workspace look with.

pub mod leaks;
pub mod log;
pub mod tls;
