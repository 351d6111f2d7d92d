//! The TypeScript parts: the npm package in guest-js and the demo's page.

use crate::process::{Failure, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

const INSTALL_BOUND: Duration = Duration::from_secs(10 * 60);
const SCRIPT_BOUND: Duration = Duration::from_secs(5 * 60);

/// Type-checks, builds and tests the npm package.
pub fn test_package() -> Result<(), Failure> {
    install(&guest_js())?;
    npm_script(&guest_js(), "typecheck")?;
    package()?;
    npm_script(&guest_js(), "test")
}

/// Builds the npm package, once in a run of this program.
fn package() -> Result<(), Failure> {
    static BUILT: OnceLock<Result<(), Failure>> = OnceLock::new();
    let build = || install(&guest_js()).and_then(|()| npm_script(&guest_js(), "build"));
    BUILT.get_or_init(build).clone()
}

/// Builds the demo's page and tests what in it needs no browser.
pub fn test_page() -> Result<(), Failure> {
    page()?;
    npm_script(&ui(), "test")
}

/// Builds the demo's page into `examples/demo/dist`, where the app's build embeds it from.
///
/// Once in a run of this program: a page written anew, even the same one, has cargo build the app anew.
pub fn page() -> Result<(), Failure> {
    static BUILT: OnceLock<Result<(), Failure>> = OnceLock::new();
    let build = || package().and_then(|()| install(&ui())).and_then(|()| npm_script(&ui(), "build"));
    BUILT.get_or_init(build).clone()
}

/// Generates the npm package's reference, with every warning an error.
pub fn document() -> Result<(), Failure> {
    install(&guest_js())?;
    npm_script(&guest_js(), "docs")
}

/// Packs the npm package, as npm would upload it, into `archive`.
pub fn pack(archive: &Path) -> Result<(), Failure> {
    install(&guest_js())?;
    // It builds by itself.
    npm_script(&guest_js(), "check-package")?;
    let folder = archive.parent().unwrap_or(Path::new("."));
    run(npm(&guest_js()).args(["pack", "--silent", "--pack-destination"]).arg(folder), SCRIPT_BOUND)?;
    let packed = fs::read_dir(folder)
        .ok()
        .and_then(|mut files| {
            files.find_map(|file| {
                Some(file.ok()?.path()).filter(|path| path.extension().is_some_and(|end| end == "tgz"))
            })
        })
        .ok_or_else(|| format!("npm has left no package in {}", folder.display()))?;
    fs::rename(&packed, archive).map_err(|error| format!("cannot rename {}: {error}", packed.display()))
}

/// Builds a page with a package that was packed just now, and so is in no lock file.
pub fn build_with_packed(folder: &Path) -> Result<(), Failure> {
    run(npm(folder).args(["install", "--no-audit", "--no-fund", "--no-package-lock"]), INSTALL_BOUND)?;
    npm_script(folder, "build")
}

fn guest_js() -> PathBuf {
    crate::root().join("guest-js")
}

fn ui() -> PathBuf {
    crate::root().join("examples/demo/ui")
}

/// `npm ci` empties node_modules and takes its time, so it runs only if the lock file is not the one installed last.
fn install(folder: &Path) -> Result<(), Failure> {
    let lock_file = folder.join("package-lock.json");
    let wanted =
        fs::read(&lock_file).map_err(|error| format!("cannot read {}: {error}", lock_file.display()))?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(npm(folder).args(["ci", "--no-audit", "--no-fund"]), INSTALL_BOUND)?;
    // A package without dependencies leaves no node_modules behind.
    fs::create_dir_all(folder.join("node_modules"))
        .and_then(|()| fs::write(&stamp, wanted))
        .map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

fn npm_script(folder: &Path, script: &str) -> Result<(), Failure> {
    run(npm(folder).args(["run", "--silent", script]), SCRIPT_BOUND)
}

fn npm(folder: &Path) -> Command {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.current_dir(folder);
    command
}
