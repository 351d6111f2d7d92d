//! The stage of one test: a local OTPless, a home, an empty keychain, and the app as often as it is started.

use super::app::{App, Theme};
use super::home::{Home, desktop};
use super::keychain::{self, Slot};
use super::scan::{Hit, Report};
use super::wait::{bounded, eventually};
use otpless_local::{Control, Issued, OtplessLocal, Settings};
use otpless_test_kit::leaks::Secrets;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

const PHONE: &str = "9876543210";

/// All tests write into one keychain, under one name.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What the dashboard is set to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) session_token: Duration,
}

impl Default for Policy {
    /// OTPless's documented 24 hours: nothing expires while a test runs.
    fn default() -> Self {
        Self { session_token: Duration::from_secs(24 * 60 * 60) }
    }
}

/// Lives short enough to watch: the plugin renews such a token after half its life.
pub(crate) const SHORT: Policy = Policy { session_token: Duration::from_secs(8) };

/// Longer than the plugin waits between two attempts at a call that failed a few times, with its jitter.
pub(crate) const RETRY_BOUND: Duration = Duration::from_secs(120);

pub(crate) struct Stage {
    home: Home,
    service: OtplessLocal,
    secrets: Secrets,
    session_id: Option<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    pub(crate) async fn new(policy: Policy) -> Self {
        let home = Home::new();
        let turn = ONE_AT_A_TIME.lock().await;
        keychain::clear();
        let settings =
            Settings { session_token_seconds: policy.session_token.as_secs(), ..Settings::default() };
        let service = OtplessLocal::start(settings).await.expect("the local OTPless starts");
        Self { home, service, secrets: Secrets::default(), session_id: None, _turn: turn }
    }

    pub(crate) fn control(&self) -> Control {
        self.service.state()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn secrets(&mut self) -> &mut Secrets {
        &mut self.secrets
    }

    pub(crate) async fn start_app(&self, theme: Theme) -> App {
        self.start_app_with(theme, &[]).await
    }

    /// Starts the app with some of the settings that its `main.rs` lists.
    pub(crate) async fn start_app_with(&self, theme: Theme, settings: &[(&'static str, &str)]) -> App {
        let service = [("OTPLESS_DEMO_SERVICE", self.service.url())];
        let others = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        App::start(&self.home, theme, service.into_iter().chain(others).collect()).await
    }

    /// No connection to the service any more: its port is closed.
    pub(crate) async fn server_down(&self) {
        self.service.go_offline().await;
    }

    pub(crate) async fn server_up(&self) {
        self.service.go_online().await.expect("the port is still free");
    }

    /// Signs in as a person does: number, code, click. The code is read where the person would read it.
    pub(crate) async fn sign_in(&mut self, app: &App) {
        self.ask_for_code(app).await;
        self.enter_code(app).await;
    }

    pub(crate) async fn ask_for_code(&self, app: &App) {
        app.fill("phone", PHONE).await;
        app.click("send-code").await;
        // Nobody types before that: when it comes the page moves the focus.
        app.begins("sign-in-progress", "A code is on its way").await;
    }

    pub(crate) async fn enter_code(&mut self, app: &App) {
        let control = self.control();
        let code = eventually("a code is sent", Duration::from_secs(20), async || {
            control.codes().into_iter().next().ok_or("none")
        })
        .await;
        app.fill("code", &code.code).await;
        app.click("verify-code").await;
        app.is_signed_in().await;
        self.session_id = Some(newest_session(self.service.port()).await);
        self.note_tokens();
    }

    /// The session that was signed in last.
    pub(crate) fn session_id(&self) -> &str {
        self.session_id.as_deref().expect("somebody signed in")
    }

    /// Remembers the tokens the session has at this moment as things to look for.
    pub(crate) fn note_tokens(&mut self) {
        if let Some(issued) = self.session_id.as_ref().and_then(|id| self.control().tokens(id)) {
            self.note(&issued);
        }
    }

    /// Tokens that must be nowhere either.
    pub(crate) fn note(&mut self, issued: &Issued) {
        self.secrets.add_session(issued);
    }

    /// Waits until the keychain, asked past the plugin, has or has no entry in the slot.
    pub(crate) async fn keychain_has(&self, slot: Slot, wanted: bool) {
        let what = format!("the keychain has {} entry in {slot:?}", if wanted { "an" } else { "no" });
        eventually(&what, Duration::from_secs(20), async || match keychain::entries(slot) {
            entries if entries == usize::from(wanted) => Ok(()),
            entries => Err(format!("{entries} entries")),
        })
        .await;
    }

    /// Every secret found in the app's files, its output and, if it runs, its page. The keychain's own files are left
    /// out, nothing else is.
    pub(crate) async fn look_for_leaks(&mut self, app: Option<&App>) -> Report {
        self.note_tokens();
        let finder = self.secrets.finder();
        let mut report = Report::default();
        if let Some(app) = app {
            for (place, text) in app.kept_by_page().await {
                report.look_at(&finder, &place, text.as_bytes());
            }
        }
        let desktop = desktop();
        report.look_through(&finder, self.home.path(), &desktop, &desktop.join("data/keyrings"));
        report
    }

    /// Requirement A1 at this moment.
    pub(crate) async fn no_token_anywhere(&mut self, app: Option<&App>) {
        let report = self.look_for_leaks(app).await;
        let found: Vec<String> = report.hits.iter().map(Hit::to_string).collect();
        assert!(found.is_empty(), "tokens outside the keychain:\n    {}", found.join("\n    "));
        assert!(report.files > 3, "only {} files were looked at: is this the app's home?", report.files);
        let output = std::fs::read_to_string(self.home.output()).expect("what the app printed");
        assert!(output.contains("tauri_plugin_otpless"), "the plugin's log is not in what the app printed");
        let page = if app.is_some() { " and the page" } else { "" };
        println!("        no token in {} files{page} ({} KiB)", report.files, report.bytes / 1024);
    }
}

/// What the console page shows as the latest session.
async fn newest_session(port: u16) -> String {
    let state = bounded("the console's state", Duration::from_secs(20), console_state(port)).await;
    let sessions = state["sessions"].as_array().expect("a list of sessions");
    let newest = sessions.iter().max_by_key(|session| session["startedAt"].as_i64()).expect("a session");
    newest["sessionId"].as_str().expect("the session's id").to_owned()
}

async fn console_state(port: u16) -> Value {
    let mut connection =
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the local OTPless listens");
    let request =
        format!("GET /control/state HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.expect("a request is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer is read");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    serde_json::from_str(body).expect("JSON")
}
