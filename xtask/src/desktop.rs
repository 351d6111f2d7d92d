//! Inside the throw-away desktop: a session bus and an unlocked keychain first, then the command.

use crate::process::{Failure, answer, until};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The hidden command by which this program runs itself inside the desktop.
pub const INSIDE: &str = "inside";

const BOUND: Duration = Duration::from_secs(20);

/// `inside COMMAND…`: ends with the command's exit code.
pub fn inside(command: &[&str]) -> ExitCode {
    let [program, arguments @ ..] = command else {
        eprintln!("`{INSIDE}` is for this program's own use.");
        return ExitCode::FAILURE;
    };
    match with_services(program, arguments) {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn with_services(program: &str, arguments: &[&str]) -> Result<ExitStatus, Failure> {
    let (bus, address) = session_bus()?;
    let keyring = unlocked_keyring(&address)?;
    let status = Command::new(program)
        .args(arguments)
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot start `{program}`: {error}"));
    drop(keyring);
    drop(bus);
    status
}

/// A daemon, ended when this value goes; what it says is kept for the case that it fails.
struct Service {
    process: Child,
    log: PathBuf,
}

impl Service {
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let folder = std::env::var_os(crate::env::MARKER).map(PathBuf::from).unwrap_or_default();
        let log = folder.join(format!("{name}.log"));
        let process = File::create(&log).and_then(|file| command.stderr(file).spawn()).map_err(|error| {
            format!("cannot start `{name}`: {error}. `cargo xtask setup` installs what is missing.")
        })?;
        Ok(Self { process, log })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The bus and its address. Not `dbus-run-session`: it mixes the daemon's complaints into the command's output.
fn session_bus() -> Result<(Service, String), Failure> {
    // The usual place of its socket is /tmp, where it would be left behind.
    let socket = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default().join("bus");
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
    command.arg(format!("--address=unix:path={}", socket.display()));
    let mut bus = Service::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut address = String::new();
    let output = bus.process.stdout.take().ok_or("dbus-daemon has no output")?;
    match BufReader::new(output).read_line(&mut address) {
        Ok(length) if length > 0 => Ok((bus, address.trim().to_owned())),
        _ => Err(format!("the session bus did not start. dbus-daemon said:\n{}", bus.said())),
    }
}

fn unlocked_keyring(bus: &str) -> Result<Service, Failure> {
    let mut command = Command::new("gnome-keyring-daemon");
    command.args(["--foreground", "--unlock", "--components=secrets"]).env("DBUS_SESSION_BUS_ADDRESS", bus);
    let mut daemon = Service::start(command.stdin(Stdio::piped()).stdout(Stdio::null()))?;
    if let Some(mut input) = daemon.process.stdin.take() {
        input
            .write_all(b"throw-away")
            .map_err(|error| format!("cannot hand over the keychain's password: {error}"))?;
    }
    // `--unlock` succeeds with a wrong password too, and with an empty one makes no keyring: only the collection's own
    // word counts, and only once the daemon itself has the name (asking earlier would start a second one, locked).
    let address = format!("--address={bus}");
    let seconds = BOUND.as_secs().to_string();
    let named =
        answer("gdbus", &["wait", &address, "--timeout", &seconds, "org.freedesktop.secrets"]).is_some();
    let unlocked = || {
        let arguments = [
            "call",
            &address,
            "--dest=org.freedesktop.secrets",
            "--object-path=/org/freedesktop/secrets/collection/login",
            "--method=org.freedesktop.DBus.Properties.Get",
            "org.freedesktop.Secret.Collection",
            "Locked",
        ];
        answer("gdbus", &arguments).filter(|locked| locked.contains("false"))
    };
    if named && until(Instant::now() + BOUND, unlocked).is_some() {
        return Ok(daemon);
    }
    let what = if named { "has no unlocked login collection" } else { "did not appear on the session bus" };
    let said = daemon.said();
    Err(format!("the keychain {what} within {seconds} s. gnome-keyring-daemon said:\n{said}"))
}
