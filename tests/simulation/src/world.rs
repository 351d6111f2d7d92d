//! The world of one device: true time, the machine's clock, the service, the weather, and the one source of chance.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use otpless_local::{Control, Issued, Rotation, Settings, SignIn};
use tauri_plugin_otpless::{
    Timestamp,
    engine::{Clock, Policy},
};
use tokio::{sync::Notify, time::Instant};

use crate::{executor::Executor, keychain::Moods, network::Call, oracle::Oracle, report::Report};

/// True time at the start, in milliseconds since the epoch: the first of January 2026.
const START_MS: i64 = 1_767_225_600_000;

/// The monotonic clock at the start: a machine that was booted a while ago.
const BOOTED: Duration = Duration::from_secs(3600);

/// What may happen in a run, drawn from its seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) policy: Policy,
    pub(crate) rotation: Rotation,
    /// For how long a refresh token that was spent is still good, where the service has such a window.
    pub(crate) grace: Duration,
    pub(crate) session_token: Duration,
    pub(crate) refresh_token: Duration,
    pub(crate) processes: usize,
    /// Whether somebody sets the machine's clock.
    pub(crate) clock_is_set: bool,
    /// Whether the machine has a clock that goes on in a sleep and that nobody can set.
    pub(crate) unset_clock: bool,
    /// Whether stored bytes are damaged.
    pub(crate) damage: bool,
    /// Whether fine weather is without any accident: no call is lost in it, and none is slow.
    pub(crate) calm: bool,
    /// Of a hundred moments at which something is under way, how many are disturbed.
    pub(crate) trouble: u32,
}

impl Scenario {
    fn draw(rng: &mut Rng) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let seconds = Duration::from_secs;
        let session_token = *pick(rng, &[(70, 24 * HOUR), (15, 6 * HOUR), (12, HOUR), (3, 10 * MINUTE)]);
        let refresh_token = *pick(rng, &[(60, 7 * 24 * HOUR), (25, 30 * 24 * HOUR), (15, 26 * HOUR)]);
        let timeout = *pick(rng, &[(60, 0), (15, 30 * MINUTE), (15, 12 * HOUR), (10, 3 * 24 * HOUR)]);
        let lifetime = *pick(rng, &[(60, 0), (20, 12 * 24 * HOUR), (20, 36 * HOUR)]);
        let processes = *pick(rng, &[(60, 1), (30, 2), (10, 3)]);
        let grace = *pick(rng, &[(40, HOUR), (30, 10 * MINUTE), (30, 30)]);
        let clock_is_set = rng.u32(..100) < 40;
        Self {
            policy: Policy {
                inactivity_timeout: (timeout > 0).then(|| seconds(timeout)),
                max_lifetime: (lifetime > 0).then(|| seconds(lifetime)),
                ..Policy::default()
            },
            rotation: *pick(rng, &[(60, Rotation::Strict), (40, Rotation::Grace)]),
            grace: seconds(grace),
            session_token: seconds(session_token),
            refresh_token: seconds(refresh_token),
            processes,
            clock_is_set,
            unset_clock: rng.u32(..100) < 80,
            damage: rng.u32(..100) < 8,
            calm: false,
            trouble: *pick(rng, &[(20, 0), (40, 15), (40, 50)]),
        }
    }
}

/// One of the values, as likely as the number before it says.
pub(crate) fn pick<'a, T>(rng: &mut Rng, weighted: &'a [(u32, T)]) -> &'a T {
    let total: u32 = weighted.iter().map(|(weight, _)| weight).sum();
    let mut left = rng.u32(..total);
    for (weight, value) in weighted {
        if left < *weight {
            return value;
        }
        left -= weight;
    }
    unreachable!("the weights add up")
}

/// How a seed is played.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Play {
    /// What happens is written down.
    pub(crate) traced: bool,
    pub(crate) sabotage: Option<Sabotage>,
    /// What may happen, if that is not left to the seed.
    pub(crate) scenario: Option<Scenario>,
}

/// What is broken on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The keychain never takes anything, also when it says that it is well.
    NeverStores,
    /// The keychain is empty whenever a process starts.
    ForgetfulKeychain,
    /// Each process has lock files of its own.
    NoLocks,
    /// What a logout has erased is put back, and what was noted of it is lost.
    RevivedByHand,
    /// The engine is told of no deadline.
    NoDeadlines,
    /// The engine is not told how long the service asks it to wait.
    DeafToWaits,
    /// Whenever a process comes to refresh, the service asks it to come back in an hour.
    EndlessWaits,
    /// The background loop of each process ends after a few minutes.
    LoopStops,
    /// The keychain takes a sign-in, and of a session no more after that.
    StoresOnlySignIns,
    /// A refresh brings tokens that are signed with the service's key and that it has not issued.
    StolenKey,
    /// The engine is told of deadlines that come too early.
    EarlyDeadlines,
    /// Each process has two engines that know nothing of each other.
    TwoEngines,
    /// Something below the engine repeats what fails, at once and often.
    Hammering,
    /// The service says that it has revoked a session, and has not.
    RevokesNothing,
    /// No clock of the machine stands still in a sleep.
    SleeplessClock,
}

impl Sabotage {
    pub(crate) const ALL: &[(&str, Self)] = &[
        ("never-stores", Self::NeverStores),
        ("forgetful-keychain", Self::ForgetfulKeychain),
        ("no-locks", Self::NoLocks),
        ("revived-by-hand", Self::RevivedByHand),
        ("no-deadlines", Self::NoDeadlines),
        ("deaf-to-waits", Self::DeafToWaits),
        ("endless-waits", Self::EndlessWaits),
        ("loop-stops", Self::LoopStops),
        ("stores-only-sign-ins", Self::StoresOnlySignIns),
        ("stolen-key", Self::StolenKey),
        ("early-deadlines", Self::EarlyDeadlines),
        ("two-engines", Self::TwoEngines),
        ("hammering", Self::Hammering),
        ("revokes-nothing", Self::RevokesNothing),
        ("sleepless-clock", Self::SleeplessClock),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, sabotage)| *sabotage)
    }
}

/// What the network does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fine,
    /// Every call may meet anything.
    Flaky,
    Offline,
    ServerDown,
    /// The service refuses the app itself, until somebody puts that right.
    SwitchedOff,
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) service: Control,
    pub(crate) moods: Moods,
    pub(crate) refresh_sent: Notify,
    pub(crate) executor: Executor,
    pub(crate) sabotage: Option<Sabotage>,
    started: Instant,
    inner: Mutex<Inner>,
    oracle: Mutex<Oracle>,
    report: Mutex<Report>,
    trace: Option<Mutex<String>>,
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    slept: Duration,
    clock_error_ms: i64,
    /// How often the machine was started anew, and when last by true time.
    restarts: u32,
    booted: Timestamp,
    weather: Weather,
    sign_ins: u64,
    /// What the service has answered to refreshes, by session.
    answers: HashMap<String, Vec<Vec<u8>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("scenario", &self.scenario).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(seed: u64, play: Play) -> Self {
        let Play { traced, sabotage, scenario } = play;
        let mut rng = Rng::with_seed(seed);
        let drawn = Scenario::draw(&mut rng);
        let scenario = scenario.unwrap_or(drawn);
        let service = Control::without_network(Settings {
            session_token_seconds: scenario.session_token.as_secs(),
            refresh_token_seconds: scenario.refresh_token.as_secs(),
            rotation: scenario.rotation,
            grace_seconds: scenario.grace.as_secs(),
            ..Settings::default()
        })
        .expect("the settings are possible");
        let world = Self {
            service,
            moods: Moods::default(),
            refresh_sent: Notify::new(),
            executor: Executor::default(),
            sabotage,
            started: Instant::now(),
            inner: Mutex::new(Inner {
                rng,
                slept: Duration::ZERO,
                clock_error_ms: 0,
                restarts: 0,
                booted: Timestamp(START_MS) - BOOTED,
                weather: Weather::Fine,
                sign_ins: 0,
                answers: HashMap::new(),
            }),
            oracle: Mutex::new(Oracle::new(scenario.policy)),
            report: Mutex::default(),
            trace: traced.then(Mutex::default),
            scenario,
        };
        world.tell(|| format!("{:?}", world.scenario));
        world
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws from the one source of chance.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.inner().rng)
    }

    pub(crate) fn percent(&self, percent: u32) -> bool {
        self.draw(|rng| rng.u32(..100) < percent)
    }

    /// A time between the two.
    pub(crate) fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from((most - least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.draw(|rng| rng.u64(..=span)))
    }

    /// Time awake.
    pub(crate) fn awake(&self) -> Duration {
        self.started.elapsed()
    }

    /// True time, which the service knows.
    pub(crate) fn true_now(&self) -> Timestamp {
        Timestamp(START_MS) + self.awake() + self.inner().slept
    }

    /// What the service puts into an answer.
    pub(crate) fn date(&self) -> Timestamp {
        Timestamp(self.true_now().as_millis().div_euclid(1000) * 1000)
    }

    /// The service, with its clock put right.
    pub(crate) fn service(&self) -> &Control {
        self.service.set_time(self.true_now().as_millis());
        &self.service
    }

    pub(crate) fn remember_answer(&self, call: &Call, body: &[u8]) {
        let Some(session_id) = self.oracle().session_of(call) else { return };
        self.inner().answers.entry(session_id).or_default().push(body.to_vec());
    }

    /// One of the answers that refreshes of the session have had.
    pub(crate) fn an_answer_to(&self, session_id: &str) -> Option<Vec<u8>> {
        let answers = self.inner().answers.get(session_id).cloned()?;
        Some(answers[self.draw(|rng| rng.usize(..answers.len()))].clone())
    }

    /// The machine sleeps for so long: timers stand still.
    pub(crate) fn sleep(&self, duration: Duration) {
        self.inner().slept += duration;
        self.tell(|| format!("the machine slept for {duration:?}"));
    }

    /// The machine is started anew: the clock that nobody sets begins again.
    pub(crate) fn restart(&self) {
        let now = self.true_now();
        let mut inner = self.inner();
        inner.restarts += 1;
        inner.booted = now;
        drop(inner);
        self.tell(|| "the machine is started anew".to_owned());
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.inner().restarts
    }

    /// What the machine's clock shows.
    pub(crate) fn wall(&self) -> Timestamp {
        self.true_now().shifted(self.clock_error_ms())
    }

    pub(crate) fn clock_error_ms(&self) -> i64 {
        self.inner().clock_error_ms
    }

    pub(crate) fn set_clock_error(&self, error_ms: i64) {
        self.inner().clock_error_ms = error_ms;
        self.tell(|| format!("somebody sets the clock {error_ms} ms off"));
    }

    pub(crate) fn weather(&self) -> Weather {
        self.inner().weather
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.inner().weather = weather;
        self.tell(|| format!("the network is {weather:?}"));
    }

    /// Somebody signs in at OTPless; each time a new user, so that sessions can be told apart by who they show.
    pub(crate) fn sign_in(&self) -> Issued {
        let n = {
            let mut inner = self.inner();
            inner.sign_ins += 1;
            inner.sign_ins
        };
        let who = SignIn { email: Some(format!("user-{n}@example.com")), ..SignIn::default() };
        self.service().sign_in(who)
    }

    /// Writes down what happened, if somebody wants to read it.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = what();
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            let at = self.true_now().as_millis() - START_MS;
            let (days, rest) = (at / 86_400_000, at % 86_400_000);
            let _ = writeln!(
                trace,
                "day {days:2} {:02}:{:02}:{:02}.{:03}  {line}",
                rest / 3_600_000,
                rest / 60_000 % 60,
                rest / 1000 % 60,
                rest % 1000
            );
        }
    }

    pub(crate) fn trace(&self) -> Option<String> {
        Some(self.trace.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The machine's clock, as its processes see it.
#[derive(Debug)]
pub(crate) struct MachineClock(pub(crate) std::sync::Arc<World>);

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        self.0.wall()
    }

    fn monotonic(&self) -> Duration {
        let slept = if self.0.sabotage == Some(Sabotage::SleeplessClock) {
            self.0.inner().slept
        } else {
            Duration::ZERO
        };
        BOOTED + self.0.awake() + slept
    }

    fn unset(&self) -> Option<Duration> {
        let booted = self.0.inner().booted;
        self.0.scenario.unset_clock.then(|| self.0.true_now().saturating_since(booted))
    }

    fn boot(&self) -> Option<String> {
        self.0.scenario.unset_clock.then(|| format!("run-{}", self.0.restarts()))
    }
}
