//! A running device process.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::{Mutex, watch},
    time::timeout,
};

use super::{Desktop, PATIENCE, memory};

/// Dropping it kills it, stopped or not.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: Mutex<ChildStdin>,
    ids: AtomicU64,
    said: watch::Receiver<Vec<Value>>,
    log: PathBuf,
}

impl Process {
    /// Starts one on `desktop`; `setup` is its argument.
    pub(crate) fn start(desktop: &Desktop, setup: &Value) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = desktop.app_directory().join(format!("process-{number}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_otpless-device"));
        desktop.dress(|variable, value| match value {
            Some(value) => drop(command.env(variable, value)),
            None => drop(command.env_remove(variable)),
        });
        let errors = File::create(&log).expect("a log file");
        command.arg(setup.to_string()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().expect("the device process starts");
        let input = Mutex::new(child.stdin.take().expect("a pipe"));
        let output = child.stdout.take().expect("a pipe");
        let (say, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // The last line of a killed process may be cut.
                if let Ok(line) = serde_json::from_str::<Value>(&line) {
                    say.send_modify(|said| said.push(line));
                }
            }
        });
        Self { child, input, ids: AtomicU64::default(), said, log }
    }

    fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Gives a command without waiting for its end; answers its id.
    pub(crate) async fn tell(&self, command: Value) -> u64 {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut command = command;
        command["id"] = id.into();
        self.input.lock().await.write_all(format!("{command}\n").as_bytes()).await.expect("it listens");
        id
    }

    /// Waits until the command `id` has ended; answers how.
    pub(crate) async fn ended(&self, id: u64) -> Value {
        self.heard(&format!("the end of command {id}"), |line| line["done"] == id).await
    }

    /// Gives a command and waits for its end.
    pub(crate) async fn ask(&self, command: Value) -> Value {
        let id = self.tell(command).await;
        self.ended(id).await
    }

    pub(crate) async fn refresh(&self) -> Value {
        self.ask(json!({ "do": "refresh" })).await
    }

    pub(crate) async fn session(&self) -> Value {
        self.ask(json!({ "do": "session" })).await["session"].clone()
    }

    /// Stands still at `point` from now on; `None` lets go.
    pub(crate) async fn park(&self, point: Option<&str>) {
        self.ask(json!({ "do": "park", "at": point })).await;
    }

    /// Waits until it stands at `point`.
    pub(crate) async fn at(&self, point: &str) {
        self.heard(&format!("standing at {point}"), |line| line["at"] == point).await;
    }

    /// Waits until the newest session told of is as `wanted`.
    pub(crate) async fn until_session(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut said = self.said.clone();
        let waited = timeout(PATIENCE, said.wait_for(|said| newest(said).is_some_and(&mut wanted))).await;
        match waited {
            Ok(Ok(said)) => newest(&said).cloned().unwrap_or_default(),
            _ => self.in_vain(what),
        }
    }

    /// Every status it has told of, in order.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let said = self.said.borrow();
        let sessions = said.iter().filter_map(|line| line["session"]["status"].as_str());
        sessions.map(str::to_owned).collect()
    }

    /// From the first time that somebody was signed in, the session was usable all along.
    pub(crate) fn assert_never_signed_out(&self) {
        let statuses = self.statuses();
        let first = statuses.iter().position(|status| status == "active").unwrap_or(0);
        assert!(statuses[first..].iter().all(|status| status == "active"), "{statuses:?}");
    }

    async fn heard(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let mut said = self.said.clone();
        let waited = timeout(PATIENCE * 2, said.wait_for(|said| said.iter().any(&mut wanted))).await;
        match waited {
            Ok(Ok(said)) => said.iter().find(|line| wanted(line)).cloned().unwrap_or_default(),
            _ => self.in_vain(what),
        }
    }

    fn in_vain(&self, what: &str) -> ! {
        let said: Vec<_> = self.said.borrow().iter().rev().take(5).map(Value::to_string).collect();
        panic!("waited in vain for {what}; it last said {said:#?} and logged\n{}", self.logged());
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it is killed");
    }

    /// How often each of `needles` stands in its memory. Whoever asks has stopped it or knows that it is idle.
    pub(crate) fn sightings(&self, needles: &[&str]) -> Vec<usize> {
        memory::sightings(self.child.id().expect("it runs"), needles)
    }

    /// `STOP` or `CONT`.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.child.id().expect("it runs").to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &process]).status().await;
        assert!(sent.expect("a shell").success(), "SIG{name} was not sent");
    }
}

fn newest(said: &[Value]) -> Option<&Value> {
    said.iter().rev().map(|line| &line["session"]).find(|session| session.is_object())
}
