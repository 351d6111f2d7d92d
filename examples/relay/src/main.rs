//! `otpless-relay`: the relay as a program, set by environment variables.

use std::{env, process::ExitCode};

use otpless_relay::{Relay, Settings};

const HELP: &str = "\
A relay between apps in relay mode and OTPless's v1. It is set by environment variables:

  OTPLESS_CLIENT_ID      of the OTPless dashboard; required
  OTPLESS_CLIENT_SECRET  of the OTPless dashboard; required
  RELAY_HOST             where to listen; 127.0.0.1
  RELAY_PORT             8788; 0 takes a free port
  RELAY_UPSTREAM         where v1 is; https://user-auth.otpless.app
  RELAY_BURST            calls that one address may make at once; 30
  RELAY_PER_MINUTE       calls that it may make from then on; 60
  RELAY_BEHIND_PROXY     true if a proxy of yours adds X-Forwarded-For; false
";

fn main() -> ExitCode {
    if let Some(argument) = env::args().nth(1) {
        if matches!(argument.as_str(), "--help" | "-h") {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        eprintln!("otpless-relay: there is no argument {argument:?}\nTry otpless-relay --help.");
        return ExitCode::from(2);
    }
    // A secret on the command line would be in everybody's list of processes.
    match Settings::from_env(|name| env::var(name).ok()).map_err(|error| error.to_string()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("otpless-relay: {message}\nTry otpless-relay --help.");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(settings: Settings) -> Result<(), String> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let relay = Relay::start(settings).await.map_err(|error| error.to_string())?;
    println!("The relay is at {}: set the app's relayUrl to what leads there.", relay.url());
    stopped().await.map_err(|error| format!("cannot listen for signals: {error}"))?;
    relay.shutdown().await;
    Ok(())
}

/// Ctrl-C from a person, SIGTERM from whatever runs services.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
