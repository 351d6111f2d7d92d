//! Programs from crates.io that a step needs, at one version, in a folder that `cargo clean` takes away.

use crate::process::{Failure, answer, cargo, run};
use std::path::PathBuf;
use std::time::Duration;

/// Two minutes of two idle cores for the largest of them.
const INSTALL_BOUND: Duration = Duration::from_secs(30 * 60);

/// A program that comes as a crate of the same name.
pub struct Tool {
    /// The crate.
    pub name: &'static str,
    /// The version that is used, whatever else is installed.
    pub version: &'static str,
    /// What it is for.
    pub about: &'static str,
}

impl Tool {
    /// Where it is; built first if it is neither on PATH nor in `target/tools`.
    pub fn program(&self) -> Result<PathBuf, Failure> {
        let folder = crate::root().join("target/tools");
        let here = folder.join("bin").join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
        for program in [PathBuf::from(self.name), here.clone()] {
            if self.is_at(&program) {
                return Ok(program);
            }
        }
        println!(
            "{} {} is not here and will be built, which takes a few minutes once. It {}.",
            self.name, self.version, self.about
        );
        let mut install = cargo(&["install", "--locked", self.name, "--version", self.version, "--root"]);
        run(install.arg(&folder), INSTALL_BOUND)?;
        Ok(here)
    }

    fn is_at(&self, program: &std::path::Path) -> bool {
        let said = answer(&program.to_string_lossy(), &["--version"]);
        said.is_some_and(|said| said == format!("{} {}", self.name, self.version))
    }
}
