//! `cargo xtask test`: every check there is, in the order in which failures show soonest.

use crate::process::{Failure, cargo, run};
use crate::{dependencies, env, frontend, package, setup};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One part of `cargo xtask test`.
pub struct Step {
    /// What `--only` takes.
    pub name: &'static str,
    /// What the step shows, for the help.
    pub about: &'static str,
    run: fn() -> Result<Passed, Failure>,
}

/// What a step that did not fail has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// All it is there for.
    Whole,
    /// Not this, which cannot be had here.
    Without(&'static str),
}

/// In the order they run.
pub const STEPS: &[Step] = &[
    Step { name: "fmt", about: "Rust code is formatted", run: || whole(formatting()) },
    Step {
        name: "guest-js",
        about: "the npm package type-checks, builds and passes its tests",
        run: || whole(frontend::test_package()),
    },
    Step {
        name: "ui",
        about: "the demo's page builds and passes its tests",
        run: || whole(frontend::test_page()),
    },
    Step {
        name: "clippy",
        about: "clippy, with every warning an error, also as in a release",
        run: || whole(clippy()),
    },
    Step {
        name: "deny",
        about: "licences, bans, sources and advisories of all dependencies; both lock files are up to date",
        run: dependencies::check,
    },
    Step { name: "rust", about: "unit, contract, IPC and keychain tests", run: rust },
    Step {
        name: "simulation",
        about: "2,000 session-months from a fresh seed, which is printed (`--from SEED` from that one, `--seeds N` so many); \
                short lives in which a process is killed, or stopped for long, at each of their steps",
        run: || whole(simulation()),
    },
    Step {
        name: "doc",
        about: "rustdoc and typedoc, with every warning an error",
        run: || whole(documentation()),
    },
    Step {
        name: "end-to-end",
        about: "the demo app in a real webview with a real keychain",
        run: || whole(end_to_end()),
    },
    Step {
        name: "package",
        about: "the packed crate and npm package in a scratch app: it builds, starts and gets an answer",
        run: || whole(package::test()),
    },
];

/// A clean build takes minutes on an idle machine, and many more on a busy one.
pub const BUILD_BOUND: Duration = Duration::from_secs(45 * 60);
/// Time for tests that are built already.
pub const TEST_BOUND: Duration = Duration::from_secs(20 * 60);

/// The target of the end-to-end tests. It is not among those of a plain `cargo test`, so each command names it.
pub const END_TO_END: &[&str] = &["--test", "life"];

/// What there is to lint, beside the end-to-end tests.
const TARGETS: &[&str] = &["--lib", "--bins", "--examples", "--tests"];

fn whole(step: Result<(), Failure>) -> Result<Passed, Failure> {
    step.map(|()| Passed::Whole)
}

/// What makes a step fail that cannot show all it is there for.
const STRICT: &str = "--strict";

/// How many months the simulation plays.
const SEEDS: &str = "--seeds";
/// Where it begins, instead of at a fresh seed: a change is judged by what it has changed, and not by what one month in ten
/// thousand may find in everything.
const FROM: &str = "--from";
/// What the simulation is told of these.
static SIMULATED: OnceLock<Vec<String>> = OnceLock::new();

/// `test [--strict] [--from SEED] [--seeds N] [--only STEP]…`.
pub fn test(arguments: &[&str]) -> Result<(), Failure> {
    let strict = arguments.contains(&STRICT);
    let mut named: Vec<_> = arguments.iter().copied().filter(|word| *word != STRICT).collect();
    let mut simulated = Vec::new();
    for option in [SEEDS, FROM] {
        let Some(at) = named.iter().position(|word| *word == option) else { continue };
        if named.get(at + 1).is_none_or(|number| number.parse::<u64>().is_err()) {
            return Err(format!("`{option}` needs a number."));
        }
        simulated.extend(named.drain(at..at + 2).map(str::to_owned));
    }
    SIMULATED.get_or_init(|| simulated);
    let steps = chosen(&named)?;
    setup::setup()?;
    let mut times = Vec::new();
    let mut outcome = Ok(Passed::Whole);
    for step in &steps {
        println!("\n== {}: {}", step.name, step.about);
        let started = Instant::now();
        outcome = (step.run)();
        if let (Ok(Passed::Without(what)), true) = (&outcome, strict) {
            outcome = Err(format!("{what}; without `{STRICT}` that is only said."));
        }
        times.push((step.name, started.elapsed(), outcome.clone().ok()));
        if outcome.is_err() {
            break;
        }
    }
    summary(&steps, &times);
    outcome.map(drop).map_err(|failure| {
        let name = times.last().map_or("", |(name, ..)| name);
        format!("{failure}\nThe step `{name}` failed. Alone it runs with `cargo xtask test --only {name}`.")
    })
}

fn chosen(arguments: &[&str]) -> Result<Vec<&'static Step>, Failure> {
    if arguments.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let mut names = Vec::new();
    for pair in arguments.chunks(2) {
        match pair {
            ["--only", name] if STEPS.iter().any(|step| step.name == *name) => names.push(*name),
            ["--only", name] => {
                return Err(format!("there is no step `{name}`. The steps are {}.", list_of_steps()));
            }
            ["--only"] => return Err(format!("`--only` needs the name of a step: {}.", list_of_steps())),
            [other, ..] => {
                return Err(format!(
                    "`cargo xtask test` does not know `{other}`; see `cargo xtask test --help`."
                ));
            }
            [] => {}
        }
    }
    Ok(STEPS.iter().filter(|step| names.contains(&step.name)).collect())
}

fn list_of_steps() -> String {
    STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

fn summary(steps: &[&Step], times: &[(&str, Duration, Option<Passed>)]) {
    println!("\n{:<14} {:>9}", "step", "time");
    for step in steps {
        match times.iter().find(|(name, ..)| *name == step.name) {
            Some((name, time, passed)) => {
                let verdict = match passed {
                    Some(Passed::Whole) => "ok".to_owned(),
                    Some(Passed::Without(what)) => format!("ok, but {what}"),
                    None => "FAILED".to_owned(),
                };
                println!("{name:<14} {:>7.1} s  {verdict}", time.as_secs_f64());
            }
            None => println!("{:<14} {:>9}  not run", step.name, "-"),
        }
    }
}

fn formatting() -> Result<(), Failure> {
    run(&mut cargo(&["fmt", "--all", "--check"]), BUILD_BOUND)
}

// All the steps below select the whole workspace and targets that need the dev-dependencies: cargo then resolves one
// set of features for all of them, and the webview's crates, most of the build, are compiled once per profile.

fn clippy() -> Result<(), Failure> {
    // Not `--all-targets`: it takes in the unit tests of packages that have turned theirs off, and leaves out what a plain
    // `cargo test` leaves out, even when it is named beside it.
    for targets in [TARGETS, END_TO_END] {
        let mut command = cargo(&["clippy", "--workspace"]);
        run(command.args(targets).args(["--", "-D", "warnings"]), BUILD_BOUND)?;
    }
    // What a release build is made of, without building all of the webview's crates a second time: only these two
    // packages have code under `debug_assertions`, and the plugin does not compile with any left in it.
    let mut release = cargo(&["clippy", "--workspace"]);
    release.args(TARGETS);
    for package in ["tauri-plugin-otpless", "otpless-demo"] {
        release.args(["--config", &format!("profile.dev.package.{package}.debug-assertions=false")]);
    }
    run(release.args(["--", "-D", "warnings"]), BUILD_BOUND)
}

fn rust() -> Result<Passed, Failure> {
    run(&mut cargo(&["test", "--workspace", "--no-run"]), BUILD_BOUND)?;
    on_a_desktop(&["test", "--workspace"])?;
    // No crate has them, so they are kept beside the project; the tests read them where they are.
    let vectors = crate::root().join("../shared/vectors");
    Ok(if vectors.is_dir() {
        Passed::Whole
    } else {
        Passed::Without("the JOSE vectors of Wycheproof are not in ../shared/vectors")
    })
}

/// A quarter of an hour on two cores.
const MONTHS: &str = "2000";

/// How often each short life is lived with a process that is cut off at each of its steps: some 2,000 times each round.
const ROUNDS: &str = "3";

fn simulation() -> Result<(), Failure> {
    let mut told: Vec<&str> = SIMULATED.get().into_iter().flatten().map(String::as_str).collect();
    if !told.contains(&SEEDS) {
        told.extend([SEEDS, MONTHS]);
    }
    crate::simulate::simulate(&told, BUILD_BOUND)?;
    let first = told.iter().position(|word| *word == FROM).map_or(&[][..], |at| &told[at..at + 2]);
    crate::simulate::simulate(&[&["--crash-points", ROUNDS], first].concat(), BUILD_BOUND)
}

/// Off by default, and in the reference all the same.
const MIDDLEWARE: &str = "tauri-plugin-otpless/middleware";

fn documentation() -> Result<(), Failure> {
    let mut command =
        cargo(&["doc", "--workspace", "--lib", "--examples", "--no-deps", "--features", MIDDLEWARE]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"), BUILD_BOUND)?;
    frontend::document()
}

fn end_to_end() -> Result<(), Failure> {
    frontend::page()?;
    let test = [&["test", "--workspace"], END_TO_END].concat();
    run(cargo(&test).arg("--no-run"), BUILD_BOUND)?;
    // They share one keychain, so they wait for each other anyway; in one thread each tells its story uninterrupted.
    on_a_desktop(&[test.as_slice(), &["--", "--nocapture", "--test-threads=1"]].concat())
}

fn on_a_desktop(arguments: &[&str]) -> Result<(), Failure> {
    env::run(&cargo(arguments), TEST_BOUND)
}
