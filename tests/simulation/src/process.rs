//! A process of the app: the real engine, on a scheduler that can end it at any await point and before or after any call to the
//! keychain (SIGKILL), and stop it for a while at any await point (SIGSTOP).

use std::{
    fmt,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tauri_plugin_otpless::{
    BoxFuture, Session,
    engine::{
        ActivityLog, ClientApi, Expected, Job, JwksVerifier, Parts, Policy, Runtime, Serial, SessionManager,
    },
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    keychain::Keychain,
    network::Network,
    oracle::short,
    world::{MachineClock, Sabotage, World},
};

const MINUTE: Duration = Duration::from_secs(60);

/// What the network calls the service; nothing resolves it.
const SERVICE: &str = "https://service.invalid";

pub(crate) struct Process {
    name: String,
    world: Arc<World>,
    alive: AtomicBool,
    inner: Mutex<Inner>,
    published: Mutex<Option<watch::Receiver<Session>>>,
    stopped: Notify,
}

#[derive(Default)]
struct Inner {
    frozen: bool,
    /// Is cut off after so many steps more.
    fuse: Option<(u32, Cut)>,
    /// What it was at when it was.
    was_at: Option<&'static str>,
}

/// How a process is cut off from what it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// SIGKILL.
    Death,
    /// SIGSTOP, until somebody sends SIGCONT.
    Stop,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Process {
    fn new(name: String, world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            name,
            world,
            alive: AtomicBool::new(true),
            inner: Mutex::default(),
            published: Mutex::new(None),
            stopped: Notify::new(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.inner().frozen
    }

    /// SIGKILL.
    pub(crate) fn kill(&self, when: &'static str) {
        if self.alive.swap(false, Ordering::SeqCst) {
            self.world.tell(|| format!("{} is killed {when}", self.name));
            self.world.report().kills += 1;
            self.world.oracle().process_died(&self.name, &self.world);
            self.world.executor.drop_tasks_of(self);
        }
    }

    /// It will be cut off after so many steps: polls of its tasks and calls to the keychain.
    pub(crate) fn cut_after(&self, steps: u32, cut: Cut) {
        self.inner().fuse = Some((steps, cut));
    }

    /// It will not be, if it was not yet. Answers what it was at when it was.
    pub(crate) fn spare(&self) -> Option<&'static str> {
        let mut inner = self.inner();
        inner.fuse = None;
        inner.was_at
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.inner().frozen = true;
        self.world.report().freezes += 1;
        self.world.tell(|| format!("{} is frozen", self.name));
        self.stopped.notify_one();
    }

    /// Comes back when it is frozen for the first time.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.inner().frozen = false;
        self.world.oracle().woke(&self.name, &self.world);
        self.world.tell(|| format!("{} goes on", self.name));
        self.world.executor.thaw(self);
    }

    /// One step further, unless this is the one at which it is cut off. A call to the keychain that has begun is finished
    /// before a process stands still.
    pub(crate) fn step(&self, what: &'static str) {
        let cut = {
            let mut inner = self.inner();
            match &mut inner.fuse {
                Some((0, cut)) => {
                    let cut = *cut;
                    (inner.fuse, inner.was_at) = (None, Some(what));
                    Some(cut)
                }
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        match cut {
            Some(Cut::Death) => self.kill(what),
            Some(Cut::Stop) => self.freeze(),
            None => {}
        }
    }

    /// One poll of one of its tasks; ready if it is dead.
    pub(crate) fn poll(
        self: &Arc<Self>,
        work: &mut Pin<Box<dyn Future<Output = ()> + Send>>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.step("at an await");
        if !self.is_alive() {
            return Poll::Ready(());
        }
        if self.is_frozen() {
            // Whoever lets it go on makes all its tasks ready.
            return Poll::Pending;
        }
        let polled = work.as_mut().poll(context);
        self.world.report().steps += 1;
        if self.is_alive() {
            self.observe();
        }
        polled
    }

    /// Shows the oracle what the process has published, if that is new.
    fn observe(&self) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(receiver) = published.as_mut() else { return };
        if receiver.has_changed().unwrap_or(false) {
            let session = receiver.borrow_and_update().clone();
            self.world.tell(|| {
                let now = self.world.true_now();
                let ago = session.last_active_at.map(|at| now.as_millis() - at.as_millis());
                format!(
                    "{} shows {:?} {:?} {:?} {}, active {ago:?} ms ago",
                    self.name,
                    session.status,
                    session.storage,
                    session.end_reason,
                    session.user_id.as_deref().map_or("nobody", short),
                )
            });
            self.world.oracle().observe(&self.name, &session, &self.world);
        }
    }
}

/// The scheduler of one process.
#[derive(Clone, Debug)]
struct Scheduler(Arc<Process>);

impl Runtime for Scheduler {
    fn spawn(&self, work: BoxFuture<'static, ()>) {
        if self.0.is_alive() {
            self.0.world.executor.spawn(&self.0, work);
        }
    }

    fn serial(&self, _: &str) -> Option<Box<dyn Serial>> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let world = self.0.world.clone();
        self.spawn(Box::pin(async move {
            while let Some(job) = queue.recv().await {
                tokio::time::sleep(world.between(Duration::from_millis(1), Duration::from_millis(20))).await;
                world.moods.answering().await;
                job();
            }
        }));
        Some(Box::new(Queue(jobs)))
    }
}

#[derive(Debug)]
struct Queue(mpsc::UnboundedSender<Job>);

impl Serial for Queue {
    fn submit(&self, job: Job) -> bool {
        self.0.send(job).is_ok()
    }
}

/// The engine as it runs in a process.
fn engine(
    scheduler: &Scheduler,
    keychain: &Keychain,
    log: Arc<dyn ActivityLog>,
    shared: &Path,
) -> SessionManager {
    let (process, world) = (&scheduler.0, &scheduler.0.world);
    let runtime: Arc<dyn Runtime> = Arc::new(scheduler.clone());
    let clock = Arc::new(MachineClock(world.clone()));
    let network = Network::new(process, world);
    let settings = world.service.settings();
    let url = |path: &str| format!("{SERVICE}{path}").parse().expect("a URL");
    let verifier = JwksVerifier::new(
        Expected { issuer: settings.issuer.clone(), app_id: settings.app_id.clone() },
        url("/.well-known/jwks"),
        network.clone(),
        clock.clone(),
        log.clone(),
        runtime.clone(),
    );
    let make_store = {
        let (keychain, process, world) = (keychain.clone(), process.clone(), world.clone());
        Box::new(move || keychain.reached_by(&process, &world))
    };
    let policy = world.scenario.policy;
    let halved = |duration: Option<Duration>| duration.map(|duration| duration / 2);
    SessionManager::new(Parts {
        policy: match world.sabotage {
            Some(Sabotage::NoDeadlines) => Policy::default(),
            Some(Sabotage::EarlyDeadlines) => Policy {
                inactivity_timeout: halved(policy.inactivity_timeout),
                max_lifetime: halved(policy.max_lifetime),
                ..policy
            },
            _ => policy,
        },
        clock,
        api: Arc::new(ClientApi::new(network, url(""), &settings.app_id)),
        verifier: Arc::new(verifier),
        make_store,
        activity_log: log,
        lock_directory: Some(shared.to_owned()),
        random: {
            let world = world.clone();
            Arc::new(move || world.draw(|rng| rng.u32(..)))
        },
        runtime,
        attach: Default::default(),
    })
}

/// A running app.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) process: Arc<Process>,
    manager: SessionManager,
    scheduler: Scheduler,
}

impl App {
    pub(crate) fn start(
        name: String,
        world: &Arc<World>,
        keychain: &Keychain,
        log: Arc<dyn ActivityLog>,
        shared: &Path,
    ) -> Self {
        world.tell(|| format!("{name} starts"));
        world.report().starts += 1;
        let process = Process::new(name, world.clone());
        world.oracle().process_started(process.name(), world);
        let scheduler = Scheduler(process.clone());
        let manager = engine(&scheduler, keychain, log.clone(), shared);
        *process.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(manager.subscribe());
        let run = manager.clone().run();
        scheduler.spawn(match world.sabotage {
            Some(Sabotage::LoopStops) => Box::pin(async move { drop(timeout(5 * MINUTE, run).await) }),
            _ => Box::pin(run),
        });
        if world.sabotage == Some(Sabotage::TwoEngines) {
            let other = engine(&scheduler, keychain, log, &shared.join("of the other engine"));
            scheduler.spawn(Box::pin(other.run()));
        }
        Self { process, manager, scheduler }
    }

    /// Holds what the process shows, without having been asked, against what has happened.
    pub(crate) fn glance(&self) {
        if self.process.is_alive() && !self.process.is_frozen() {
            let (session, world) = (self.manager.subscribe().borrow().clone(), &self.process.world);
            world.oracle().glanced(self.process.name(), &session, world);
        }
    }

    /// Something the app does, in its process; `None` if that dies meanwhile.
    pub(crate) fn does<T, F>(&self, call: impl FnOnce(SessionManager) -> F) -> Doing<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let called = call(self.manager.clone());
        self.scheduler.spawn(Box::pin(async move {
            let _ = done.send(called.await);
        }));
        Doing(result)
    }
}

/// See [`App::does`].
#[derive(Debug)]
pub(crate) struct Doing<T>(oneshot::Receiver<T>);

impl<T> Doing<T> {
    pub(crate) async fn done(self) -> Option<T> {
        self.0.await.ok()
    }
}
