//! Months in the life of sessions, by the thousand: the real engine (state, background loop, store, verifier, API client)
//! over a virtual clock, a keychain and a network that fail in every way there is, and a service that really rotates.
//!
//! Everything that happens is drawn from a seed, and a seed replays exactly: `cargo xtask simulate --seed N` plays one run
//! again and prints what happened. What must hold is in [`oracle`]; after every step of the engine (a poll of one of its
//! tasks) whatever it has published is held against it.
//!
//! Real are also the signatures, the file locks and the files through which processes speak to each other. Not real: the
//! keychain and TLS, which tests/processes and the suite have for real.

mod executor;
mod keychain;
mod network;
mod oracle;
mod process;
mod report;
mod user;
mod world;

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use report::Report;
use world::{Play, Sabotage, World};

/// What came of one run.
struct Outcome {
    report: Report,
    violations: Vec<String>,
    trace: Option<String>,
}

/// Plays one run.
fn play(seed: u64, how: Play) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        let world = Arc::new(World::new(seed, how));
        // Unconstrained: tokio would have it pause after a number of operations, and it runs many tasks in one.
        let executor = tokio::task::unconstrained(world.executor.clone().run(world.clone()));
        let executor = tokio::spawn(executor);
        user::month(world.clone()).await;
        executor.abort();
        let report = world.report().clone();
        let violations = world.oracle().violations.clone();
        Outcome { report, violations, trace: world.trace() }
    });
    drop(runtime);
    outcome
}

const USAGE: &str = "usage: --seeds N [--from SEED] | --seed SEED, with [--sabotage forgetful-keychain|no-locks|revived-by-hand|no-deadlines|deaf-to-waits|endless-waits|loop-stops|never-stores]";

struct Arguments {
    first: u64,
    runs: u64,
    how: Play,
}

impl Arguments {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut read = Self { first: fastrand::u64(..1 << 40), runs: 2_000, how: Play::default() };
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(format!("`{}` needs a value; {USAGE}", pair[0])) };
            let number = || value.parse::<u64>().map_err(|_| format!("`{value}` is no number; {USAGE}"));
            match name.as_str() {
                // What shows nothing is not ok.
                "--seeds" if number() == Ok(0) => return Err(format!("no month is played; {USAGE}")),
                "--seeds" => read.runs = number()?,
                "--from" => read.first = number()?,
                "--seed" => (read.first, read.runs, read.how.traced) = (number()?, 1, true),
                "--sabotage" => {
                    read.how.sabotage = Some(match value.as_str() {
                        "forgetful-keychain" => Sabotage::ForgetfulKeychain,
                        "no-locks" => Sabotage::NoLocks,
                        "revived-by-hand" => Sabotage::RevivedByHand,
                        "no-deadlines" => Sabotage::NoDeadlines,
                        "endless-waits" => Sabotage::EndlessWaits,
                        "deaf-to-waits" => Sabotage::DeafToWaits,
                        "loop-stops" => Sabotage::LoopStops,
                        "never-stores" => Sabotage::NeverStores,
                        _ => return Err(format!("`{value}` is no sabotage; {USAGE}")),
                    });
                }
                _ => return Err(format!("`{name}` is not known; {USAGE}")),
            }
        }
        Ok(read)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let Arguments { first, runs, how } = arguments;
    println!("simulation: {runs} session-months from seed {first}");
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new((Report::default(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= runs {
                        return;
                    }
                    let seed = first.wrapping_add(n);
                    let outcome = play(seed, how);
                    if let Some(trace) = &outcome.trace {
                        print!("{trace}");
                    }
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.0.add(&outcome.report);
                    if !outcome.violations.is_empty() {
                        for violation in &outcome.violations {
                            eprintln!("seed {seed}: {violation}");
                        }
                        total.1.push(seed);
                    }
                }
            });
        }
    });
    let (report, failed) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{report}");
    println!("simulated in {:.1} s", started.elapsed().as_secs_f64());
    if failed.is_empty() {
        println!("simulation: ok. {runs} session-months from seed {first}, no invariant violated");
        ExitCode::SUCCESS
    } else {
        println!("simulation: FAILED for {} of {runs} seeds: {failed:?}", failed.len());
        println!(
            "`cargo xtask simulate --seed {}` plays the first one again and tells what happened",
            failed[0]
        );
        ExitCode::FAILURE
    }
}
