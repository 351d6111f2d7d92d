//! `cargo xtask fuzz`: the targets in `fuzz/`, each for some minutes.

use crate::process::{Failure, answer, forget_xtask, line, run, wait};
use crate::tools::Tool;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const CARGO_FUZZ: Tool =
    Tool { name: "cargo-fuzz", version: "0.13.2", about: "builds and runs the fuzz targets" };

/// The plugin's dependencies once more, with the fuzzer's counters in them.
const BUILD_BOUND: Duration = Duration::from_secs(60 * 60);
const USUAL_MINUTES: u64 = 10;

/// `fuzz [--minutes N] [TARGET…]`: all targets, one after the other, unless some are named.
pub fn fuzz(arguments: &[&str]) -> Result<(), Failure> {
    let (mut minutes, mut named) = (USUAL_MINUTES, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if *word == "--minutes" {
            let number = words.next().ok_or("`--minutes` needs a number of minutes.")?;
            // libFuzzer takes none for no end.
            let within = number.parse().ok().filter(|number| (1..=24 * 60).contains(number));
            minutes =
                within.ok_or_else(|| format!("`{number}` is not a number of minutes up to a day's."))?;
        } else {
            named.push(*word);
        }
    }
    let there = targets()?;
    if let Some(unknown) = named.iter().find(|name| !there.iter().any(|target| target == *name)) {
        return Err(format!("there is no target `{unknown}`. The targets are {}.", there.join(", ")));
    }
    nightly()?;
    let program = CARGO_FUZZ.program()?;
    run(cargo_fuzz(&program, "build").args(["--sanitizer", "none"]), BUILD_BOUND)?;
    let chosen = there.iter().filter(|target| named.is_empty() || named.contains(&target.as_str()));
    let mut outcome = Ok(());
    let mut executions = Vec::new();
    for target in chosen {
        let (count, ended) = one(&program, target, minutes)?;
        executions.push((target, count, ended.is_ok()));
        outcome = outcome.and(ended);
    }
    println!("\n{:<16} {:>14}", "target", "executions");
    for (target, count, held) in executions {
        let count = count.map_or_else(|| "unknown".into(), |count| count.to_string());
        println!("{target:<16} {count:>14}  {}", if held { "ok" } else { "FAILED" });
    }
    outcome
}

/// Every program in `fuzz/fuzz_targets` is one.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = crate::root().join("fuzz/fuzz_targets");
    let files =
        fs::read_dir(&folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn nightly() -> Result<(), Failure> {
    if answer("rustc", &["+nightly", "--version"]).is_some() {
        return Ok(());
    }
    Err("fuzzing needs a nightly compiler, and there is none here. With rustup it is installed by\n    \
         rustup toolchain install nightly --profile minimal\n\
         `cargo xtask test` replays the corpus without one."
        .into())
}

/// How often the target ran, and whether what must hold held.
fn one(program: &Path, target: &str, minutes: u64) -> Result<(Option<u64>, Result<(), Failure>), Failure> {
    let folder = crate::root().join("fuzz");
    // What is found goes here and not into the committed corpus: what is worth keeping gets a name there.
    let found = folder.join("target/corpus").join(target);
    let log = folder.join("target").join(format!("{target}.log"));
    let failed = |what: &Path, error| format!("cannot write {}: {error}", what.display());
    fs::create_dir_all(&found).map_err(|error| failed(&found, error))?;
    let output = File::create(&log).map_err(|error| failed(&log, error))?;
    let seconds = minutes * 60;
    let mut command = cargo_fuzz(program, "run");
    command.args(["--sanitizer", "none", target]).arg(&found).arg(folder.join("corpus").join(target));
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    // Tokens are up to 16 KiB long. Slower than this on one input is a way to stop the app.
    command.args(["-max_len=20000", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    println!("$ {}    (its output is in {})", line(&command), shown(&log));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .map_err(|error| format!("cannot start `{}`: {error}", line(&command)))?;
    let status = wait(&mut child, Duration::from_secs(seconds) + BUILD_BOUND)
        .map_err(|error| format!("cannot wait for `{}`: {error}", line(&command)))?;
    let said = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let count = said
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|count| count.trim().parse().ok());
    let ended = match status {
        Some(status) if status.success() => Ok(()),
        _ => Err(format!(
            "the target `{target}` failed. What it failed on is in fuzz/artifacts/{target}, what it said in {}. \
             Give the input a name in fuzz/corpus/{target}, and `cargo test` has it for ever.",
            shown(&log)
        )),
    };
    Ok((count, ended))
}

fn cargo_fuzz(program: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(program);
    // Asked for by name, and not through the cargo that runs this program, which belongs to another toolchain.
    command.args(["fuzz", subcommand]).current_dir(crate::root()).env("RUSTUP_TOOLCHAIN", "nightly");
    for variable in ["CARGO", "RUSTC", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    forget_xtask(&mut command);
    command
}

fn shown(path: &Path) -> String {
    path.strip_prefix(crate::root()).map_or_else(|_| path.into(), PathBuf::from).display().to_string()
}
