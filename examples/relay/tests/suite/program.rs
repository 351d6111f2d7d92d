//! The settings of the environment, and the program that reads them.

use std::{net::SocketAddr, process::Stdio};

use otpless_local::{Operation, OtplessLocal, SignIn};
use otpless_relay::{Relay, Settings};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::support::{PATIENCE, VALIDATE, send};

fn from(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Settings::from_env(find).map_err(|error| error.to_string())
}

const CLIENT: [(&str, &str); 2] = [("OTPLESS_CLIENT_ID", "ID"), ("OTPLESS_CLIENT_SECRET", "canary")];

#[test]
fn the_documented_defaults_are_the_defaults() {
    let printed = format!("{:?}", from(&CLIENT).unwrap());
    for default in [
        "https://user-auth.otpless.app",
        "127.0.0.1:8788",
        "burst: 30",
        "per_minute: 60",
        "behind_proxy: false",
    ] {
        assert!(printed.contains(default), "{default} in {printed}");
    }
}

#[test]
fn e1_settings_that_make_no_sense_are_refused_by_name_and_the_secret_is_not_quoted() {
    for (variable, value, named) in [
        ("OTPLESS_CLIENT_ID", "", "OTPLESS_CLIENT_ID"),
        ("OTPLESS_CLIENT_SECRET", "", "OTPLESS_CLIENT_SECRET"),
        ("OTPLESS_CLIENT_SECRET", "canary\n", "client secret"),
        ("RELAY_HOST", "everywhere", "RELAY_HOST"),
        ("RELAY_PORT", "99999", "RELAY_PORT"),
        ("RELAY_BURST", "-1", "RELAY_BURST"),
        ("RELAY_PER_MINUTE", "0", "rate"),
        ("RELAY_BEHIND_PROXY", "perhaps", "RELAY_BEHIND_PROXY"),
        ("RELAY_UPSTREAM", "nonsense", "upstream"),
        ("RELAY_UPSTREAM", "http://user-auth.otpless.app", "upstream"),
        ("RELAY_UPSTREAM", "http://127.0.0.1.example.com", "upstream"),
        ("RELAY_UPSTREAM", "https://a:b@user-auth.otpless.app", "upstream"),
    ] {
        let mut variables = vec![(variable, value)];
        variables.extend(CLIENT);
        let error = from(&variables).expect_err(variable);
        assert!(error.contains(named) && !error.contains("canary"), "{variable} = {value:?}: {error}");
    }
}

#[tokio::test]
async fn a_relay_that_is_shut_down_leaves_its_port_to_the_next() {
    let settings = Settings::new("ID", "SECRET");
    let relay = Relay::start(settings.clone()).await.unwrap();
    let address = relay.address();
    assert!(address.ip().is_loopback());
    assert!(Relay::start(settings.clone().bind(address)).await.is_err(), "one at a time");
    relay.shutdown().await;
    assert_eq!(Relay::start(settings.bind(address)).await.unwrap().address(), address);
}

/// The program, and where it says that it is.
async fn program(local: &OtplessLocal) -> (Child, SocketAddr) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_otpless-relay"))
        .envs([
            ("OTPLESS_CLIENT_ID", "LOCALCLIENTID"),
            ("OTPLESS_CLIENT_SECRET", "local-client-secret"),
            ("RELAY_PORT", "0"),
            ("RELAY_UPSTREAM", &local.url()),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let said = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = said.split("http://").nth(1).and_then(|rest| rest.split(": ").next()).unwrap();
    (program, address.parse().unwrap())
}

/// C1: whoever stops services, at each deployment, does it with SIGTERM. The answer to a refresh that is under way has the only
/// token that is good.
#[cfg(unix)]
#[tokio::test]
async fn c1_a_refresh_under_way_comes_to_its_end_when_the_program_is_told_to_stop() {
    let local = OtplessLocal::start(otpless_local::Settings::default()).await.unwrap();
    let issued = local.state().sign_in(SignIn::default());
    let (mut program, address) = program(&local).await;
    let gate = local.state().pause(Operation::GetNewSessionToken);
    let refresh = tokio::spawn(async move {
        let body = json!({ "refreshToken": issued.refresh_token }).to_string();
        let headers = [("content-type", "application/json")];
        send(address, "POST", "/v1/sessions/get-new-session-token", &headers, body.as_bytes()).await
    });
    gate.held(1).await;
    let id = program.id().unwrap().to_string();
    assert!(Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &id]).status().await.unwrap().success());
    // It has heard: nobody new is let in.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("it takes no more calls");
    gate.release();
    let reply = refresh.await.unwrap();
    assert_eq!((reply.status, &reply.json()["success"]), (200, &json!(true)));
    assert!(tokio::time::timeout(PATIENCE, program.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn the_program_says_where_it_is_and_relays() {
    let local = OtplessLocal::start(otpless_local::Settings::default()).await.unwrap();
    let issued = local.state().sign_in(SignIn::default());
    let (_program, address) = program(&local).await;
    let body = json!({ "sessionToken": issued.session_id }).to_string();
    let headers = [("content-type", "application/json")];
    let reply = send(address, "POST", VALIDATE, &headers, body.as_bytes()).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "success": true })));
}

#[tokio::test]
async fn without_a_secret_the_program_does_not_start_and_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_otpless-relay"))
        .env_remove("OTPLESS_CLIENT_SECRET")
        .env("OTPLESS_CLIENT_ID", "ID")
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("OTPLESS_CLIENT_SECRET"));
}
