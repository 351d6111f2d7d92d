//! A whole life in one go, with pictures: what `cargo xtask demo` plays where there is no display.

use crate::support::{App, Policy, RETRY_BOUND, Slot, Stage, Theme, eventually};
use otpless_local::{LoggedRequest, Operation};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// Where `cargo xtask demo` wants the pictures; without it they go with the throw-away home.
const FOLDER: &str = "OTPLESS_SHOWCASE_FOLDER";

#[tokio::test]
async fn a_whole_life_can_be_watched() {
    let mut stage = Stage::new(Policy { session_token: Duration::from_secs(20) }).await;
    let mut story = Story::new(&stage);

    let app = stage.start_app(Theme::Light).await;
    app.shows("status", "signedOut").await;
    story.picture(&app, "signed-out", "The app starts; nobody is signed in.").await;

    stage.ask_for_code(&app).await;
    stage.enter_code(&app).await;
    stage.keychain_has(Slot::Session, true).await;
    story.tell("Signed in with a phone number and a one-time code. The keychain has the session, the page has no token.");
    stage.no_token_anywhere(Some(&app)).await;
    story.picture(&app, "signed-in", "Signed in: who, until when, kept where.").await;

    let control = stage.control();
    let first = app.moment("expires-at").await.expect("the page shows when the token expires");
    eventually("the token is renewed", Duration::from_secs(60), async || {
        let shown = app.moment("expires-at").await;
        if shown.is_some_and(|expires| expires > first) { Ok(()) } else { Err(shown) }
    })
    .await;
    story
        .picture(
            &app,
            "refreshed",
            "The session token, made to live 20 seconds, was renewed without a click.",
        )
        .await;

    app.click("open-second").await;
    let main = app.turn_to_other_window().await;
    app.shows("status", "active").await;
    app.click("session-token").await;
    app.shows("error", "notPermitted").await;
    story
        .picture(
            &app,
            "second-window",
            "A second window shares the session. It may do less, and says so when it tries.",
        )
        .await;
    app.turn_to(main).await;

    app.kill().await;
    story.tell("The app was killed with `kill -9`.");
    let app = stage.start_app(Theme::Dark).await;
    app.shows("status", "active").await;
    story.picture(&app, "still-signed-in", "Started again, in the dark this time: still signed in.").await;

    app.click("open-hostile").await;
    let main = app.turn_to_other_window().await;
    app.click("attack").await;
    app.shows_one_of("attack-state", &["done"], Duration::from_secs(300)).await;
    let picture =
        "A hostile page with the default permissions tries everything script could try, and has no token.";
    story.picture(&app, "hostile-page", picture).await;
    stage.no_token_anywhere(Some(&app)).await;

    let hostile = app.window().await;
    app.turn_to(main.clone()).await;
    app.click("open-frameworks").await;
    app.turn_to_window_beside(&[main.clone(), hostile]).await;
    for framework in ["react", "vue", "svelte"] {
        app.shows(&format!("{framework}-status"), "active").await;
    }
    story.picture(&app, "frameworks", "The same session in React, in Vue and in Svelte.").await;
    app.turn_to(main).await;

    assert!(control.revoke(stage.session_id()), "there was an active session to revoke");
    app.shows("status", "signedOut").await;
    app.shows("end-reason", "revoked").await;
    stage.keychain_has(Slot::Session, false).await;
    story
        .picture(
            &app,
            "revoked",
            "Revoked at the dashboard. The next renewal heard of it; the keychain entry is gone.",
        )
        .await;

    stage.sign_in(&app).await;
    story.tell("Signed in again.");
    stage.server_down().await;
    app.click("sign-out").await;
    app.shows("status", "signedOut").await;
    stage.keychain_has(Slot::Session, false).await;
    stage.keychain_has(Slot::Revocations, true).await;
    app.click("diagnostics").await;
    eventually("the diagnostics show a waiting revocation", Duration::from_secs(30), async || {
        let shown = app.read("diagnostics-output").await?;
        if shown.contains("\"pendingRevocations\": 1") { Ok(()) } else { Err(shown) }
    })
    .await;
    let bottom =
        "document.querySelector('[data-testid=diagnostics-output]').scrollIntoView({ block: 'end' })";
    app.run(bottom, vec![]).await;
    story
        .picture(
            &app,
            "signed-out-offline",
            "Signed out with the server unreachable: over here at once, while the revocation waits for the server.",
        )
        .await;

    app.kill().await;
    let app = stage.start_app(Theme::Light).await;
    app.shows("status", "signedOut").await;
    stage.server_up().await;
    let delivered = timeout(Duration::from_secs(120), control.wait_for(Operation::Delete, 1)).await;
    assert!(delivered.is_ok(), "the server hears of the logout");
    stage.keychain_has(Slot::Revocations, false).await;
    story
        .picture(
            &app,
            "revocation-delivered",
            "Killed, started again, server back: the revocation has arrived.",
        )
        .await;
    app.close().await;
    #[cfg(debug_assertions)]
    rehearse(&mut stage, &mut story).await;
    stage.no_token_anywhere(None).await;
    story.tell("Not one token was found in any file the app wrote, nor in what it printed.");
    story.write(&control.requests());
}

/// The switches of the rehearsal, and what the timeline makes of each.
#[cfg(debug_assertions)]
async fn rehearse(stage: &mut Stage, story: &mut Story) {
    let patient = ("OTPLESS_DEMO_INACTIVITY", "86400");
    let app = stage.start_app_with(Theme::Light, &[patient]).await;
    stage.sign_in(&app).await;
    app.click("server-down").await;
    app.shows_one_of("status", &["stale"], RETRY_BOUND).await;
    app.shows("why", "network").await;
    app.timeline_says("Failures: Renewal at").await;
    later(stage).await;
    story.timeline(&app, "server-down", "The server is down: the session is stale, and says why.").await;

    app.click("server-down").await;
    app.shows_one_of("status", &["active"], RETRY_BOUND).await;
    app.timeline_says(", then active from").await;
    later(stage).await;
    story.timeline(&app, "server-back", "The server is back: nobody had to sign in again.").await;

    app.click("keychain-locked").await;
    app.shows_one_of("storage", &["ephemeral"], RETRY_BOUND).await;
    app.timeline_says("in memory only from").await;
    later(stage).await;
    story
        .timeline(&app, "keychain-locked", "The keychain is locked: the renewed session is in memory only.")
        .await;
    app.click("keychain-locked").await;
    app.shows_one_of("storage", &["keychain"], RETRY_BOUND).await;
    stage.keychain_has(Slot::Session, true).await;
    app.kill().await;

    let app = stage.start_app_with(Theme::Dark, &[patient, ("OTPLESS_DEMO_KEYCHAIN", "locked")]).await;
    app.shows("why", "unavailable").await;
    app.timeline_says("Storage: unavailable from").await;
    later(stage).await;
    story
        .timeline(&app, "locked-at-start", "Started with a locked keychain: not known is not signed out.")
        .await;
    app.click("keychain-locked").await;
    app.shows_one_of("status", &["active"], RETRY_BOUND).await;

    app.click("sleep").await;
    app.timeline_says("moved on: 8 h from").await;
    // One of them after the sleep, however soon the keychain had answered.
    app.timeline_says("Renewals: 2 done").await;
    app.shows("status", "active").await;
    story
        .timeline(&app, "slept", "Unlocked; then the machine slept for 8 hours: renewed a moment after.")
        .await;

    app.resize(480, 900).await;
    story.timeline(&app, "narrow", "The same in a window as narrow as a phone.").await;
    app.resize(1100, 780).await;

    // The maximum lifetime is a day.
    for hours in [16, 24] {
        app.click("sleep").await;
        app.shows("slept", &(hours * 60 * 60 * 1000).to_string()).await;
    }
    app.shows("end-reason", "lifetime").await;
    app.timeline_says("signed out (lifetime) from").await;
    later(stage).await;
    story.timeline(&app, "lifetime", "Two more nights: the session has reached its maximum lifetime.").await;
    app.close().await;
}

/// What has just begun cannot be seen in a timeline: lets it go on for a while, by the clock of the story's world.
#[cfg(debug_assertions)]
async fn later(stage: &Stage) {
    let control = stage.control();
    let then = control.now() + 6_000;
    eventually("it goes on for a while", Duration::from_secs(30), async || {
        if control.now() > then { Ok(()) } else { Err(format!("{} ms left", then - control.now())) }
    })
    .await;
}

/// Where pictures go.
pub(crate) fn folder(stage: &Stage) -> PathBuf {
    let folder = std::env::var_os(FOLDER).map_or_else(|| stage.home().join("showcase"), PathBuf::from);
    fs::create_dir_all(&folder).expect("the folder for the pictures");
    folder
}

/// The transcript and its pictures.
struct Story {
    folder: PathBuf,
    text: String,
    number: usize,
}

impl Story {
    fn new(stage: &Stage) -> Self {
        let folder = folder(stage);
        for entry in fs::read_dir(&folder).expect("the folder for the pictures").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "png") {
                fs::remove_file(entry.path()).expect("an old picture goes");
            }
        }
        let text = "# A session's life, played by the demo app\n\n\
                    In a real webview, with a real keychain, against the local OTPless.\n"
            .to_owned();
        Self { folder, text, number: 0 }
    }

    fn tell(&mut self, what: &str) {
        println!("        {what}");
        let _ = write!(self.text, "\n{what}\n");
    }

    async fn picture(&mut self, app: &App, name: &str, what: &str) {
        self.add(&app.picture().await, name, what);
    }

    /// A picture from the timeline downwards.
    #[cfg(debug_assertions)]
    async fn timeline(&mut self, app: &App, name: &str, what: &str) {
        let there = "document.getElementById('timeline-card').scrollIntoView({ block: 'start' })";
        app.run(there, vec![]).await;
        self.picture(app, name, what).await;
    }

    fn add(&mut self, picture: &[u8], name: &str, what: &str) {
        self.tell(what);
        self.number += 1;
        let file = format!("{:02}-{name}.png", self.number);
        fs::write(self.folder.join(&file), picture).expect("a picture is written");
        let _ = write!(self.text, "\n![{}]({file})\n", name.replace('-', " "));
    }

    fn write(mut self, requests: &[LoggedRequest]) {
        self.text += "\n## What the local OTPless was asked\n\n";
        for request in requests {
            let path = match request.path.rsplit_once('/') {
                // The id of a session is no thing to leave lying about, not even of this one.
                Some((parent, id)) if request.operation == Operation::Delete => format!("{parent}/{id:.6}…"),
                _ => request.path.clone(),
            };
            let status = request.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let _ = writeln!(self.text, "- `{} {path}` → {status}", request.method);
        }
        fs::write(self.folder.join("transcript.md"), self.text).expect("the transcript is written");
    }
}
