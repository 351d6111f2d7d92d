//! Running other programs: what is run is shown, how long it may take is bounded, how it failed is said.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What went wrong, in words for the person at the terminal.
pub type Failure = String;

/// Shows the command line as one could type it, then runs it with this terminal's output and no input.
pub fn run(command: &mut Command, bound: Duration) -> Result<(), Failure> {
    println!("$ {}", line(command));
    let mut child = command.stdin(Stdio::null()).spawn().map_err(|error| not_started(command, &error))?;
    match wait(&mut child, bound) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("`{}` failed ({status}).", line(command))),
        Ok(None) => {
            Err(format!("`{}` was still running after {} s and was stopped.", line(command), bound.as_secs()))
        }
        Err(error) => Err(format!("cannot wait for `{}`: {error}", line(command))),
    }
}

/// The exit status, or `None` when `bound` passed first; the child has then been killed.
pub fn wait(child: &mut Child, bound: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + bound;
    let mut status = None;
    // The standard library cannot wait for a process with a limit, so it is asked again and again.
    let ended = until(deadline, || match child.try_wait() {
        Ok(None) => None,
        other => Some(other),
    });
    match ended {
        Some(answer) => status = answer?,
        None => {
            child.kill()?;
            child.wait()?;
        }
    }
    Ok(status)
}

/// Asks until there is an answer or the deadline has passed; asks at least once.
pub fn until<T>(deadline: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a short question to another program answered, or `None` if it is missing, fails or does not answer in time.
pub fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let (send, receive) = mpsc::channel();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    thread::spawn(move || send.send(command.output()));
    let output = receive.recv_timeout(Duration::from_secs(30)).ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program of this name can be found on PATH.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        folder.join(program).is_file() || (cfg!(windows) && folder.join(format!("{program}.exe")).is_file())
    })
}

/// The cargo that started this program, so that a pinned toolchain stays the one in use.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(crate::root());
    forget_xtask(&mut command);
    command
}

/// Takes away what `cargo run` told this program about its own package. Build scripts look at some of it (ring's
/// does), so the same command typed by hand and run from here would each undo the other's build.
pub fn forget_xtask(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
}

/// A command line for reading, with its folder when that is not the project's.
pub fn line(command: &Command) -> String {
    let mut text = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        if argument.is_empty() || argument.contains([' ', '"', '\'', '$', '(']) {
            let _ = write!(text, " '{argument}'");
        } else {
            let _ = write!(text, " {argument}");
        }
    }
    if let Some(folder) = command.get_current_dir().and_then(|folder| folder.strip_prefix(crate::root()).ok())
        && !folder.as_os_str().is_empty()
    {
        let _ = write!(text, "    (in {})", folder.display());
    }
    text
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    format!("cannot start `{}`: {error}. `cargo xtask setup` installs what is missing.", line(command))
}
