//! WebKitWebDriver and what it starts: the app and its web processes, all in one process group.

use super::home::Home;
use super::wait::{bounded, eventually};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::json;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

/// What the app's main window is called.
const TITLE: &str = "OTPless session demo";

const APP: &str = env!("CARGO_BIN_EXE_otpless-demo");

/// The first window on a busy machine, with cold caches.
const START_BOUND: Duration = Duration::from_secs(90);

pub(crate) struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    /// Starts a driver whose apps live in `home` and get `variables` as well.
    pub(crate) async fn start(home: &Home, variables: &[(&str, String)]) -> Self {
        let port = free_port();
        let mut command = Command::new("WebKitWebDriver");
        command.args([format!("--port={port}"), "--host=127.0.0.1".to_owned()]);
        // Without it the app opens, but no driver ever reaches its page.
        command.env("TAURI_WEBVIEW_AUTOMATION", "true");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        home.house(&mut command);
        let process = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("WebKitWebDriver, which `cargo xtask setup` installs");
        let driver = Self { process, port };
        eventually("WebKitWebDriver listens", START_BOUND, async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map(drop)
        })
        .await;
        driver
    }

    /// Starts the app and returns the connection to its page.
    pub(crate) async fn open_app(&self) -> Client {
        let capabilities = json!({ "webkitgtk:browserOptions": { "binary": APP, "args": [] } });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().cloned().unwrap_or_default());
        let address = format!("http://127.0.0.1:{}", self.port);
        bounded("the app opens its window", START_BOUND, builder.connect(&address))
            .await
            .unwrap_or_else(|error| panic!("the app could not be started: {error}"))
    }

    /// Gives the app's window the focus, which on a display without a window manager nobody
    /// else does.
    pub(crate) async fn focus(&self) {
        let app = self.app().expect("the app is running").as_raw_nonzero().to_string();
        let mut xdotool = Command::new("xdotool");
        xdotool.args(["search", "--sync", "--onlyvisible", "--all", "--pid", &app, "--name", TITLE]);
        xdotool.args(["windowfocus", "--sync"]);
        let focused = tokio::task::spawn_blocking(move || xdotool.status());
        let focused = bounded("the window gets the focus", START_BOUND, focused).await.expect("no panic");
        assert!(focused.expect("xdotool runs").success(), "the window gets the focus");
    }

    /// `kill -9` for the app, then waits until its web processes are gone too and have let go of their files.
    pub(crate) async fn kill_app(&self) {
        let app = self.app().expect("the app is running");
        kill_process(app, Signal::KILL).expect("the app can be killed");
        self.app_is_gone().await;
    }

    /// Waits until nothing of the app runs any more.
    pub(crate) async fn app_is_gone(&self) {
        eventually("the app and its web processes end", Duration::from_secs(20), async || {
            let left: Vec<_> = self.group().into_iter().filter(|&process| process != self.pid()).collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }

    pub(crate) fn app(&self) -> Option<Pid> {
        let app = Path::new(APP).canonicalize().expect("the app's file");
        self.group().into_iter().find(|process| {
            fs::read_link(format!("/proc/{}/exe", process.as_raw_nonzero())).is_ok_and(|file| file == app)
        })
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// The processes of the driver's group that still run.
    fn group(&self) -> Vec<Pid> {
        let group = self.pid().as_raw_nonzero().to_string();
        fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Pid::from_raw)
            .filter(|process| {
                let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
                let stat = stat.unwrap_or_default();
                // After the name, which may contain anything: state, parent, group.
                let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
                let state = fields.next().unwrap_or("X");
                fields.nth(1) == Some(&group) && !["Z", "X"].contains(&state)
            })
            .collect()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of the free port").port()
}
