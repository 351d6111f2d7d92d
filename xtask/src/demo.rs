//! `cargo xtask demo`: the demo app beside a local OTPless, in a window or, where there is none, played by itself.

use crate::process::{Failure, cargo, line, run, until};
use crate::test::{BUILD_BOUND, END_TO_END};
use crate::{env, frontend, setup};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whether the demo may use a display that is there.
pub enum Display {
    IfThereIsOne,
    Never,
}

/// The port the demo's page expects when nothing else is said.
const USUAL_PORT: u16 = 8787;
const PLAY_BOUND: Duration = Duration::from_secs(10 * 60);

/// `demo` and `demo --headless`.
pub fn demo(display: Display) -> Result<(), Failure> {
    setup::setup()?;
    frontend::page()?;
    let there_is_one = !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|at| !at.is_empty()));
    match display {
        Display::IfThereIsOne if there_is_one => in_a_window(),
        Display::IfThereIsOne => {
            println!(
                "\nThere is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set), so the demo plays itself."
            );
            by_itself()
        }
        Display::Never => by_itself(),
    }
}

/// Where OTPless is, for the demo app.
const SERVICE_VARIABLE: &str = "OTPLESS_DEMO_SERVICE";

fn in_a_window() -> Result<(), Failure> {
    // The end-to-end test is named so that this build has the features, and with them the artefacts, of the tests.
    run(cargo(&["build", "--workspace", "--bins"]).args(END_TO_END), BUILD_BOUND)?;
    let programs = programs()?;
    let mut app = Command::new(programs.join(format!("otpless-demo{}", std::env::consts::EXE_SUFFIX)));
    // Whoever names a service means that one.
    if let Some(service) = std::env::var_os(SERVICE_VARIABLE) {
        println!("\nThe demo talks to {} and ends when its window is closed.\n", service.display());
        return open(&mut app);
    }
    let service = Service::start(&programs)?;
    println!(
        "\nThe local OTPless runs at {0}.\n\
         Open {0} in a browser: when the demo asks for a one-time code, it appears there, and there sessions can be\n\
         revoked as from OTPless's dashboard. No message is sent to anyone; any phone number will do.\n\
         The demo ends when its window is closed, or with Ctrl-C here.\n",
        service.url
    );
    open(app.env(SERVICE_VARIABLE, &service.url))
}

/// Returns when the window is closed.
fn open(app: &mut Command) -> Result<(), Failure> {
    let status = app.status().map_err(|error| format!("cannot start `{}`: {error}", line(app)))?;
    if status.success() { Ok(()) } else { Err(format!("the demo app ended with {status}.")) }
}

fn by_itself() -> Result<(), Failure> {
    let test = [&["test", "--workspace"], END_TO_END].concat();
    run(cargo(&test).arg("--no-run"), BUILD_BOUND)?;
    let pictures = programs()?
        .parent()
        .map(|target| target.join("demo"))
        .ok_or("this program's folder has no parent")?;
    let mut play = cargo(&test);
    play.args(["showcase", "--", "--nocapture"]).env("OTPLESS_SHOWCASE_FOLDER", &pictures);
    env::run(&play, PLAY_BOUND)?;
    println!("\nThe screenshots and transcript.md are in {}.", shown(&pictures));
    Ok(())
}

/// Cargo puts all programs of one build into one folder, this one among them.
pub fn programs() -> Result<PathBuf, Failure> {
    let myself =
        std::env::current_exe().map_err(|error| format!("cannot find this program's own file: {error}"))?;
    myself.parent().map(Path::to_path_buf).ok_or_else(|| "this program's file is in no folder".into())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(crate::root()).unwrap_or(path).display().to_string()
}

/// The local OTPless, ended when this value goes.
struct Service {
    process: Child,
    url: String,
}

impl Service {
    fn start(programs: &Path) -> Result<Self, Failure> {
        let port = free_port().map_err(|error| format!("no port can be opened on 127.0.0.1: {error}"))?;
        let mut command =
            Command::new(programs.join(format!("otpless-local{}", std::env::consts::EXE_SUFFIX)));
        command.args(["--port", &port.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let process =
            command.spawn().map_err(|error| format!("cannot start `{}`: {error}", line(&command)))?;
        let mut service = Self { process, url: format!("http://127.0.0.1:{port}") };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let state = until(Instant::now() + Duration::from_secs(20), || {
            let ended = service.process.try_wait().ok().flatten();
            let answers = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            ended.map(|status| Err(format!("ended with {status}"))).or(answers.then_some(Ok(())))
        });
        match state.unwrap_or_else(|| Err("did not answer within 20 s".into())) {
            Ok(()) => Ok(service),
            Err(what) => Err(format!("the local OTPless {what} (`{}`).", line(&command))),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails only if it has ended already, by the same Ctrl-C for instance.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}
