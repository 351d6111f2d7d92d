//! A device with its desktop, and the server it talks to.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    time::Duration,
};

use otpless_local::{Control, Issued, OtplessLocal, Settings, SignIn};
use otpless_relay::Relay;
use serde_json::{Value, json};

use super::{Desktop, Display, Process};

/// What survives the device's processes.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) desktop: Desktop,
    pub(crate) otpless: OtplessLocal,
    pub(crate) control: Control,
    /// How far the clocks of device and server are ahead of the machine's, in milliseconds.
    offset_ms: i64,
}

/// What stands in the keychain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) session_id: String,
    pub(crate) session_token: String,
    pub(crate) refresh_token: String,
}

impl From<&Issued> for Stored {
    fn from(issued: &Issued) -> Self {
        Self {
            session_id: issued.session_id.clone(),
            session_token: issued.session_token.clone(),
            refresh_token: issued.refresh_token.clone(),
        }
    }
}

impl Stage {
    pub(crate) async fn new(settings: Settings) -> Self {
        Self::on(Desktop::start(Display::None), settings).await
    }

    pub(crate) async fn on(desktop: Desktop, settings: Settings) -> Self {
        let otpless = OtplessLocal::start(settings).await.expect("the local OTPless starts");
        let stage = Self { desktop, control: otpless.state(), otpless, offset_ms: 0 };
        fs::write(stage.clock(), 0_i64.to_le_bytes()).expect("the machine's clock");
        stage
    }

    /// A process of the app.
    pub(crate) fn start(&self) -> Process {
        self.process(|_| ())
    }

    /// A process of the app with nothing in it but the engine.
    pub(crate) fn start_bare(&self) -> Process {
        self.process(|setup| setup["bare"] = true.into())
    }

    /// One that speaks to the app's own backend.
    pub(crate) fn start_bare_behind(&self, relay: &Relay) -> Process {
        self.process(|setup| {
            setup["bare"] = true.into();
            setup["relay"] = relay.url().into();
        })
    }

    /// A process that only looks at the keychain.
    pub(crate) fn witness(&self) -> Process {
        self.process(|setup| setup["witness"] = true.into())
    }

    fn process(&self, change: impl FnOnce(&mut Value)) -> Process {
        let mut setup = json!({
            "url": self.otpless.url(),
            "appId": self.otpless.settings().app_id,
            "service": "app.otpless.test.processes",
            "directory": self.desktop.app_directory(),
            "clock": self.clock(),
            "witness": false,
            "relay": null,
            "bare": false,
        });
        change(&mut setup);
        Process::start(&self.desktop, &setup)
    }

    /// Signs somebody in and waits until the session is stored.
    pub(crate) async fn sign_in(&self, app: &Process) -> Issued {
        let issued = self.control.sign_in(SignIn { phone: Some("919876543210".into()), ..SignIn::default() });
        let answer = app.ask(json!({ "do": "start-session", "with": issued.web() })).await;
        assert_eq!(answer["session"]["status"], "active", "{answer}");
        issued
    }

    /// Says how far the device's clock is ahead of the machine's.
    fn clock(&self) -> PathBuf {
        self.desktop.app_directory().join("clock")
    }

    /// Time passes on the server and the device, and then `apps` come to the front.
    pub(crate) async fn time_passes(&mut self, by: Duration, apps: &[&Process]) {
        let ms = i64::try_from(by.as_millis()).expect("no age of the world");
        self.offset_ms += ms;
        self.control.set_clock_offset(self.offset_ms);
        // Not `fs::write`: it leaves the file empty for a moment.
        let clock = File::options().write(true).open(self.clock()).expect("the machine's clock");
        clock.write_all_at(&self.offset_ms.to_le_bytes(), 0).expect("the machine's clock");
        for app in apps {
            app.ask(json!({ "do": "look" })).await;
        }
    }
}

impl Process {
    /// What stands in the keychain, and whether revocations wait there.
    pub(crate) async fn peek(&self) -> (Option<Stored>, bool) {
        let answer = self.ask(json!({ "do": "peek" })).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let stored = &answer["stored"];
        let text = |name: &str| match &stored[name] {
            Value::String(text) => text.clone(),
            _ => panic!("the keychain holds something else than a session: {stored}"),
        };
        let stored = (!stored.is_null()).then(|| Stored {
            session_id: text("sessionId"),
            session_token: text("sessionToken"),
            refresh_token: text("refreshToken"),
        });
        (stored, answer["revocations"] == true)
    }
}
