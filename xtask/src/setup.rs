//! `cargo xtask setup`: finds what this machine lacks, says it, installs it where it knows how to.

use crate::process::{Failure, answer, cargo, on_path, run};
use std::process::Command;
use std::time::Duration;

/// Debian's and Ubuntu's package names, each with the reason it is needed.
const PACKAGES: &[(&str, &str)] = &[
    ("libwebkit2gtk-4.1-dev", "the webview Tauri links with"),
    ("webkit2gtk-driver", "drives the real webview in the end-to-end test"),
    ("xvfb", "a display for machines without one"),
    ("xauth", "needed by xvfb-run"),
    ("xdotool", "gives a window the focus in the end-to-end test"),
    ("gnome-keyring", "the Secret Service that keeps the session in the tests"),
    ("dbus-daemon", "a session bus of the tests' own"),
    ("libglib2.0-bin", "gdbus, which asks the keychain independently of the plugin"),
    ("fonts-dejavu-core", "letters in the screenshots"),
    ("at-spi2-core", "keeps GTK from waiting for an accessibility bus"),
    ("ca-certificates", "the authorities TLS trusts"),
    ("pkg-config", "finds the webview's libraries"),
    ("gcc", "links Rust programs and compiles ring"),
    ("libc6-dev", "the C headers gcc needs"),
];

/// Added when `node` (18 or newer) or `npm` is not on PATH.
const NODE_PACKAGES: &[(&str, &str)] = &[
    ("nodejs", "builds and tests the TypeScript parts"),
    ("npm", "installs what the TypeScript parts are built with"),
];

const OLDEST_NODE: u32 = 18;
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// A third of a gigabyte over a slow line.
const INSTALL_BOUND: Duration = Duration::from_secs(40 * 60);

/// Makes the machine ready; silent when it is.
pub fn setup() -> Result<(), Failure> {
    if cfg!(target_os = "linux") {
        linux()?;
    } else {
        elsewhere()?;
    }
    rust_components()
}

fn linux() -> Result<(), Failure> {
    if !on_path("dpkg-query") || !on_path("apt-get") {
        return other_linux();
    }
    let mut missing: Vec<_> = PACKAGES.iter().filter(|(package, _)| !installed(package)).collect();
    if let Some(reason) = node_trouble() {
        println!("Node.js: {reason}");
        missing.extend(NODE_PACKAGES.iter().filter(|(package, _)| !installed(package)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("These packages are missing and will be installed with apt-get (about 410 MB for all of them):");
    for (package, reason) in &missing {
        println!("    {package:<24} {reason}");
    }
    let names: Vec<&str> = missing.iter().map(|(package, _)| *package).collect();
    install(&names)?;
    if let Some(reason) = node_trouble() {
        return Err(format!(
            "{reason} even after installing it with apt-get; please install Node.js {OLDEST_NODE} or newer."
        ));
    }
    Ok(())
}

fn installed(package: &str) -> bool {
    answer("dpkg-query", &["-W", "-f", "${db:Status-Status}\n", package])
        .is_some_and(|status| status.lines().any(|line| line == "installed"))
}

fn install(packages: &[&str]) -> Result<(), Failure> {
    let root = answer("id", &["-u"]).as_deref() == Some("0");
    if !root && !on_path("sudo") {
        return Err(format!(
            "not root and no sudo here. As root, run:\n    apt-get update && apt-get install --no-install-recommends {}",
            packages.join(" ")
        ));
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
        command
    };
    // One unreachable third-party source must not stop the installation of packages that come from another.
    if let Err(failure) = run(&mut apt_get(&["update", "-q"]), INSTALL_BOUND) {
        println!("{failure}; going on with the package lists that are here.");
    }
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    run(&mut apt_get(&arguments), INSTALL_BOUND)
}

/// Why the `node` and `npm` on PATH will not do, if they will not.
fn node_trouble() -> Option<String> {
    let Some(version) = answer("node", &["--version"]) else {
        return Some("`node` is not on PATH".into());
    };
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        return Some(format!("`node` is {version}, {OLDEST_NODE} or newer is needed"));
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    answer(npm, &["--version"]).is_none().then(|| "`npm` is not on PATH".into())
}

fn rust_components() -> Result<(), Failure> {
    let program = cargo(&[]).get_program().to_string_lossy().into_owned();
    let missing: Vec<&str> = COMPONENTS
        .iter()
        .filter(|(_, subcommand)| answer(&program, &[subcommand, "--version"]).is_none())
        .map(|(component, _)| *component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("rustup") {
        return Err(format!(
            "{} missing, and no rustup here to add them; install them the way Rust was installed.",
            missing.join(" and ")
        ));
    }
    println!(
        "These parts of the Rust toolchain are missing and will be added with rustup: {}",
        missing.join(", ")
    );
    run(Command::new("rustup").args(["component", "add"]).args(missing), INSTALL_BOUND)
}

/// A Linux without apt-get: everything is needed, but this program does not know its names there.
fn other_linux() -> Result<(), Failure> {
    let wanted = [
        "pkg-config",
        "WebKitWebDriver",
        "xvfb-run",
        "xauth",
        "xdotool",
        "gnome-keyring-daemon",
        "dbus-run-session",
        "gdbus",
    ];
    let mut missing: Vec<String> = wanted
        .iter()
        .filter(|program| !on_path(program))
        .map(|program| format!("the program `{program}`"))
        .collect();
    if answer("pkg-config", &["--exists", "webkit2gtk-4.1"]).is_none() {
        missing.push("webkit2gtk-4.1 with its development files".into());
    }
    missing.extend(node_trouble());
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "this system has no apt-get, so please install these the way it installs things:\n    {}\n\
         On Debian and Ubuntu they are the packages {}.",
        missing.join("\n    "),
        PACKAGES.iter().map(|(package, _)| *package).collect::<Vec<_>>().join(", ")
    ))
}

fn elsewhere() -> Result<(), Failure> {
    match node_trouble() {
        None => Ok(()),
        Some(reason) => Err(format!(
            "{reason}. Please install Node.js {OLDEST_NODE} or newer, and Tauri's prerequisites for {} \
             (macOS: `xcode-select --install`; Windows: the C++ build tools and WebView2).",
            std::env::consts::OS
        )),
    }
}
