//! A month on the device: somebody works, closes the lid, signs out and in; and whatever can go wrong does.

pub(crate) mod crash;

use std::{sync::Arc, time::Duration};

use tauri_plugin_otpless::{
    Session, SessionStatus, Storage,
    engine::{MemoryActivityLog, Slot},
};
use tempfile::TempDir;

use crate::{
    keychain::{Damage, Keychain, Mood},
    oracle::short,
    process::{App, Cut, Process},
    world::{Sabotage, Weather, World, pick},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long a run lasts.
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the person in front of it does, or what happens to them.
#[derive(Clone, Copy, Debug)]
enum Event {
    Work,
    Idle,
    CloseLid,
    Night,
    Look,
    WantToken,
    Verify,
    Refresh,
    Focus,
    SignOut,
    SignInAnew,
    SignOutTwice,
    Network,
    KeychainMood,
    Kill,
    KillSoon,
    Freeze,
    RevokeElsewhere,
    SetClock,
    Damage,
    Quit,
    Restart,
}

const USUAL: &[(u32, Event)] = &[
    (300, Event::Work),
    (120, Event::Idle),
    (60, Event::CloseLid),
    (60, Event::Night),
    (60, Event::Look),
    (50, Event::WantToken),
    (10, Event::Verify),
    (10, Event::Refresh),
    (40, Event::Focus),
    (6, Event::SignOut),
    (6, Event::SignInAnew),
    (2, Event::SignOutTwice),
    (40, Event::Network),
    (20, Event::KeychainMood),
    (10, Event::Kill),
    (10, Event::KillSoon),
    (8, Event::Freeze),
    (3, Event::RevokeElsewhere),
    (8, Event::SetClock),
    (1, Event::Damage),
    (10, Event::Quit),
    (3, Event::Restart),
];

/// While a refresh is under way.
const TROUBLE: &[(u32, Event)] = &[
    (25, Event::KillSoon),
    (15, Event::Kill),
    (10, Event::Freeze),
    (8, Event::CloseLid),
    (10, Event::Network),
    (10, Event::KeychainMood),
    (6, Event::SignOut),
    (4, Event::SignInAnew),
    (6, Event::WantToken),
    (6, Event::Refresh),
    (3, Event::SetClock),
    (2, Event::RevokeElsewhere),
    (1, Event::Restart),
];

/// In memory where there is such a place: locks and bulletins are files, and a month has many.
fn shared_directory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory")
}

/// The device and what runs on it.
pub(crate) struct Device {
    world: Arc<World>,
    keychain: Keychain,
    log: Arc<MemoryActivityLog>,
    shared: TempDir,
    apps: Vec<Option<App>>,
    /// Those that stand still, which are in no slot.
    frozen: Vec<Arc<Process>>,
    started: u64,
}

impl Device {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let shared = shared_directory();
        let apps = (0..world.scenario.processes).map(|_| None).collect();
        Self {
            world,
            keychain: Keychain::default(),
            log: Arc::default(),
            shared,
            apps,
            frozen: Vec::new(),
            started: 0,
        }
    }

    /// Plays the month and puts everything right at its end.
    pub(crate) async fn live(mut self) {
        let end = self.world.true_now() + MONTH;
        self.start(0);
        drop(self.sign_in(0).await);
        while self.world.true_now() < end && self.world.oracle().violations.is_empty() {
            let event = self.world.draw(|rng| *pick(rng, USUAL));
            self.happen(event).await;
        }
        if self.world.oracle().violations.is_empty() {
            self.all_is_well_again().await;
        }
        for app in self.apps.iter().flatten() {
            app.process.kill("at the end");
        }
        self.world.report().months += 1;
    }

    fn start(&mut self, slot: usize) {
        self.started += 1;
        let name = format!("process {}", self.started);
        let mut shared = self.shared.path().to_owned();
        match self.world.sabotage {
            Some(Sabotage::ForgetfulKeychain) => self.keychain.forget_everything(),
            Some(Sabotage::NoLocks) => shared.push(&name),
            Some(_) | None => {}
        }
        let app = App::start(name, &self.world, &self.keychain, self.log.clone(), &shared);
        self.apps[slot] = Some(app);
    }

    /// Time passes while the machine is awake. What comes to be under way may be disturbed.
    async fn pass(&mut self, duration: Duration) {
        let until = self.world.awake() + duration;
        loop {
            let left = until.saturating_sub(self.world.awake());
            let world = self.world.clone();
            tokio::select! {
                biased;
                () = world.refresh_sent.notified() => {
                    if world.percent(world.scenario.trouble) {
                        tokio::time::sleep(world.between(Duration::ZERO, Duration::from_millis(1200))).await;
                        let event = world.draw(|rng| *pick(rng, TROUBLE));
                        world.tell(|| format!("trouble: {event:?}"));
                        Box::pin(self.happen(event)).await;
                    }
                }
                () = tokio::time::sleep(left) => {}
            }
            self.apps.iter().flatten().for_each(App::glance);
            if self.world.awake() >= until {
                return;
            }
        }
    }

    fn some_slot(&self) -> usize {
        self.world.draw(|rng| rng.usize(..self.apps.len()))
    }

    async fn happen(&mut self, event: Event) {
        let world = self.world.clone();
        let slot = self.some_slot();
        self.bury_the_dead();
        match event {
            Event::Work => {
                self.ensure_running(slot);
                for _ in 0..world.draw(|rng| rng.u32(1..6)) {
                    self.touch(slot);
                    self.pass(world.between(10 * SECOND, 5 * MINUTE)).await;
                }
                if world.percent(30) {
                    self.sign_in_if_out(slot).await;
                }
            }
            Event::Idle => self.pass(world.between(MINUTE, 45 * MINUTE)).await,
            Event::CloseLid => self.sleep(world.between(MINUTE, 2 * HOUR)).await,
            Event::Night => self.sleep(world.between(6 * HOUR, 14 * HOUR)).await,
            Event::Look => self.look(slot).await,
            Event::WantToken => {
                if let Some(app) = &self.apps[slot] {
                    let validity = *world.draw(|rng| pick(rng, &[(8, 60), (1, 3600), (1, 86_000)]));
                    drop(app.does(|m| async move {
                        m.session_token(Duration::from_secs(validity)).await.is_ok()
                    }));
                }
                self.pass(5 * SECOND).await;
            }
            Event::Verify => {
                if let Some(app) = &self.apps[slot] {
                    drop(app.does(|m| async move { m.verify().await.is_ok() }));
                }
                self.pass(5 * SECOND).await;
            }
            Event::Refresh => {
                if let Some(app) = &self.apps[slot] {
                    drop(app.does(|m| async move { m.refresh().await.is_ok() }));
                }
                self.pass(5 * SECOND).await;
            }
            Event::Focus => {
                self.touch(slot);
                if let Some(app) = &self.apps[slot] {
                    drop(app.does(|m| async move { m.look() }));
                }
                self.pass(world.between(SECOND, MINUTE)).await;
            }
            Event::SignOut => self.sign_out(slot).await,
            Event::SignOutTwice => {
                self.sign_out(slot).await;
                self.sign_out(slot).await;
            }
            Event::SignInAnew => drop(self.sign_in(slot).await),
            Event::Network => {
                let weather = world.draw(|rng| {
                    *pick(
                        rng,
                        &[
                            (5, Weather::Fine),
                            (4, Weather::Flaky),
                            (3, Weather::Offline),
                            (2, Weather::ServerDown),
                            (1, Weather::SwitchedOff),
                        ],
                    )
                });
                world.set_weather(weather);
            }
            Event::KeychainMood => {
                let mood = world.draw(|rng| {
                    *pick(
                        rng,
                        &[
                            (8, Mood::Well),
                            (2, Mood::Locked),
                            (1, Mood::Absent),
                            (2, Mood::Hanging),
                            (1, Mood::Full),
                            (1, Mood::Forgetful),
                            (2, Mood::Flaky),
                            (1, Mood::Mute),
                        ],
                    )
                });
                self.set_mood(mood);
            }
            Event::Kill => {
                if let Some(app) = self.apps[slot].take() {
                    app.process.kill("by somebody");
                }
            }
            Event::KillSoon => {
                if let Some(app) = &self.apps[slot] {
                    app.process.cut_after(world.draw(|rng| rng.u32(..60)), Cut::Death);
                }
            }
            Event::Freeze => self.freeze(slot).await,
            Event::RevokeElsewhere => {
                world.tell(|| "an administrator revokes all sessions".to_owned());
                world.service().revoke_all();
            }
            Event::SetClock if world.scenario.clock_is_set => self.set_clock(),
            Event::Damage if world.scenario.damage => {
                let slot = *world.draw(|rng| pick(rng, &[(3, Slot::Session), (1, Slot::Revocations)]));
                let at = world.draw(|rng| rng.usize(..4096));
                let how = if world.percent(70) { Damage::Bit(at) } else { Damage::Cut(at) };
                if let Some(before) = self.keychain.damage(slot, how) {
                    world.oracle().damaged(slot, &before);
                    *world.report().faults.entry("stored bytes damaged").or_default() += 1;
                    world.tell(|| format!("{slot:?} is damaged: {how:?}"));
                }
            }
            Event::SetClock | Event::Damage => {}
            Event::Quit => self.quit(slot).await,
            Event::Restart => self.restart().await,
        }
    }

    fn bury_the_dead(&mut self) {
        for app in &mut self.apps {
            if app.as_ref().is_some_and(|app| !app.process.is_alive()) {
                *app = None;
            }
        }
    }

    fn ensure_running(&mut self, slot: usize) {
        self.bury_the_dead();
        if self.apps[slot].is_none() {
            self.start(slot);
        }
    }

    /// The user does something in the app.
    fn touch(&self, slot: usize) {
        let Some(app) = &self.apps[slot] else { return };
        let (world, name) = (self.world.clone(), app.process.name().to_owned());
        drop(app.does(|manager| async move {
            let before = manager.current();
            let after = manager.record_activity();
            if before.user_id.is_some() && before.user_id == after.user_id {
                let at = world.true_now();
                world.tell(|| format!("somebody is active in {name}"));
                world.oracle().activity(&name, at);
            }
        }));
    }

    fn fall_asleep(&self, duration: Duration) {
        self.world.sleep(duration);
        self.world.report().sleeps += 1;
        self.world.oracle().machine_slept(&self.world);
    }

    async fn sleep(&mut self, duration: Duration) {
        self.fall_asleep(duration);
        // The lid is opened for a while at least.
        self.pass(self.world.between(SECOND, 2 * MINUTE)).await;
    }

    /// The machine is started anew, and was off for a while.
    async fn restart(&mut self) {
        let running = self.apps.iter_mut().filter_map(Option::take).map(|app| app.process);
        for process in running.chain(self.frozen.drain(..)) {
            process.kill("with the machine");
        }
        self.world.restart();
        self.world.report().restarts += 1;
        self.world.oracle().machine_was_restarted();
        self.sleep(self.world.between(MINUTE, 14 * HOUR)).await;
    }

    async fn look(&mut self, slot: usize) {
        let Some(app) = &self.apps[slot] else { return };
        if app.process.is_frozen() {
            return;
        }
        let world = self.world.clone();
        let name = app.process.name().to_owned();
        let looked = app.does(|manager| async move {
            let session = manager.session().await;
            let mut token = match session.status {
                SessionStatus::Active => manager.session_token(Duration::ZERO).await.ok(),
                _ => None,
            };
            let mut now = manager.current();
            if now.user_id != session.user_id {
                return;
            }
            if token.is_none() && now.status == SessionStatus::Active {
                // It may have become active, or another one, between the two questions.
                token = manager.session_token(Duration::ZERO).await.ok();
                now = manager.current();
            }
            let token = token.as_ref().map(|token| token.token.expose().to_owned());
            world.oracle().looked(&name, &now, token.as_deref(), &world);
        });
        tokio::select! {
            _ = looked.done() => {}
            () = tokio::time::sleep(MINUTE) => {}
        }
    }

    async fn sign_in_if_out(&mut self, slot: usize) {
        let Some(app) = &self.apps[slot] else { return };
        let asked = app.does(|manager| async move { manager.session().await });
        let session = tokio::select! {
            session = asked.done() => session,
            () = tokio::time::sleep(MINUTE) => None,
        };
        if session.is_some_and(|session: Session| session.status == SessionStatus::SignedOut) {
            drop(self.sign_in(slot).await);
        }
    }

    /// Answers why it was refused, if it was.
    async fn sign_in(&mut self, slot: usize) -> Option<String> {
        self.ensure_running(slot);
        let app = self.apps[slot].as_ref().filter(|app| !app.process.is_frozen())?;
        let world = self.world.clone();
        let issued = world.sign_in();
        world.tell(|| format!("{} signs in in {}", short(&issued.user_id), app.process.name()));
        world.report().sign_ins += 1;
        let result = issued.web();
        let begins = (issued.clone(), world.true_now(), world.clone(), app.process.name().to_owned());
        let started = app.does(|manager| async move {
            let (issued, at, world, name) = begins;
            world.oracle().sign_in_begins(&issued, at, &world);
            world.oracle().signs_in(&name, true);
            let started = manager.start_session(result).await.map_err(|e| e.to_string());
            world.oracle().signs_in(&name, false);
            started
        });
        match started.done().await {
            Some(Ok(_)) => None,
            Some(Err(why)) => {
                world.tell(|| format!("the sign-in was not taken: {why}"));
                world.oracle().sign_in_failed(&issued);
                Some(why)
            }
            // The process died: nobody knows whether it was taken.
            None => {
                world.oracle().sign_in_unknown(&issued);
                None
            }
        }
    }

    async fn sign_out(&mut self, slot: usize) {
        let Some(app) = &self.apps[slot] else { return };
        if app.process.is_frozen() {
            return;
        }
        let kept = self.keychain.copy();
        let is_done = sign_out_in(app, &self.world).await;
        if is_done && self.world.sabotage == Some(Sabotage::RevivedByHand) {
            self.keychain.become_like(&kept);
            self.log = Arc::default();
            self.shared = shared_directory();
            for app in self.apps.iter_mut().filter_map(Option::take) {
                app.process.kill("to be revived");
            }
        }
    }

    fn set_mood(&self, mood: Mood) {
        self.world.tell(|| format!("the keychain is {mood:?}"));
        if mood != Mood::Well {
            *self.world.report().faults.entry(mood.name()).or_default() += 1;
        }
        self.world.moods.set(mood, self.world.awake());
    }

    async fn freeze(&mut self, slot: usize) {
        let Some(app) = self.apps[slot].take() else { return };
        app.process.freeze();
        self.frozen.push(app.process.clone());
        let duration =
            self.world.draw(|rng| *pick(rng, &[(4, SECOND), (3, 40 * SECOND), (2, 3 * MINUTE), (1, HOUR)]));
        // The others go on.
        Box::pin(self.pass(duration)).await;
        self.frozen.retain(|frozen| !Arc::ptr_eq(frozen, &app.process));
        if !app.process.is_alive() {
            return;
        }
        app.process.thaw();
        if self.apps[slot].is_none() {
            self.apps[slot] = Some(app);
        } else {
            app.process.kill("because another took its place");
        }
    }

    fn set_clock(&mut self) {
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let error = self.world.draw(|rng| {
            *pick(
                rng,
                &[
                    (6, 0),
                    (2, hour),
                    (2, -hour),
                    (1, 24 * hour),
                    (1, -24 * hour),
                    (1, 10 * 365 * 24 * hour),
                    (1, -10 * 365 * 24 * hour),
                    (1, -60 * 365 * 24 * hour),
                ],
            )
        });
        self.world.set_clock_error(error);
        self.world.report().clock_changes += 1;
        self.world.oracle().clock_was_set(&self.world);
    }

    /// The app is closed in the orderly way.
    async fn quit(&mut self, slot: usize) {
        let Some(app) = self.apps[slot].take() else { return };
        if !app.process.is_frozen() {
            let settled = app.does(|manager| async move { manager.settle(5 * SECOND).await });
            settled.done().await;
        }
        app.process.kill("after it was closed");
        self.pass(self.world.between(SECOND, HOUR)).await;
    }

    /// The keychain has worked for an hour: no process keeps a session in memory only (rule 11).
    async fn everything_is_stored(&self) {
        for app in self.apps.iter().flatten().filter(|app| !app.process.is_frozen()) {
            let looked = app.does(|manager| async move { manager.session().await });
            let Some(session) = looked.done().await else { continue };
            let kept = session.storage == Storage::Keychain;
            if matches!(session.status, SessionStatus::Active | SessionStatus::Stale) && !kept {
                let what = format!("{} has not stored its session in an hour", app.process.name());
                self.world.oracle().violated(&self.world, what);
            }
        }
    }

    /// Who looks now and finds a session without a token that is good.
    async fn stale_processes(&self) -> Vec<String> {
        let mut stale = Vec::new();
        for app in self.apps.iter().flatten().filter(|app| !app.process.is_frozen()) {
            let looked = app.does(|manager| async move { manager.session().await });
            if looked.done().await.is_some_and(|session| session.status == SessionStatus::Stale) {
                stale.push(app.process.name().to_owned());
            }
        }
        stale
    }

    /// Nothing is wrong any more. After a while whoever is signed in must be active, and what is over must be over for
    /// the service too.
    async fn all_is_well_again(&mut self) {
        let world = self.world.clone();
        world.tell(|| "all is well again".to_owned());
        world.set_weather(Weather::Fine);
        self.set_mood(Mood::Well);
        if world.clock_error_ms() != 0 {
            world.set_clock_error(0);
            world.oracle().clock_was_set(&world);
        }
        self.ensure_running(0);
        // Longer than the longest wait that anybody can have asked for, with its jitter.
        for _ in 0..100 {
            self.touch(0);
            tokio::time::sleep(MINUTE).await;
            self.ensure_running(0);
        }
        let violations = world.oracle().violations.len();
        // Who is signed out learns of another process's sign-in by looking, and has to fetch the keys then.
        self.stale_processes().await;
        tokio::time::sleep(MINUTE).await;
        self.look(0).await;
        for process in self.stale_processes().await {
            world
                .oracle()
                .violated(&world, format!("{process} is still Stale, although all is well for long"));
        }
        // Nor does anything stand in the way of somebody new, in a process that has been through all of it.
        // Now and then a call is lost in fine weather, too.
        let mut refused = self.sign_in(0).await;
        for _ in 0..3 {
            if refused.is_some() {
                tokio::time::sleep(MINUTE).await;
                refused = self.sign_in(0).await;
            }
        }
        if let Some(why) = refused {
            let what = format!("all is well for long, and a sign-in was not taken: {why}");
            world.oracle().violated(&world, what);
        }
        self.everything_is_stored().await;
        // Everything is stored by now, and what others have left behind is read at a start.
        for app in &mut self.apps {
            if let Some(app) = app.take() {
                app.process.kill("to start anew");
            }
        }
        for _ in 0..10 {
            self.ensure_running(0);
            self.touch(0);
            tokio::time::sleep(2 * MINUTE).await;
        }
        let Some(app) = &self.apps[0] else { return };
        let name = app.process.name().to_owned();
        let Some(session) = app.does(|manager| async move { manager.session().await }).done().await else {
            return;
        };
        let mut oracle = world.oracle();
        if oracle.violations.len() == violations {
            oracle.all_is_well(&name, &session, &world);
        }
    }
}

/// Somebody signs out in `app`. Whether that lived to see it.
async fn sign_out_in(app: &App, world: &World) -> bool {
    let before = world.oracle().users();
    world.tell(|| format!("somebody signs out in {}", app.process.name()));
    world.oracle().logout_begins();
    let is_done = app.does(|manager| async move { manager.logout().await }).done().await.is_some();
    if is_done {
        world.oracle().logout_ends(app.process.name(), &before, world);
    }
    is_done
}

/// One run: a month from one seed.
pub(crate) async fn month(world: Arc<World>) {
    Device::new(world).live().await;
}
