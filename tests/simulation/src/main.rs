//! Months in the life of sessions, by the thousand: the real engine (state, background loop, store, verifier, API client)
//! over a virtual clock, a keychain and a network that fail in every way there is, and a service that really rotates.
//!
//! Everything that happens is drawn from a seed, and a seed replays exactly: `cargo xtask simulate --seed N` plays one run
//! again and prints what happened. What must hold is in [`oracle`]; after every step of the engine (a poll of one of its
//! tasks) whatever it has published is held against it.
//!
//! Real are also the signatures, the file locks and the files through which processes speak to each other. Not real: the
//! keychain and TLS, which tests/processes and the suite have for real.

mod arguments;
mod executor;
mod keychain;
mod network;
mod oracle;
mod points;
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

use arguments::{Arguments, What};
use report::Report;
use user::crash::Life;
use world::{Play, World};

/// What came of one run.
struct Outcome {
    report: Report,
    violations: Vec<String>,
    trace: Option<String>,
    /// What the process was at that was to be cut off, if it came so far.
    cut_at: Option<&'static str>,
}

/// What one run is of.
#[derive(Clone, Copy, Debug)]
enum Run {
    Month,
    /// A process is cut off at that step of its life.
    Life(Life, u32),
}

/// Plays one run.
fn play(seed: u64, run: Run, mut how: Play) -> Outcome {
    if let Run::Life(life, _) = run {
        how.scenario = Some(life.scenario());
    }
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
        let cut_at = match run {
            Run::Month => {
                user::month(world.clone()).await;
                None
            }
            Run::Life(life, step) => user::crash::life(world.clone(), life, step).await,
        };
        executor.abort();
        let report = world.report().clone();
        let violations = world.oracle().violations.clone();
        Outcome { report, violations, trace: world.trace(), cut_at }
    });
    drop(runtime);
    outcome
}

/// Calls `work` with each number below `count`, on as many threads as there are cores.
fn on_all_cores(count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count) {
                    work(n);
                }
            });
        }
    });
}

/// Plays `runs` months. Whether all was well.
fn months(first: u64, runs: u64, how: Play) -> bool {
    println!("simulation: {runs} session-months from seed {first}");
    let started = Instant::now();
    let total = Mutex::new((Report::default(), Vec::new()));
    on_all_cores(runs, |n| {
        let seed = first.wrapping_add(n);
        let outcome = play(seed, Run::Month, how);
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
    });
    let (report, failed) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{report}");
    println!("simulated in {:.1} s", started.elapsed().as_secs_f64());
    if let Some(seed) = failed.first() {
        println!("simulation: FAILED for {} of {runs} seeds: {failed:?}", failed.len());
        println!("`cargo xtask simulate --seed {seed}` plays the first one again and tells what happened");
        return false;
    }
    println!("simulation: ok. {runs} session-months from seed {first}, no invariant violated");
    true
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Arguments { first, what, how } = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let is_well = match what {
        What::Months(runs) => months(first, runs, how),
        What::CrashPoints(rounds) => points::all(first, rounds, how),
        What::CrashPoint(life, step) => points::one(first, life, step, how),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
