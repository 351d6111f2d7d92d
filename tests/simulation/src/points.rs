//! Each life is lived once for each step it has, until it has no further one. A step is a poll of a task or a call to the
//! keychain: what one poll does besides, such as writing two files, is not cut in two, and who is to stand still finishes the
//! call to the keychain that it is at.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::{
    Outcome, Run, on_all_cores,
    oracle::DIED_BEFORE_WRITE,
    play,
    report::Report,
    user::crash::{LIVES, Life},
    world::Play,
};

/// No life has so many steps: one that does not end is no life.
const MOST_STEPS: u32 = 20_000;

/// What has failed so often is broken; its further steps would tell no more.
const ENOUGH_FAILURES: usize = 20;

/// What came of all that were cut off so far.
#[derive(Debug, Default)]
struct Total {
    report: Report,
    /// How often a process was cut off, by what it was at.
    cuts: BTreeMap<&'static str, u64>,
    /// How many steps each life has.
    steps: BTreeMap<&'static str, u32>,
    failed: Vec<(u64, &'static str, u32)>,
}

/// What is wrong with what came of one cut.
fn wrong_with(life: Life, outcome: &Outcome) -> Vec<String> {
    let mut wrong = outcome.violations.clone();
    // Nothing else goes wrong here, so nothing else can have lost a session.
    let may_be = |cause: &str| life.may_cost_a_session() && cause == DIED_BEFORE_WRITE;
    let others = outcome.report.losses.keys().filter(|cause| !may_be(cause));
    wrong.extend(others.map(|cause| format!("a session is lost that need not be: {cause}")));
    wrong
}

/// Lives every life `rounds` times, each time from another seed, cut off at each of its steps. Whether all was well.
pub(crate) fn all(first: u64, rounds: u64, how: Play) -> bool {
    println!("crash points: {} lives from seed {first}, {rounds} times", LIVES.len());
    let started = Instant::now();
    let total = Mutex::new(Total::default());
    let lives = LIVES.len() as u64;
    on_all_cores(rounds * lives, |n| {
        let (seed, life) = (first.wrapping_add(n / lives), LIVES[(n % lives) as usize]);
        let mut failures = 0;
        for step in 0..=MOST_STEPS {
            let outcome = play(seed, Run::Life(life, step), how);
            let mut wrong = wrong_with(life, &outcome);
            if outcome.cut_at.is_some() && step == MOST_STEPS {
                wrong.push("its life does not end".to_owned());
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.report.add(&outcome.report);
            for violation in &wrong {
                eprintln!("seed {seed}, life {}, step {step}: {violation}", life.name);
            }
            if !wrong.is_empty() {
                total.failed.push((seed, life.name, step));
                failures += 1;
                if failures == ENOUGH_FAILURES {
                    return;
                }
            }
            let Some(at) = outcome.cut_at else {
                let most = total.steps.entry(life.name).or_default();
                *most = step.max(*most);
                return;
            };
            *total.cuts.entry(at).or_default() += 1;
        }
    });
    let Total { report, cuts, steps, failed } = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (life, steps) in steps {
        println!("  {:<52} {steps:>12}", format!("steps of the life `{life}`, cut off at each"));
    }
    for (at, count) in &cuts {
        println!("  {:<52} {count:>12}", format!("cut off {at}"));
    }
    for (cause, count) in &report.losses {
        println!("  {:<52} {count:>12}", format!("sessions lost: {cause}"));
    }
    println!("simulated in {:.1} s", started.elapsed().as_secs_f64());
    let count: u64 = cuts.values().sum();
    if let Some((seed, life, step)) = failed.first() {
        println!("crash points: FAILED at {} of {count}", failed.len());
        println!(
            "`cargo xtask simulate --life {life} --step {step} --seed {seed}` plays the first one again"
        );
        return false;
    }
    println!("crash points: ok. {count} cuts from seed {first}, no invariant violated");
    true
}

/// One of them, told. Whether all was well.
pub(crate) fn one(seed: u64, life: Life, step: u32, how: Play) -> bool {
    let outcome = play(seed, Run::Life(life, step), how);
    print!("{}", outcome.trace.as_deref().unwrap_or_default());
    let wrong = wrong_with(life, &outcome);
    for violation in &wrong {
        eprintln!("seed {seed}, life {}, step {step}: {violation}", life.name);
    }
    match outcome.cut_at {
        Some(at) => println!("it was cut off {at}"),
        None => println!("the life has no such step"),
    }
    wrong.is_empty()
}
