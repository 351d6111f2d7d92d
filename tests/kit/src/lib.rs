//! What the test suites of several crates of this workspace look with.

pub mod tls;
