//! What people get: the packed crate and the packed npm package, in the hands of an app that knows nothing else.

use crate::process::{Failure, answer, cargo, run};
use crate::{env, frontend};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PACK_BOUND: Duration = Duration::from_secs(5 * 60);
/// Most of the webview's crates anew: an app's features are others than those of this workspace.
const BUILD_BOUND: Duration = Duration::from_secs(45 * 60);
/// One window, one page, a few calls.
const RUN_BOUND: Duration = Duration::from_secs(120);

const CRATE: &str = "tauri-plugin-otpless";
const NPM_PACKAGE: &str = "tauri-plugin-otpless-api";

/// Packs both, checks the npm package's types and metadata, and builds and runs `tests/package` with them.
pub fn test() -> Result<(), Failure> {
    let place = crate::root().join("target/package-test");
    clear(&place)?;
    pack_crate(&place.join("packed"))?;
    frontend::pack(&place.join("packed").join(format!("{NPM_PACKAGE}.tgz")))?;
    let app = place.join("app");
    copy(&crate::root().join("tests/package"), &app)?;
    copy(&crate::root().join("examples/demo/icons"), &app.join("icons"))?;
    frontend::build_with_packed(&app.join("ui"))?;
    // The same versions as here, so that what is tested is the package and not the day's registry.
    let lock = crate::root().join("Cargo.lock");
    fs::copy(&lock, app.join("Cargo.lock"))
        .map_err(|error| format!("cannot copy {}: {error}", lock.display()))?;
    let target = crate::root().join("target");
    let build = |command: &mut Command| {
        command.current_dir(&app).env("CARGO_TARGET_DIR", &target);
    };
    let mut built = cargo(&["build"]);
    build(&mut built);
    run(&mut built, BUILD_BOUND)?;
    knows_the_scope(&app.join("gen/schemas/acl-manifests.json"))?;
    env::run(&Command::new(target.join("debug/package-smoke")), RUN_BOUND)
}

/// What an editor is told of the plugin's permissions in the app has the scope of `fetch` in it, as `build.rs` names it.
fn knows_the_scope(manifests: &Path) -> Result<(), Failure> {
    let failed = |why: &str| format!("{}: {why}", manifests.display());
    let text = fs::read_to_string(manifests).map_err(|error| failed(&error.to_string()))?;
    if text.contains(r#""title":"ScopeEntry""#) {
        return Ok(());
    }
    Err(failed("no schema for the scope of otpless:allow-fetch"))
}

/// As cargo would upload it: what is not in the package is not there.
fn pack_crate(packed: &Path) -> Result<(), Failure> {
    // Whether it compiles shows when the app is built with it; a second build of the webview's crates would show no more.
    run(&mut cargo(&["package", "--package", CRATE, "--no-verify", "--allow-dirty"]), PACK_BOUND)?;
    let name = format!("{CRATE}-{}", version()?);
    let archive = crate::root().join("target/package").join(format!("{name}.crate"));
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(packed);
    run(&mut tar, PACK_BOUND)?;
    fs::rename(packed.join(&name), packed.join(CRATE))
        .map_err(|error| format!("cannot rename {}: {error}", packed.join(&name).display()))
}

fn version() -> Result<String, Failure> {
    let manifest = crate::root().join("Cargo.toml");
    let id = answer("cargo", &["pkgid", "--manifest-path", &manifest.display().to_string()]);
    id.and_then(|id| Some(id.rsplit_once(['@', '#'])?.1.to_owned()))
        .ok_or_else(|| format!("cargo does not say which version {} is", manifest.display()))
}

/// Nothing is left of an earlier run: an old package must not pass for a new one.
fn clear(place: &Path) -> Result<(), Failure> {
    let failed = |error| format!("cannot clear {}: {error}", place.display());
    for folder in ["packed", "app"] {
        let folder = place.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
    }
    fs::create_dir_all(place.join("packed")).map_err(failed)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error| format!("cannot copy {}: {error}", path.display());
    fs::create_dir_all(to).map_err(|error| failed(from, error))?;
    for entry in fs::read_dir(from).map_err(|error| failed(from, error))? {
        let path: PathBuf = entry.map_err(|error| failed(from, error))?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).map_err(|error| failed(&path, error))?;
        }
    }
    Ok(())
}
