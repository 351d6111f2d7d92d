//! Sign-in, refresh and logout at once: what a session that is over leaves behind, which is nothing (C11, rules 2 and 3).

use std::{
    collections::HashMap,
    sync::{Mutex as Plain, PoisonError},
};

use shuttle::{future::block_on, thread};

use crate::{
    generation::{Generation, GenerationGuard},
    runtime::Executor,
    single_flight::SingleFlight,
    sync::{Arc, Mutex},
};

/// What is built otherwise than it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// The guard is asked before the store's critical section, not in it.
    GuardOutside,
    /// A logout erases before it starts a new generation.
    ErasesFirst,
    /// What was stored becomes the session without another look at the generation.
    AdoptsBlindly,
    /// An erase that was decided before a newer sign-in is carried out all the same.
    ErasesTheNewer,
    /// A refresh writes whatever another process has made of the entry meanwhile.
    ExpectsNothing,
    /// Processes do not take turns at refreshing.
    NoRefreshLock,
}

/// The tokens of a sign-in, known by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tokens {
    sign_in: u32,
    rotation: u32,
}

/// What processes share: a keychain behind the lock of the vault, the lock of the refresh, and the server.
#[derive(Debug, Default)]
struct Machine {
    keychain: Mutex<Option<Tokens>>,
    refresh_lock: Mutex<()>,
    server: Server,
}

/// The service: a test's own, so its lock is plain and no place where a thread loses its turn.
#[derive(Debug, Default)]
struct Server(Plain<HashMap<u32, Session>>);

#[derive(Debug, Default)]
struct Session {
    rotation: u32,
    /// A logout or another sign-in has ended it, of which the service need not know yet.
    over: bool,
}

impl Server {
    fn sessions<T>(&self, look: impl FnOnce(&mut HashMap<u32, Session>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sign_in(&self) -> Tokens {
        self.sessions(|sessions| {
            let sign_in = u32::try_from(sessions.len()).expect("few") + 1;
            sessions.insert(sign_in, Session::default());
            Tokens { sign_in, rotation: 0 }
        })
    }

    fn newest_sign_in(&self) -> u32 {
        self.sessions(|sessions| u32::try_from(sessions.len()).expect("few"))
    }

    /// The next tokens for `offered`, `None` if they are spent. They may be if the session is over: a refresh that a logout
    /// overtook has spent them and does not store the next ones, and until the erase another process finds them.
    fn rotate(&self, offered: Tokens) -> Option<Tokens> {
        self.sessions(|sessions| {
            let session = sessions.get_mut(&offered.sign_in).expect("a sign-in of this server");
            if session.rotation != offered.rotation {
                assert!(session.over, "a refresh token was offered twice: {offered:?}, {session:?}");
                return None;
            }
            session.rotation += 1;
            Some(Tokens { rotation: session.rotation, ..offered })
        })
    }

    fn note_over(&self, sign_in: u32) {
        self.sessions(|sessions| sessions.get_mut(&sign_in).expect("a sign-in of this server").over = true);
    }
}

#[derive(Debug, Default)]
struct State {
    live: Option<Tokens>,
    /// The sign-in that is on its way into the keychain.
    storing: Option<Tokens>,
    /// Sign-ins that a logout or another sign-in has ended.
    over: Vec<u32>,
}

/// One process of the app: the real generation and the real single flight, and around them the order in which the session
/// manager and the vault take their steps.
#[derive(Clone, Debug)]
struct Process(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    machine: Arc<Machine>,
    generation: Generation,
    state: Mutex<State>,
    refreshing: SingleFlight<()>,
    executor: Executor,
    flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Anything,
    This(Tokens),
}

impl Process {
    /// A process that has restored `live` from the keychain.
    fn start(machine: &Arc<Machine>, live: Option<Tokens>, flaw: Flaw) -> Self {
        Self(Arc::new(Inner {
            machine: machine.clone(),
            generation: Generation::default(),
            state: Mutex::new(State { live, ..State::default() }),
            refreshing: SingleFlight::default(),
            executor: Executor::default(),
            flaw,
        }))
    }

    fn refresh(&self) {
        let inner = self.0.clone();
        let flight = self.0.refreshing.run(&self.0.executor, move || async move { inner.refresh() });
        block_on(flight).expect("no flight is lost");
    }

    fn spawn(&self, act: fn(&Self)) -> thread::JoinHandle<()> {
        let process = self.clone();
        thread::spawn(move || act(&process))
    }

    fn sign_in(&self) {
        self.0.sign_in();
    }

    fn sign_out(&self) {
        self.0.sign_out();
    }

    /// The session in memory, after a check that no logout has ended it.
    fn live(&self) -> Option<Tokens> {
        self.0.state(|state| {
            assert!(
                state.live.is_none_or(|live| !state.over.contains(&live.sign_in)),
                "a session that was ended is in memory: {state:?}"
            );
            state.live
        })
    }
}

impl Inner {
    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("nobody panics with it"))
    }

    /// Nothing of what was begun before may be seen again.
    fn end(&self, state: &mut State) {
        for ended in [state.live.take(), state.storing.take()].into_iter().flatten() {
            self.machine.server.note_over(ended.sign_in);
            state.over.push(ended.sign_in);
        }
    }

    fn sign_in(&self) {
        let tokens = self.machine.server.sign_in();
        let generation = self.state(|state| {
            self.end(state);
            state.storing = Some(tokens);
            self.generation.next()
        });
        self.commit(&self.generation.guard(generation), Expect::Anything, tokens);
        self.state(|state| {
            if self.generation.current() == generation || self.flaw == Flaw::AdoptsBlindly {
                state.live = Some(tokens);
                state.storing = None;
            }
        });
    }

    fn sign_out(&self) {
        if self.flaw == Flaw::ErasesFirst {
            *self.keychain() = None;
        }
        let (generation, newest) = self.state(|state| {
            self.end(state);
            (self.generation.next(), self.machine.server.newest_sign_in())
        });
        if self.flaw == Flaw::ErasesFirst {
            return;
        }
        let guard = self.generation.guard(generation);
        let mut keychain = self.keychain();
        if !guard.holds() && self.flaw != Flaw::ErasesTheNewer {
            return;
        }
        // What another process began later than this logout stays.
        if keychain.is_some_and(|there| there.sign_in <= newest) {
            *keychain = None;
        }
    }

    fn refresh(&self) {
        let found = self.state(|state| state.live.map(|live| (self.generation.current(), live)));
        let Some((generation, live)) = found else { return };
        let turn = (self.flaw != Flaw::NoRefreshLock)
            .then(|| self.machine.refresh_lock.lock().expect("nobody panics with it"));
        let there = *self.keychain();
        match there {
            Some(there) if there == live => {
                let renewed = self.machine.server.rotate(live).filter(|renewed| {
                    self.commit(&self.generation.guard(generation), Expect::This(live), *renewed)
                });
                self.settle(generation, renewed);
            }
            Some(there) if there.sign_in == live.sign_in => self.settle(generation, Some(there)),
            // Signed out, or signed in anew, in another process.
            _ => self.settle(generation, None),
        }
        drop(turn);
    }

    /// What a refresh of `generation` came to: the session goes on with `tokens`, or is over.
    fn settle(&self, generation: u64, tokens: Option<Tokens>) {
        self.state(|state| {
            if self.generation.current() != generation && self.flaw != Flaw::AdoptsBlindly {
                return;
            }
            if tokens.is_none() {
                self.generation.next();
            }
            state.live = tokens;
        });
    }

    /// Like the vault's: what is expected, the guard and the write are one step under one lock.
    fn commit(&self, guard: &GenerationGuard, expect: Expect, tokens: Tokens) -> bool {
        let held = self.flaw == Flaw::GuardOutside && guard.holds();
        let mut keychain = self.keychain();
        let expected = match expect {
            Expect::Anything => true,
            Expect::This(tokens) => *keychain == Some(tokens) || self.flaw == Flaw::ExpectsNothing,
        };
        let holds = if self.flaw == Flaw::GuardOutside { held } else { guard.holds() };
        if expected && holds {
            *keychain = Some(tokens);
        }
        expected && holds
    }

    fn keychain(&self) -> shuttle::sync::MutexGuard<'_, Option<Tokens>> {
        self.machine.keychain.lock().expect("nobody panics with it")
    }
}

fn machine_with_a_session() -> (Arc<Machine>, Tokens) {
    let machine = Arc::new(Machine::default());
    let tokens = machine.server.sign_in();
    *machine.keychain.lock().expect("nobody panics with it") = Some(tokens);
    (machine, tokens)
}

fn play(acts: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for act in acts {
        act.join().expect("a failure would have ended the execution");
    }
}

/// The keychain at the end, after a check that what it holds is not over and is the newest that the server gave out.
fn kept(machine: &Machine, processes: &[&Process]) -> Option<Tokens> {
    let kept = *machine.keychain.lock().expect("nobody panics with it");
    if let Some(kept) = kept {
        for process in processes {
            process.0.state(|state| {
                assert!(!state.over.contains(&kept.sign_in), "a write survived the end: {kept:?}, {state:?}");
            });
        }
        let newest = machine.server.sessions(|sessions| sessions[&kept.sign_in].rotation);
        assert_eq!(kept.rotation, newest, "the newest tokens are lost");
    }
    kept
}

/// A write that was decided on before a logout, and the logout: nothing else, so that every order can be played.
pub fn write_and_logout(flaw: Flaw) {
    let (machine, tokens) = machine_with_a_session();
    let process = Process::start(&machine, Some(tokens), flaw);
    let guard = process.0.generation.guard(process.0.generation.current());
    let writer = process.clone();
    let write = thread::spawn(move || {
        writer.0.commit(&guard, Expect::Anything, tokens);
    });
    play([write, process.spawn(Process::sign_out)]);
    assert_eq!(kept(&machine, &[&process]), None);
    assert_eq!(process.live(), None);
}

/// One process that renews, by two callers, while the user signs out.
pub fn refresh_and_logout(flaw: Flaw) {
    let (machine, tokens) = machine_with_a_session();
    let process = Process::start(&machine, Some(tokens), flaw);
    play([
        process.spawn(Process::refresh),
        process.spawn(Process::refresh),
        process.spawn(Process::sign_out),
    ]);
    assert_eq!(kept(&machine, &[&process]), None);
    assert_eq!(process.live(), None);
}

/// One process in which everything happens at once. Whatever it ends with, memory and keychain agree.
pub fn one_process(flaw: Flaw) {
    let (machine, tokens) = machine_with_a_session();
    let process = Process::start(&machine, Some(tokens), flaw);
    play([
        process.spawn(Process::sign_in),
        process.spawn(Process::refresh),
        process.spawn(Process::sign_out),
        process.spawn(Process::sign_in),
        process.spawn(Process::refresh),
    ]);
    assert_eq!(process.live(), kept(&machine, &[&process]), "memory and keychain differ");
}

/// Two processes of one session: both renew, one signs out. It is over for both.
pub fn shared_logout(flaw: Flaw) {
    let (machine, tokens) = machine_with_a_session();
    let one = Process::start(&machine, Some(tokens), flaw);
    let other = Process::start(&machine, Some(tokens), flaw);
    play([
        one.spawn(Process::refresh),
        one.spawn(Process::sign_out),
        other.spawn(Process::refresh),
        other.spawn(Process::refresh),
    ]);
    assert_eq!(kept(&machine, &[&one, &other]), None);
    other.refresh();
    assert_eq!((one.live(), other.live()), (None, None));
}

/// Two processes of one session: both renew, one signs in anew. The keychain has what the new sign-in brought.
pub fn shared_sign_in(flaw: Flaw) {
    let (machine, tokens) = machine_with_a_session();
    let one = Process::start(&machine, Some(tokens), flaw);
    let other = Process::start(&machine, Some(tokens), flaw);
    play([one.spawn(Process::refresh), other.spawn(Process::refresh), other.spawn(Process::sign_in)]);
    let kept = kept(&machine, &[&one, &other]);
    assert!(kept.is_some_and(|kept| kept.sign_in != tokens.sign_in), "the sign-in is lost: {kept:?}");
    assert_eq!(other.live(), kept, "memory and keychain differ");
}

/// Two processes of one session: both renew, one signs out, the other signs in anew. After another look at the keychain no
/// process has a session that the keychain does not have.
pub fn two_processes(flaw: Flaw) {
    let (machine, tokens) = machine_with_a_session();
    let one = Process::start(&machine, Some(tokens), flaw);
    let other = Process::start(&machine, Some(tokens), flaw);
    play([
        one.spawn(Process::refresh),
        one.spawn(Process::sign_out),
        other.spawn(Process::refresh),
        other.spawn(Process::refresh),
        other.spawn(Process::sign_in),
    ]);
    kept(&machine, &[&one, &other]);
    one.refresh();
    other.refresh();
    let kept = kept(&machine, &[&one, &other]);
    for process in [one, other] {
        let live = process.live();
        assert!(live.is_none() || live == kept, "a process goes on with {live:?}, the keychain has {kept:?}");
    }
}
