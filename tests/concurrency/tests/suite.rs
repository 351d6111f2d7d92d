//! See the crate's documentation.

use otpless_concurrency::{
    endings::{self, Flaw},
    explore::{exhaust, explore, failure},
    flights::{self, Core, Loss},
};

#[test]
fn c3_callers_at_once_are_on_one_flight() {
    explore(|| flights::together(Core::Shipped, 4));
}

/// Rule 3.
#[test]
fn c3_a_caller_that_comes_as_a_flight_ends_is_on_it_or_on_the_next() {
    explore(|| flights::in_passing(Core::Shipped, 3, 2));
}

/// Rule 3.
#[test]
fn c3_a_caller_that_comes_as_a_flight_ends_in_any_order_there_is() {
    let orders = exhaust(|| flights::as_it_ends(Core::Shipped));
    println!("{orders} orders");
    assert!(orders > 1_000);
}

/// Also C2.
#[test]
fn c3_a_caller_that_goes_away_takes_nothing_with_it() {
    explore(|| flights::abandoned(Core::Shipped));
}

#[test]
fn c3_a_flight_that_panics_is_told_of_and_the_next_lands() {
    explore(|| flights::lost(Core::Shipped, Loss::Panic, 3));
}

#[test]
fn c3_a_flight_that_is_dropped_is_told_of_and_the_next_lands() {
    explore(|| flights::lost(Core::Shipped, Loss::Dropped, 3));
}

/// Rule 2.
#[test]
fn c11_no_write_survives_a_logout_in_any_order_there_is() {
    let orders = exhaust(|| endings::write_and_logout(Flaw::None));
    println!("{orders} orders");
    assert!(orders > 10);
}

/// Rules 2 and 3.
#[test]
fn c11_no_refresh_survives_a_logout() {
    explore(|| endings::refresh_and_logout(Flaw::None));
}

/// Rule 2.
#[test]
fn c11_sign_ins_refreshes_and_a_logout_at_once() {
    explore(|| endings::one_process(Flaw::None));
}

/// Rules 2 and 3.
#[test]
fn c11_a_logout_is_final_for_two_processes() {
    explore(|| endings::shared_logout(Flaw::None));
}

/// Rule 3; also C4.
#[test]
fn c11_a_sign_in_is_not_overwritten_by_another_process() {
    explore(|| endings::shared_sign_in(Flaw::None));
}

/// Rules 2 and 3.
#[test]
fn c11_two_processes_at_once() {
    explore(|| endings::two_processes(Flaw::None));
}

/// The checks above, seen to fail: each flaw is found, by a check that is there for it.
#[test]
fn c3_flawed_single_flights_are_found_out() {
    let kept_apart = ["two flights at once", "an old result"];
    found(|| flights::in_passing(Core::LooksThenStarts, 3, 2), &kept_apart);
    found(|| flights::in_passing(Core::JoinsTheLanded, 3, 2), &kept_apart);
    let next_lands = ["a new flight after the lost one"];
    found(|| flights::lost(Core::JoinsTheLost, Loss::Panic, 3), &next_lands);
    found(|| flights::lost(Core::JoinsTheLost, Loss::Dropped, 3), &next_lands);
    found(|| flights::abandoned(Core::FliesWithItsCaller), &["no flight is lost", "left in the air"]);
}

/// The same for the generation and what is around it; rules 2 and 3.
#[test]
fn c11_flawed_endings_are_found_out() {
    let erased = ["a write survived the end"];
    found(|| endings::write_and_logout(Flaw::GuardOutside), &erased);
    found(|| endings::write_and_logout(Flaw::ErasesFirst), &erased);
    let agree = ["a write survived the end", "is in memory", "memory and keychain differ"];
    found(|| endings::refresh_and_logout(Flaw::AdoptsBlindly), &agree);
    found(|| endings::one_process(Flaw::GuardOutside), &agree);
    found(|| endings::one_process(Flaw::ErasesFirst), &agree);
    found(|| endings::one_process(Flaw::AdoptsBlindly), &agree);
    found(|| endings::one_process(Flaw::ErasesTheNewer), &agree);
    found(|| endings::shared_logout(Flaw::ExpectsNothing), &erased);
    found(|| endings::shared_sign_in(Flaw::ExpectsNothing), &erased);
    let once = ["a refresh token was offered twice"];
    found(|| endings::shared_logout(Flaw::NoRefreshLock), &once);
    found(|| endings::shared_sign_in(Flaw::NoRefreshLock), &once);
}

fn found(scenario: impl Fn() + Clone + Send + Sync + 'static, by: &[&str]) {
    let said = failure(scenario, None).expect("a schedule that fails");
    assert!(by.iter().any(|check| said.contains(check)), "it failed otherwise than expected: {said}");
}
