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
use world::World;

/// What came of one run.
struct Outcome {
    report: Report,
    violations: Vec<String>,
    trace: Option<String>,
}

/// Plays one run.
fn play(seed: u64, traced: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        let world = Arc::new(World::new(seed, traced));
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

struct Arguments {
    first: u64,
    runs: u64,
    traced: bool,
}

impl Arguments {
    fn read(words: &[String]) -> Result<Self, String> {
        let usage = "usage: [--seeds N [--from SEED]] | --seed SEED";
        let number =
            |word: &String| word.parse::<u64>().map_err(|_| format!("`{word}` is no number; {usage}"));
        let fresh = || fastrand::u64(..1 << 40);
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => Ok(Self { first: fresh(), runs: 2_000, traced: false }),
            ["--seeds", _] => Ok(Self { first: fresh(), runs: number(&words[1])?, traced: false }),
            ["--seeds", _, "--from", _] => {
                Ok(Self { first: number(&words[3])?, runs: number(&words[1])?, traced: false })
            }
            ["--seed", _] => Ok(Self { first: number(&words[1])?, runs: 1, traced: true }),
            _ => Err(usage.to_owned()),
        }
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
    let Arguments { first, runs, traced } = arguments;
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
                    let outcome = play(seed, traced);
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
