//! Sees to it that there is a page to embed, and makes the permissions of the app's own commands.

use std::{fs, io, path::Path};

/// Stands in for the page where only Rust was built: a plain `cargo build` must not need node.
const PLACEHOLDER: &str = "<!doctype html>
<meta charset=\"utf-8\">
<title>The page is not built</title>
<p>The demo's page is not built. Run <code>cargo xtask demo</code>.</p>
";

fn main() -> io::Result<()> {
    let page = Path::new("dist/index.html");
    if !page.exists() {
        fs::create_dir_all("dist")?;
        fs::write(page, PLACEHOLDER)?;
    }
    println!("cargo:rerun-if-changed=dist");

    // The rehearsal's are known to every build: a permission without a command, and granted to no window, permits nothing.
    let commands = tauri_build::AppManifest::new().commands(&[
        "demo_config",
        "open_second_window",
        "open_hostile_window",
        "open_frameworks_window",
        "rehearsed",
        "rehearse_sleep",
        "rehearse_keychain",
    ]);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands)).map_err(io::Error::other)
}
