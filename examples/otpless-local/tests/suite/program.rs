//! The binary: what it says, and that it ends when it is asked to.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::within;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otpless-local"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn started(arguments: &[&str]) -> (Child, String) {
    let mut child = program(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let line = within(lines.next_line()).await.expect("it can be read").expect("it says where it is");
    // The rest must go somewhere, or a full pipe stops it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, line)
}

#[tokio::test]
async fn it_says_where_it_is_and_serves_there_with_the_settings_given() {
    let settings = ["--port", "0", "--settings", "appId=MYAPP", "sessionTokenSeconds=60", "rotation=none"];
    let (_child, line) = started(&settings).await;
    assert!(line.contains("MYAPP"), "{line}");
    let (_, rest) = line.split_once("http://127.0.0.1:").expect("its address");
    let port = rest.split(' ').next().expect("the port").parse().expect("a number");
    let response =
        within(crate::support::open(port, hyper::Method::GET, "/control/state", &[], Vec::new())).await;
    let body = http_body_util::BodyExt::collect(response.expect("it answers").into_body()).await;
    let state: serde_json::Value =
        serde_json::from_slice(&body.expect("a whole answer").to_bytes()).expect("JSON");
    let settings = &state["settings"];
    assert_eq!(
        [&settings["appId"], &settings["rotation"], &settings["sessionTokenSeconds"]],
        [&serde_json::json!("MYAPP"), &serde_json::json!("none"), &serde_json::json!(60)]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_cleanly_on_sigterm_and_ctrl_c() {
    for signal in ["TERM", "INT"] {
        let (mut child, _) = started(&["--port", "0"]).await;
        let pid = child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().await.expect("there is a kill");
        assert!(sent.success());
        let status = within(child.wait()).await.expect("it ends");
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn help_lists_every_setting() {
    let output = within(program(&["--help"]).output()).await.expect("it runs");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success());
    for word in
        ["--port", "--settings", "sessionTokenSeconds=86400", "rotation=\"strict\"", "inactivitySeconds=null"]
    {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_named_and_end_with_2() {
    for (arguments, named) in [
        (&["--prot", "1"][..], "--prot"),
        (&["--port"], "--port"),
        (&["--port", "99999"], "99999"),
        (&["--settings"], "NAME=VALUE"),
        (&["--settings", "rotation"], "rotation"),
        (&["--settings", "rotation=often"], "rotation"),
        (&["--settings", "sessionTokens=5"], "sessionTokens"),
    ] {
        let output = within(program(arguments).output()).await.expect("it runs");
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test]
async fn a_taken_port_is_said_to_be_taken() {
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let output = within(program(&["--port", &port]).output()).await.expect("it runs");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains(&format!("port {port} is taken")), "{message}");
}
