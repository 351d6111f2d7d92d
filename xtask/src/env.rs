//! A desktop to throw away: a home, a display, a session bus and a keychain that exist only while one command runs.
//!
//! From the outside in:
//!
//! 1. [`run`] makes the folders and starts the *keeper*, this same program in a session (`setsid`) of its own.
//! 2. The keeper runs `xvfb-run` and, inside, this program again as [`crate::desktop::inside`],
//!    which starts a session bus, a keychain and then the command.
//! 3. When the command has ended, its time is up, or whoever asked for it is gone, the keeper ends everything that
//!    was started and removes the folders.
//!
//! The keeper holds the reading end of a pipe whose other end only the asker has. However the asker ends, by Ctrl-C,
//! by a closed terminal or by `kill -9`, that pipe closes, so nothing has to be caught and nothing stays behind.

use crate::process::{Failure, answer, forget_xtask, line, until};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The hidden command by which this program runs itself as the keeper.
pub const KEEP: &str = "keep";

/// Names the throw-away folder. Tests that write into a keychain require it, so that none of them can touch the
/// keychain of the person who runs them.
pub const MARKER: &str = "OTPLESS_THROWAWAY_HOME";

/// Programs that are asked to end get this long before they are killed.
const GRACE: Duration = Duration::from_secs(3);

/// Variables of the surrounding desktop that would lead out of the throw-away one.
const FOREIGN: &[&str] = &[
    "WAYLAND_DISPLAY",
    "DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_STARTER_ADDRESS",
    "GNOME_KEYRING_CONTROL",
    "GTK_THEME",
    "GTK_MODULES",
    "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_TYPE",
    "XDG_DATA_DIRS",
    "XDG_STATE_HOME",
];

/// Runs `command` on a desktop of its own and ends it, with everything it started, when `bound` has passed.
pub fn run(command: &Command, bound: Duration) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err("a throw-away display and keychain can be made on Linux only; the other steps of \
                    `cargo xtask test` run everywhere (`--only`)."
            .into());
    }
    let name = line(command);
    println!("$ {name}    (on a display and with a keychain of its own)");
    let folders = Folders::create().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let myself =
        std::env::current_exe().map_err(|error| format!("cannot find this program's own file: {error}"))?;
    let mut keeper = Command::new("setsid");
    keeper.arg(myself).arg(KEEP).arg(bound.as_secs().to_string()).arg(&folders.0);
    keeper.arg(command.get_program()).args(command.get_args());
    keeper.current_dir(crate::root()).stdin(Stdio::piped());
    folders.set_variables(&mut keeper);
    forget_xtask(&mut keeper);
    keeper.envs(command.get_envs().filter_map(|(variable, value)| Some((variable, value?))));
    let mut keeper = keeper.spawn().map_err(|error| format!("cannot start `setsid`: {error}"))?;
    // `wait` would close this end first, and the keeper would take that for the end of this program.
    let lifeline = keeper.stdin.take();
    let status = keeper.wait().map_err(|error| format!("cannot wait for `{name}`: {error}"))?;
    drop(lifeline);
    match status.code() {
        Some(0) => Ok(()),
        Some(TIME_IS_UP) => {
            Err(format!("`{name}` was still running after {} s and was stopped.", bound.as_secs()))
        }
        _ => Err(format!("`{name}` failed ({status}).")),
    }
}

/// The keeper's exit code for a command that did not end in time; the one `timeout` uses.
const TIME_IS_UP: i32 = 124;

struct Folders(PathBuf);

impl Folders {
    fn create() -> std::io::Result<Self> {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("otpless-{}-{}", std::process::id(), since_epoch.subsec_nanos());
        let folder = std::env::temp_dir().join(name);
        // Others may list the parent: the folder must be private from its first moment, and must not have been there.
        private_folder(&folder)?;
        for name in ["home", "run", "data", "config", "cache", "tmp"] {
            private_folder(&folder.join(name))?;
        }
        Ok(Self(folder))
    }

    fn set_variables(&self, command: &mut Command) {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        for (variable, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(variable, std::env::var_os(variable).unwrap_or_else(|| home.join(usual).into()));
        }
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command
            .env(MARKER, &self.0)
            .env("HOME", self.0.join("home"))
            .env("XDG_RUNTIME_DIR", self.0.join("run"))
            .env("XDG_DATA_HOME", self.0.join("data"))
            .env("XDG_CONFIG_HOME", self.0.join("config"))
            .env("XDG_CACHE_HOME", self.0.join("cache"))
            .env("TMPDIR", self.0.join("tmp"))
            .env("GDK_BACKEND", "x11")
            .env("LC_ALL", "C.UTF-8");
        for variable in ["no_proxy", "NO_PROXY"] {
            command.env(variable, "127.0.0.1,localhost");
        }
    }
}

#[cfg(unix)]
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)
}

enum Event {
    Ended(Option<i32>),
    AskerGone,
}

/// The keeper: `keep SECONDS FOLDER COMMAND…`.
pub fn keep(arguments: &[&str]) -> ExitCode {
    let [seconds, folder, command @ ..] = arguments else {
        eprintln!("`{KEEP}` is for this program's own use.");
        return ExitCode::FAILURE;
    };
    let (send, events) = mpsc::channel();
    let asker = send.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        asker.send(Event::AskerGone)
    });
    let code = match desktop(command) {
        Ok(mut child) => {
            thread::spawn(move || {
                send.send(Event::Ended(child.wait().ok().and_then(|status| status.code())))
            });
            match events.recv_timeout(Duration::from_secs(seconds.parse().unwrap_or(0))) {
                Ok(Event::Ended(code)) => code.unwrap_or(1),
                Ok(Event::AskerGone) => 1,
                Err(_) => TIME_IS_UP,
            }
        }
        Err(error) => {
            eprintln!("cannot start `xvfb-run`: {error}. `cargo xtask setup` installs what is missing.");
            1
        }
    };
    let swept = sweep(Path::new(folder));
    if let Err(failure) = &swept {
        eprintln!("error: {failure}");
    }
    if swept.is_err() && code == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::from(u8::try_from(code).unwrap_or(1))
    }
}

fn desktop(command: &[&str]) -> std::io::Result<std::process::Child> {
    Command::new("xvfb-run")
        .args(["-a", "-s", "-screen 0 1280x800x24 -nolisten tcp"])
        .arg(std::env::current_exe()?)
        .arg(crate::desktop::INSIDE)
        .args(command)
        .stdin(Stdio::null())
        .spawn()
}

/// Ends whatever still runs of the desktop and removes its folder.
fn sweep(folder: &Path) -> Result<(), Failure> {
    let survivors = || Some(started_here(folder)).filter(|processes| !processes.is_empty());
    for signal in ["TERM", "KILL"] {
        let Some(processes) = survivors() else { break };
        let numbers: Vec<String> = processes.iter().map(u32::to_string).collect();
        let kill = format!("kill -s {signal} {}", numbers.join(" "));
        // The shell's own `kill` is there even where the package with the program is not. It fails when one of the
        // processes has ended meanwhile, which is what is wanted.
        answer("sh", &["-c", &kill]);
        until(Instant::now() + GRACE, || survivors().is_none().then_some(()));
    }
    if let Some(processes) = survivors() {
        return Err(format!("these processes could not be ended: {processes:?}"));
    }
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(format!("cannot remove {}: {error}", folder.display())),
        _ => Ok(()),
    }
}

/// The processes of the keeper's session, and those that left it but still carry the folder in their environment.
/// Neither alone finds all: a daemon may start a session of its own, and a program with file capabilities (the
/// keychain's) lets only root read its environment.
fn started_here(folder: &Path) -> Vec<u32> {
    let myself = std::process::id();
    let marker = format!("{MARKER}={}\0", folder.display()).into_bytes();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&process| process != myself)
        .filter(|process| {
            // Fields after the name, which is in parentheses and may itself contain some: state, parent, group, session.
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let fields: Vec<&str> =
                stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
            let ended = fields.first().is_none_or(|&state| state == "Z" || state == "X");
            let of_session = fields.get(3).is_some_and(|session| *session == myself.to_string());
            let carries_folder = || {
                fs::read(format!("/proc/{process}/environ"))
                    .is_ok_and(|environment| environment.windows(marker.len()).any(|part| part == marker))
            };
            !ended && (of_session || carries_folder())
        })
        .collect()
}
