//! A schedule that failed fails again: what a failure prints is worth something.
//!
//! In a program of its own, because shuttle settles once per program where failures are written.

use std::fs;

use otpless_concurrency::{
    endings::{self, Flaw},
    explore::{failure, replayed},
};

/// C11, rule 2.
#[test]
fn c11_a_schedule_that_failed_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let flawed = || endings::one_process(Flaw::GuardOutside);
    let said = failure(flawed, Some(directory.path())).expect("a schedule that fails");
    // Written once more when the failed thread has unwound, and whole only then.
    let schedule = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).max();
    assert_eq!(replayed(flawed, &schedule.expect("a file")), Some(said));
}
