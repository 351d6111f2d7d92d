//! `cargo xtask simulate`: months in the life of sessions (tests/simulation).

use crate::process::{Failure, cargo, run};
use crate::test::BUILD_BOUND;
use std::time::Duration;

/// For months that somebody asks for by hand, who can see what they are at: a weekend.
pub const BY_HAND: Duration = Duration::from_secs(3 * 24 * 3600);

/// Builds like the tests do, so that nothing is compiled twice, and hands `arguments` on.
pub fn simulate(arguments: &[&str], bound: Duration) -> Result<(), Failure> {
    run(&mut cargo(&["test", "--workspace", "--no-run"]), BUILD_BOUND)?;
    let program = format!("otpless-simulation{}", std::env::consts::EXE_SUFFIX);
    let program = crate::demo::programs()?.join(program);
    run(std::process::Command::new(program).args(arguments), bound)
}
