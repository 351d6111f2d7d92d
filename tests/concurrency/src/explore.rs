//! Ways through a scenario: at random, by priorities, all of them, or one that is given.

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler},
};

/// `SHUTTLE_RANDOM_SEED` wins over it.
const SEED: u64 = 0x07_1e55;

/// How many schedules of each kind are drawn.
const DRAWN: usize = 5_000;

/// How often the scheduler by priorities changes them at most: the failures that need no more are found with a known
/// probability.
const PRIORITY_CHANGES: usize = 3;

/// Plays thousands of schedules of `scenario`, half of them drawn evenly and half by changing priorities; plays the one in
/// `OTPLESS_SCHEDULE` instead if there is one.
///
/// # Panics
///
/// If `scenario` does, in any of them.
pub fn explore(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    if let Ok(schedule) = env::var("OTPLESS_SCHEDULE") {
        return shuttle::replay(scenario, &schedule);
    }
    run(RandomScheduler::new_from_seed(SEED, DRAWN), FailurePersistence::Print, scenario.clone());
    run(PctScheduler::new_from_seed(SEED, PRIORITY_CHANGES, DRAWN), FailurePersistence::Print, scenario);
}

/// Plays every schedule of `scenario` there is and answers how many there are. For the smallest ones.
///
/// # Panics
///
/// If `scenario` does, in any of them.
pub fn exhaust(scenario: impl Fn() + Clone + Send + Sync + 'static) -> usize {
    run(DfsScheduler::new(None, false), FailurePersistence::Print, scenario)
}

/// Plays schedules of `scenario` until one fails, leaves that one in a file in `directory`, and answers with what words it
/// failed; `None` if none did.
pub fn failure(
    scenario: impl Fn() + Clone + Send + Sync + 'static,
    directory: Option<&Path>,
) -> Option<String> {
    let persistence = match directory {
        Some(directory) => FailurePersistence::File(Some(directory.to_owned())),
        None => FailurePersistence::None,
    };
    words(|| {
        run(RandomScheduler::new_from_seed(SEED, DRAWN), persistence.clone(), scenario.clone());
        run(PctScheduler::new_from_seed(SEED, PRIORITY_CHANGES, DRAWN), persistence, scenario);
    })
}

/// Plays the schedule that [`failure`] has left in `file`, and answers with what words it failed; `None` if it did not.
pub fn replayed(scenario: impl Fn() + Send + Sync + 'static, file: &Path) -> Option<String> {
    words(|| shuttle::replay_from_file(scenario, file))
}

fn words(play: impl FnOnce()) -> Option<String> {
    let payload = panic::catch_unwind(AssertUnwindSafe(play)).err()?;
    let said = payload.downcast_ref::<String>().cloned();
    said.or_else(|| payload.downcast_ref::<&str>().map(|said| (*said).to_owned())).or(Some(String::new()))
}

fn run(
    scheduler: impl Scheduler + 'static,
    persistence: FailurePersistence,
    scenario: impl Fn() + Send + Sync + 'static,
) -> usize {
    let mut config = Config::new();
    config.failure_persistence = persistence;
    Runner::new(scheduler, config).run(scenario)
}
