//! `fetch` without Tauri: the engine's calls against a real backend over real HTTP.

mod bounds;
mod redirects;
mod session;
mod streams;

use std::sync::Arc;

use serde_json::{Value, json};
use tauri_plugin_otpless::{
    Error, Result, SessionManager,
    engine::{AnswerBody, Ask, Desk, Entry, Head, HttpClient, Owner, Scope},
};

use crate::support::App;

/// A page that may call what its scope says.
struct Page {
    desk: Desk,
    owner: Owner,
    scope: Scope,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    head: Head,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    fn header(&self, name: &str) -> Vec<&str> {
        self.head.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| &**value).collect()
    }
}

/// All of this machine, which is where the backends are.
const EVERYWHERE: &[&str] = &["http://127.0.0.1:*/*"];

impl Page {
    fn new(app: &App, allow: &[&str]) -> Self {
        let entries: Vec<Arc<Entry>> = allow
            .iter()
            .map(|pattern| Arc::new(serde_json::from_value(json!({"url": pattern})).expect("an entry")))
            .collect();
        Self {
            desk: Desk::new(SessionManager::clone(app), HttpClient::new().expect("an HTTP client")),
            owner: Owner { window: "main".into(), webview: "main".into() },
            scope: Scope::new(&entries, &[]),
        }
    }

    /// Another page of the same app.
    fn neighbour(&self, label: &str) -> Self {
        let owner = Owner { window: label.into(), webview: label.into() };
        Self { desk: self.desk.clone(), owner, scope: self.scope.clone() }
    }

    fn open(&self, request: Value) -> Result<u64> {
        self.desk.open(self.owner.clone(), Ask::from_json(request)?, self.scope.clone())
    }

    async fn send(&self, call: u64) -> Result<Head> {
        self.desk.send(&self.owner, call).await
    }

    async fn write(&self, call: u64, piece: &[u8]) -> Result<()> {
        self.desk.write(&self.owner, call, piece).await
    }

    async fn read(&self, call: u64) -> Result<Vec<u8>> {
        self.desk.read(&self.owner, call).await
    }

    /// What is left of a body.
    async fn rest(&self, call: u64) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match self.read(call).await? {
                piece if piece.is_empty() => return Ok(body),
                piece => body.extend(piece),
            }
        }
    }

    async fn answer(&self, call: u64) -> Result<Answer> {
        let head = self.send(call).await?;
        let body = if head.body == AnswerBody::Stream { self.rest(call).await? } else { Vec::new() };
        Ok(Answer { head, body })
    }

    async fn fetch(&self, request: Value) -> Result<Answer> {
        self.answer(self.open(request)?).await
    }

    async fn get(&self, url: &str) -> Result<Answer> {
        self.fetch(json!({"url": url})).await
    }

    /// With a body in these pieces, which is kept.
    async fn fetch_with(&self, request: Value, pieces: &[&[u8]]) -> Result<Answer> {
        let call = self.open(request)?;
        for piece in pieces {
            self.write(call, piece).await?;
        }
        self.write(call, &[]).await?;
        self.answer(call).await
    }
}

/// What went wrong, in a word.
fn kind(error: &Error) -> Value {
    serde_json::to_value(error.kind()).expect("a word")
}
