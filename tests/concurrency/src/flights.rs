//! Callers of a single flight: what they may rely on, in every order of events (C2, C3, rule 3).

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use shuttle::{
    future::{block_on, yield_now},
    sync::Barrier,
    thread,
};

use crate::{
    flawed::FlawedFlight,
    runtime::{BoxFuture, Executor, OnPurpose},
    single_flight::{Lost, SingleFlight},
};

/// What flies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// The text that ships.
    Shipped,
    /// Lets go of the lock between the look for a flight to join and the start of its own.
    LooksThenStarts,
    /// Takes a flight that is over for one under way, and its old result for a new one.
    JoinsTheLanded,
    /// Takes a flight that ended without a result for one under way.
    JoinsTheLost,
    /// The work is the caller's own future, not the runtime's.
    FliesWithItsCaller,
}

#[derive(Debug)]
enum Flights {
    Shipped(SingleFlight<u32>),
    Flawed(FlawedFlight),
}

/// An airfield and its logbook. The logbook is the test's own: plain atomics, at which no thread loses its turn.
#[derive(Clone, Debug)]
struct Field(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    flights: Flights,
    executor: Executor,
    started: AtomicU32,
    landed: AtomicU32,
    in_the_air: AtomicU32,
    /// The newest flight of which somebody has the result.
    known: AtomicU32,
}

impl Field {
    fn new(core: Core) -> Self {
        let flights = match core {
            Core::Shipped => Flights::Shipped(SingleFlight::default()),
            flawed => Flights::Flawed(FlawedFlight::new(flawed)),
        };
        Self(Arc::new(Inner {
            flights,
            executor: Executor::default(),
            started: AtomicU32::new(0),
            landed: AtomicU32::new(0),
            in_the_air: AtomicU32::new(0),
            known: AtomicU32::new(0),
        }))
    }

    /// Asks for a flight; the result is its number, from 1. On the way it does `on_the_way`, which is told the number.
    fn call<F>(
        &self,
        on_the_way: impl FnOnce(u32) -> F + Send + 'static,
    ) -> BoxFuture<std::result::Result<u32, Lost>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let field = self.0.clone();
        let work = async move {
            let number = field.started.fetch_add(1, Ordering::SeqCst) + 1;
            let air = Air::enter(&field);
            on_the_way(number).await;
            drop(air);
            field.landed.fetch_add(1, Ordering::SeqCst);
            number
        };
        match &self.0.flights {
            Flights::Shipped(flights) => Box::pin(flights.run(&self.0.executor, || work)),
            Flights::Flawed(flights) => flights.run(&self.0.executor, Box::pin(work)),
        }
    }

    fn started(&self) -> u32 {
        self.0.started.load(Ordering::SeqCst)
    }

    fn landed(&self) -> u32 {
        self.0.landed.load(Ordering::SeqCst)
    }

    /// Calls, waits, and checks that the result is newer than any that was there before the call.
    fn fly(&self) -> u32 {
        let known = self.0.known.load(Ordering::SeqCst);
        let number = block_on(self.call(|_| yield_now())).expect("no flight is lost");
        assert!(
            number > known,
            "an old result: flight {number} was over, somebody had the result of {known}"
        );
        self.0.known.fetch_max(number, Ordering::SeqCst);
        number
    }
}

/// Being the one flight in the air.
struct Air(Arc<Inner>);

impl Air {
    fn enter(field: &Arc<Inner>) -> Self {
        assert_eq!(field.in_the_air.fetch_add(1, Ordering::SeqCst), 0, "two flights at once");
        Self(field.clone())
    }
}

impl Drop for Air {
    fn drop(&mut self) {
        self.0.in_the_air.fetch_sub(1, Ordering::SeqCst);
    }
}

fn join<T>(threads: impl IntoIterator<Item = thread::JoinHandle<T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a failure would have ended the execution"))
        .collect()
}

/// `callers` ask before the flight is over: there is one flight, and all have its result.
pub fn together(core: Core, callers: usize) {
    let field = Field::new(core);
    let all_are_in = Arc::new(Barrier::new(callers + 1));
    let threads: Vec<_> = (0..callers)
        .map(|_| {
            let (field, all_are_in) = (field.clone(), all_are_in.clone());
            thread::spawn(move || {
                let landing = field.call({
                    let all_are_in = all_are_in.clone();
                    |_| async move {
                        all_are_in.wait();
                    }
                });
                all_are_in.wait();
                block_on(landing).expect("no flight is lost")
            })
        })
        .collect();
    assert_eq!(join(threads), vec![1; callers], "all have the result of the one flight");
    assert_eq!(field.started(), 1);
}

/// `callers` ask `calls` times each, with nothing to hold a flight up: some come exactly as one ends. Each has a result that
/// is not from before its call, no two flights are in the air at once, and none flies for nobody.
pub fn in_passing(core: Core, callers: usize, calls: usize) {
    let field = Field::new(core);
    let threads = (0..callers).map(|_| {
        let field = field.clone();
        thread::spawn(move || (0..calls).map(|_| field.fly()).collect::<Vec<_>>())
    });
    let mut results = join(threads.collect::<Vec<_>>()).concat();
    results.sort_unstable();
    results.dedup();
    assert_eq!(results, (1..=field.started()).collect::<Vec<_>>(), "every flight had a caller");
}

/// A caller that comes at any moment of a flight's end; nothing else, so that every order can be played. It is on that
/// flight or on the next one.
pub fn as_it_ends(core: Core) {
    let field = Field::new(core);
    let first = field.call(|_| async {});
    let comes = {
        let field = field.clone();
        thread::spawn(move || field.fly())
    };
    assert_eq!(block_on(first).expect("no flight is lost"), 1);
    field.0.known.fetch_max(1, Ordering::SeqCst);
    let [number] = join([comes]).try_into().expect("one caller");
    assert_eq!(number, field.started(), "every flight had a caller");
    assert!(number <= 2);
}

/// Callers that go away, one at once and one after a look: the flight goes on, and whoever stays has its result.
pub fn abandoned(core: Core) {
    let field = Field::new(core);
    let leaves_at_once = {
        let field = field.clone();
        thread::spawn(move || drop(field.call(|_| yield_now())))
    };
    let leaves_after_a_look = {
        let field = field.clone();
        thread::spawn(move || {
            let mut landing = field.call(|_| yield_now());
            block_on(poll_fn(|context| {
                let _ = landing.as_mut().poll(context);
                Poll::Ready(())
            }));
        })
    };
    let stays = {
        let field = field.clone();
        thread::spawn(move || {
            field.fly();
        })
    };
    join([leaves_at_once, leaves_after_a_look, stays]);
    field.0.executor.join();
    assert!(field.started() > 0);
    assert_eq!(field.landed(), field.started(), "a flight was left in the air");
}

/// How a flight ends without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The work panics.
    Panic,
    /// The runtime drops the work, at any moment, started or not.
    Dropped,
}

/// The first flight is lost (or may be, if it is dropped late): who waited for it hears so, and whoever asks after that is
/// on a new one, which lands.
pub fn lost(core: Core, loss: Loss, callers: usize) {
    let field = Field::new(core);
    let mut threads: Vec<_> = (0..callers)
        .map(|_| {
            let field = field.clone();
            thread::spawn(move || {
                let call = || {
                    block_on(field.call(move |number| async move {
                        yield_now().await;
                        if loss == Loss::Panic && number == 1 {
                            OnPurpose::panic();
                        }
                    }))
                };
                let first = call();
                if first.is_err() {
                    assert!(call().is_ok(), "a new flight after the lost one");
                }
                assert!(
                    loss == Loss::Dropped || !matches!(first, Ok(1)),
                    "a result of the flight that panicked"
                );
            })
        })
        .collect();
    if loss == Loss::Dropped {
        let executor = field.0.executor.clone();
        threads.push(thread::spawn(move || executor.drop_the_first()));
    }
    join(threads);
    field.0.executor.join();
    assert_eq!(field.0.in_the_air.load(Ordering::SeqCst), 0);
}
