//! One short life: a process that starts, a sign-in, refreshes, another sign-in, a logout. It is lived once for each step it has,
//! and at that step the process dies, or stands still for longer than anything waits for it. Months meet some of these moments,
//! by chance; this meets each step of these lives.

use std::{sync::Arc, time::Duration};

use otpless_local::Rotation;
use tauri_plugin_otpless::engine::{Policy, Slot};

use super::{Device, HOUR, MINUTE, SECOND, sign_out_in};
use crate::{
    keychain::{Damage, Mood},
    process::{App, Cut, Process},
    world::{Scenario, Weather, World},
};

/// What is special about a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) name: &'static str,
    rotation: Rotation,
    /// Another process of the app runs beside the one that dies.
    in_company: bool,
    /// It begins with what an earlier run of the app has left behind.
    is_old: bool,
    /// The keychain does not answer well while the session is refreshed.
    at_refresh: Mood,
    /// The network as the second user signs in and signs out.
    at_logout: Weather,
    /// What becomes of the session in the second night.
    second_night: SecondNight,
    cut: Cut,
    /// What is done in the other process while the first stands still.
    meanwhile: Meanwhile,
}

/// See [`Life`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecondNight {
    /// It is refreshed as in the first.
    Refreshed,
    /// An administrator ends it.
    Revoked,
    /// Nobody has done anything for too long.
    Idle,
    /// A bit of its entry turns over.
    Damaged,
}

/// See [`Life`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Refresh,
    SignOut,
}

/// For how long a process stands still: longer than any timeout there is.
const STANDS_STILL: Duration = Duration::from_secs(20 * 60);

/// All lives that are lived.
pub(crate) const LIVES: &[Life] = &[
    ALONE,
    Life { name: "with-grace", rotation: Rotation::Grace, ..ALONE },
    Life { name: "in-company", in_company: true, ..ALONE },
    Life { name: "keychain-locked", at_refresh: Mood::Locked, ..ALONE },
    Life { name: "keychain-mute", at_refresh: Mood::Mute, ..ALONE },
    Life { name: "offline", at_logout: Weather::Offline, ..ALONE },
    Life { name: "in-company-offline", in_company: true, at_logout: Weather::Offline, ..ALONE },
    Life { name: "old", is_old: true, ..ALONE },
    Life { name: "old-in-company", is_old: true, in_company: true, ..ALONE },
    Life { name: "revoked", second_night: SecondNight::Revoked, ..ALONE },
    Life { name: "revoked-in-company", in_company: true, second_night: SecondNight::Revoked, ..ALONE },
    Life { name: "idle", second_night: SecondNight::Idle, ..ALONE },
    Life { name: "idle-in-company", in_company: true, second_night: SecondNight::Idle, ..ALONE },
    Life { name: "damaged", second_night: SecondNight::Damaged, ..ALONE },
    Life { name: "damaged-in-company", in_company: true, second_night: SecondNight::Damaged, ..ALONE },
    Life { name: "stopped", in_company: true, cut: Cut::Stop, ..ALONE },
    Life {
        name: "stopped-revoked",
        in_company: true,
        second_night: SecondNight::Revoked,
        cut: Cut::Stop,
        ..ALONE
    },
    Life {
        name: "stopped-signed-out",
        in_company: true,
        cut: Cut::Stop,
        meanwhile: Meanwhile::SignOut,
        ..ALONE
    },
];

const ALONE: Life = Life {
    name: "alone",
    rotation: Rotation::Strict,
    in_company: false,
    is_old: false,
    at_refresh: Mood::Well,
    at_logout: Weather::Fine,
    second_night: SecondNight::Refreshed,
    cut: Cut::Death,
    meanwhile: Meanwhile::Refresh,
};

impl Life {
    /// Whether a session may be lost in it: a process dies, and the service answers for a spent token no more.
    pub(crate) fn may_cost_a_session(self) -> bool {
        self.rotation == Rotation::Strict && self.cut == Cut::Death
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        LIVES.iter().find(|life| life.name == name).copied()
    }

    /// Nothing is left to the seed but the order of things, how long each takes, and jitter.
    pub(crate) fn scenario(self) -> Scenario {
        // Longer than a night, and shorter than two.
        let timeout = (self.second_night == SecondNight::Idle).then_some(30 * HOUR);
        Scenario {
            policy: Policy { inactivity_timeout: timeout, ..Policy::default() },
            rotation: self.rotation,
            grace: HOUR,
            session_token: 24 * HOUR,
            refresh_token: 7 * 24 * HOUR,
            processes: if self.in_company { 2 } else { 1 },
            clock_is_set: false,
            unset_clock: true,
            damage: self.second_night == SecondNight::Damaged,
            calm: true,
            trouble: 0,
        }
    }
}

impl Device {
    /// Answers what the process was at when it was cut off; `None` if its life has no such step.
    async fn cut_off_at(mut self, step: u32, life: Life) -> Option<&'static str> {
        if life.is_old {
            self.live_before().await;
        }
        self.start(0);
        if life.in_company {
            self.start(1);
        }
        let doomed = self.apps[0].as_ref()?.process.clone();
        doomed.cut_after(step, life.cut);
        let other = self.apps.get(1).cloned().flatten();
        let waker = tokio::spawn(wake_later(doomed.clone(), other, life.meanwhile, self.world.clone()));
        self.live_until_death(&doomed, life).await;
        let was_at = doomed.spare();
        if was_at.is_none() || life.cut == Cut::Death {
            waker.abort();
        }
        let _ = waker.await;
        // Somebody starts the app again at once.
        self.ensure_running(0);
        self.look(0).await;
        self.all_is_well_again().await;
        for app in self.apps.iter().flatten() {
            app.process.kill("at the end");
        }
        was_at
    }

    /// What an earlier run of the app leaves behind: a session, and the revocation of the one before it.
    async fn live_before(&mut self) {
        drop(self.sign_in(0).await);
        self.pass(MINUTE).await;
        self.world.set_weather(Weather::Offline);
        drop(self.sign_in(0).await);
        self.pass(MINUTE).await;
        if let Some(app) = self.apps[0].take() {
            app.process.kill("after it was closed");
        }
        self.world.set_weather(Weather::Fine);
    }

    async fn live_until_death(&mut self, doomed: &Arc<Process>, life: Life) {
        if life.is_old {
            self.look(0).await;
        } else {
            drop(self.sign_in(0).await);
        }
        if life.in_company {
            self.look(1).await;
        }
        // The second time with what the first has brought.
        for is_second in [false, true] {
            if !doomed.is_alive() {
                return;
            }
            if is_second {
                self.before_the_second_night(life.second_night);
            }
            // A night: the token is due, the machine wakes up, and the loop refreshes.
            self.set_mood(life.at_refresh);
            self.fall_asleep(24 * HOUR);
            self.pass_while_alive(doomed, 2 * MINUTE).await;
            self.set_mood(Mood::Well);
            self.pass_while_alive(doomed, 10 * MINUTE).await;
        }
        self.touch(0);
        if let Some(app) = &self.apps[0] {
            app.does(|manager| async move { manager.verify().await.is_ok() }).done().await;
        }
        self.world.set_weather(life.at_logout);
        if doomed.is_alive() {
            drop(self.sign_in(0).await);
            self.pass_while_alive(doomed, MINUTE).await;
        }
        if doomed.is_alive() {
            self.sign_out(0).await;
            self.pass_while_alive(doomed, MINUTE).await;
        }
    }

    fn before_the_second_night(&self, night: SecondNight) {
        match night {
            SecondNight::Refreshed | SecondNight::Idle => {}
            SecondNight::Revoked => {
                self.world.tell(|| "an administrator revokes all sessions".to_owned());
                self.world.service().revoke_all();
            }
            SecondNight::Damaged => {
                let at = self.world.draw(|rng| rng.usize(..));
                if let Some(before) = self.keychain.damage(Slot::Session, Damage::Bit(at)) {
                    self.world.tell(|| "a bit of the session's entry turns over".to_owned());
                    self.world.oracle().damaged(Slot::Session, &before);
                }
            }
        }
    }

    async fn pass_while_alive(&mut self, doomed: &Process, duration: Duration) {
        let until = self.world.awake() + duration;
        while doomed.is_alive() && self.world.awake() < until {
            self.pass(5 * SECOND).await;
        }
    }
}

/// Once `stopped` stands still, something is done in another process, and after a while it goes on.
async fn wake_later(stopped: Arc<Process>, other: Option<App>, meanwhile: Meanwhile, world: Arc<World>) {
    stopped.stopped().await;
    let until = world.awake() + STANDS_STILL;
    if let Some(app) = other {
        tokio::time::sleep(SECOND).await;
        match meanwhile {
            Meanwhile::Refresh => {
                app.does(|manager| async move { manager.refresh().await.is_ok() }).done().await;
            }
            Meanwhile::SignOut => drop(sign_out_in(&app, &world).await),
        }
    }
    tokio::time::sleep(until.saturating_sub(world.awake())).await;
    stopped.thaw();
}

/// One life, in which the first process is cut off at that step. Answers what it was at, unless it has lived through all.
pub(crate) async fn life(world: Arc<World>, life: Life, step: u32) -> Option<&'static str> {
    Device::new(world).cut_off_at(step, life).await
}
