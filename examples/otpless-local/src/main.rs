//! `otpless-local`: the local OTPless as a program, for the demo.

use std::{env, io, process::ExitCode};

use otpless_local::{OtplessLocal, Settings};
use serde_json::{Map, Value};

const HELP: &str = "\
A local OTPless for development: v4, v1, JWKS, the sign-in script and a console page.

Usage: otpless-local [--port PORT] [--settings NAME=VALUE …]

  --port PORT            listen on 127.0.0.1:PORT (default 8787; 0 takes a free port)
  --settings NAME=VALUE  set something; repeat it or list several, for instance
                         --settings sessionTokenSeconds=60 rotation=grace maxLifetimeSeconds=null
  --help                 say this

Settings and their defaults:
";

const DEFAULT_PORT: u16 = 8787;

fn main() -> ExitCode {
    let settings = match arguments(env::args().skip(1)) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            print!("{HELP}{}", defaults());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("otpless-local: {message}\nTry otpless-local --help.");
            return ExitCode::from(2);
        }
    };
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("otpless-local: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The settings the arguments ask for; `None` if they ask for help.
fn arguments(arguments: impl Iterator<Item = String>) -> Result<Option<Settings>, String> {
    let mut changes = Map::new();
    changes.insert("port".to_owned(), DEFAULT_PORT.into());
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--port" => {
                let port = arguments.next().ok_or("--port needs a number")?;
                let port: u16 = port
                    .parse()
                    .map_err(|_| format!("--port needs a number from 0 to 65535, not {port:?}"))?;
                changes.insert("port".to_owned(), port.into());
            }
            "--settings" => {
                let mut given = false;
                while let Some(pair) = arguments.next_if(|next| !next.starts_with("--")) {
                    let (name, value) = setting(&pair)?;
                    changes.insert(name, value);
                    given = true;
                }
                if !given {
                    return Err("--settings needs NAME=VALUE".to_owned());
                }
            }
            other => return Err(format!("there is no argument {other:?}")),
        }
    }
    Settings::default().with(&Value::Object(changes)).map(Some).map_err(|error| error.to_string())
}

fn setting(pair: &str) -> Result<(String, Value), String> {
    let (name, value) =
        pair.split_once('=').ok_or_else(|| format!("a setting is NAME=VALUE; {pair:?} is none"))?;
    // `60`, `true` and `null` are JSON; `grace` is not, and a text that needs no quotes.
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

fn defaults() -> String {
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let settings = defaults.as_object().into_iter().flatten().filter(|(name, _)| *name != "port");
    settings.map(|(name, value)| format!("  {name}={value}\n")).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn run(settings: Settings) -> Result<(), String> {
    // Before the address is told: whoever reads it may ask for the end at once.
    let mut end = End::new().map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
    let port = settings.port;
    let otpless = OtplessLocal::start(settings).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is taken; choose another one, or a free one with --port 0")
        }
        _ => format!("cannot listen on 127.0.0.1:{port}: {error}"),
    })?;
    let url = otpless.url();
    println!("The local OTPless is at {url} (app id {}).", otpless.settings().app_id);
    println!("One-time codes appear on its console page, {url}/ — open it in a browser.");
    println!("Ctrl-C ends it.");
    end.asked_for().await;
    otpless.shutdown().await;
    println!("The local OTPless has ended.");
    Ok(())
}

/// Listens for Ctrl-C and a request to end.
#[cfg(unix)]
struct End {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl End {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked_for(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listens for Ctrl-C.
#[cfg(windows)]
struct End(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl End {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn asked_for(&mut self) {
        self.0.recv().await;
    }
}
