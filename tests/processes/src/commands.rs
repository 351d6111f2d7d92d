//! What a device process can be told to do.

use std::{io::BufRead, path::PathBuf, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    Error,
    engine::{KeychainStore, SessionManager, SessionRecord, SessionStore, Slot},
};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::{Device, described, say};

#[derive(Debug, Deserialize)]
struct Command {
    id: u64,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum What {
    /// What the SDK gave the page.
    StartSession { with: Value },
    /// The same from a file, so that it never stands in a buffer of standard input.
    StartSessionFrom { file: PathBuf },
    /// Buys a new session token now.
    Refresh,
    /// The user signs out.
    Logout,
    /// The app comes to the front.
    Look,
    /// Where the session stands, after the restore.
    Session,
    /// The engine's own account of itself.
    Diagnostics,
    /// The point to stand still at from now on; none lets go.
    Park { at: Option<String> },
    /// What stands in the keychain, by a connection of its own.
    Peek,
    /// Something that is no session stands there.
    Spoil,
}

/// Obeys until there are no more commands. Several may be under way at once.
pub(crate) async fn obey(device: Arc<Device>) {
    let (send, mut commands) = mpsc::unbounded_channel();
    // Not tokio's standard input: reading it would keep the runtime from ending.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let command: Command = serde_json::from_str(&line).expect("a command");
            if send.send(command).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    while let Some(Command { id, what }) = commands.recv().await {
        let device = device.clone();
        // In this order and at once, so that what follows finds it done.
        match what {
            What::Park { at } => {
                device.points.choose(at);
                say(&json!({ "done": id }));
            }
            What::Look => {
                device.manager().look();
                say(&json!({ "done": id }));
            }
            what => {
                tokio::spawn(async move {
                    let mut line = done(&device, what).await;
                    line["done"] = id.into();
                    say(&line);
                });
            }
        }
    }
}

impl Device {
    fn manager(&self) -> &SessionManager {
        self.manager.as_ref().expect("a witness has no engine")
    }
}

async fn done(device: &Arc<Device>, what: What) -> Value {
    let answered = |outcome: Result<_, Error>| match outcome {
        Ok(session) => json!({ "ok": true, "session": described(&session) }),
        Err(error) => {
            json!({ "ok": false, "error": error, "session": described(&device.manager().current()) })
        }
    };
    match what {
        What::StartSession { with } => answered(device.manager().start_session(with).await),
        What::StartSessionFrom { file } => {
            let result = {
                let bytes = Zeroizing::new(std::fs::read(file).expect("the sign-in result"));
                serde_json::from_slice(&bytes).expect("it is JSON")
            };
            answered(device.manager().start_session(result).await)
        }
        What::Refresh => answered(device.manager().refresh().await),
        What::Logout => answered(Ok(device.manager().logout().await)),
        What::Session => answered(Ok(device.manager().session().await)),
        What::Diagnostics => json!({ "ok": true, "diagnostics": device.manager().diagnostics() }),
        What::Peek => by_itself(device, peek).await,
        What::Spoil => by_itself(device, spoil).await,
        What::Park { .. } | What::Look => unreachable!("done on arrival"),
    }
}

/// The Secret Service client wants a thread without a runtime.
async fn by_itself(device: &Device, work: fn(&str) -> Value) -> Value {
    let service = device.setup.service.clone();
    let (reply, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || reply.send(work(&service)));
    answer.await.expect("it does not panic")
}

fn spoil(service: &str) -> Value {
    match KeychainStore::new(service).write(Slot::Session, b"rot") {
        Ok(()) => json!({ "ok": true }),
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
    }
}

/// With the tokens: they are those of a server that ends with the test.
fn peek(service: &str) -> Value {
    let mut store = KeychainStore::new(service);
    let session = match store.read(Slot::Session) {
        Err(error) => return json!({ "ok": false, "error": error.to_string() }),
        Ok(None) => Value::Null,
        Ok(Some(bytes)) => match SessionRecord::from_bytes(&bytes) {
            Err(unreadable) => json!({ "unreadable": format!("{unreadable:?}") }),
            Ok(record) => json!({
                "rotation": record.rotation,
                "sessionId": record.tokens.session_id.expose(),
                "sessionToken": record.tokens.session_token.expose(),
                "refreshToken": record.tokens.refresh_token.expose(),
            }),
        },
    };
    match store.read(Slot::Revocations) {
        Err(error) => json!({ "ok": false, "error": error.to_string() }),
        Ok(revocations) => json!({ "ok": true, "stored": session, "revocations": revocations.is_some() }),
    }
}
