//! What may be in the dependency tree: `deny.toml`, judged by cargo-deny (requirements E4 and E5).

use crate::process::{Failure, cargo, run};
use crate::test::Passed;
use crate::tools::Tool;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    about: "checks licences, bans, sources and advisories of all dependencies",
};

/// Of what has a lock file: the workspace, and the fuzz targets beside it.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

const BOUND: Duration = Duration::from_secs(10 * 60);

/// The licences, bans and sources always, the advisories where RustSec's database can be had.
pub fn check() -> Result<Passed, Failure> {
    for manifest in MANIFESTS {
        // Fails on a Cargo.lock that is missing or not up to date, before minutes are spent on building cargo-deny. It also
        // brings what only other platforms build with: its licence counts as well.
        run(&mut cargo(&["fetch", "--locked", "--manifest-path", manifest]), BOUND)?;
    }
    let program = CARGO_DENY.program()?;
    for manifest in MANIFESTS {
        run(check_of(&program, manifest).args(["bans", "licenses", "sources"]), BOUND)?;
    }
    // Asked for by itself: a check that fails does not say whether for want of the database or for what stands in it.
    let mut fetch = cargo_deny(&program);
    fetch.args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0");
    if let Err(failure) = run(&mut fetch, BOUND) {
        println!("ADVISORIES WERE NOT CHECKED: RustSec's database could not be fetched. {failure}");
        return Ok(Passed::Without("advisories were not checked: RustSec's database could not be fetched"));
    }
    for manifest in MANIFESTS {
        run(check_of(&program, manifest).arg("advisories"), BOUND)?;
    }
    Ok(Passed::Whole)
}

fn check_of(program: &Path, manifest: &str) -> Command {
    let mut command = cargo_deny(program);
    command.args(["--manifest-path", manifest]);
    // Without the warnings: `cargo deny check bans` lists the crates of which there are several versions.
    command.args(["--offline", "--locked", "--workspace", "--log-level", "error"]);
    command.args(["check", "--hide-inclusion-graph"]);
    command
}

fn cargo_deny(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(crate::root());
    crate::process::forget_xtask(&mut command);
    command
}
