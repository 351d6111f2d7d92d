//! A home of the app's own inside the throw-away one, so that every file in it was written by the app.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by `cargo xtask` to the folder of the throw-away desktop.
const MARKER: &str = "OTPLESS_THROWAWAY_HOME";

const FOLDERS: &[(&str, &str)] = &[
    ("HOME", "home"),
    ("XDG_RUNTIME_DIR", "run"),
    ("XDG_DATA_HOME", "data"),
    ("XDG_CONFIG_HOME", "config"),
    ("XDG_CACHE_HOME", "cache"),
    ("XDG_STATE_HOME", "state"),
    ("TMPDIR", "tmp"),
];

pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        require_desktop();
        let folder = tempfile::Builder::new().prefix("app-").tempdir().expect("a temporary folder");
        for (_, name) in FOLDERS {
            let path = folder.path().join(name);
            fs::create_dir(&path).expect("a folder in the temporary one");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("a private folder");
        }
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the app prints, over all its starts. It lies in the home, so the scan for tokens reads it too.
    pub(crate) fn output(&self) -> PathBuf {
        self.path().join("output.log")
    }

    /// Lets `command` live in this home.
    pub(crate) fn house(&self, command: &mut Command) {
        for (variable, name) in FOLDERS {
            command.env(variable, self.path().join(name));
        }
        let output =
            File::options().create(true).append(true).open(self.output()).expect("the app's output file");
        command.stdout(output.try_clone().expect("a second handle of the output file")).stderr(output);
    }
}

/// The folder of the throw-away desktop.
pub(crate) fn desktop() -> PathBuf {
    require_desktop();
    std::env::var_os(MARKER).map(PathBuf::from).expect("required above")
}

fn require_desktop() {
    for variable in [MARKER, "DISPLAY", "DBUS_SESSION_BUS_ADDRESS"] {
        assert!(
            std::env::var_os(variable).is_some_and(|value| !value.is_empty()),
            "This test needs a display and a keychain to throw away ({variable} is not set). Run it with\n    \
             cargo xtask test --only end-to-end"
        );
    }
}
