//! The project's own commands: `cargo xtask setup`, `cargo xtask test`, `cargo xtask demo`.
//!
//! No dependency beyond std: a newcomer's first command must not begin with a long build.

mod demo;
mod dependencies;
mod desktop;
mod env;
mod frontend;
mod fuzz;
mod package;
mod process;
mod setup;
mod simulate;
mod test;
mod tools;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["setup"] => setup::setup().map(|()| println!("Everything this project needs is installed.")),
        ["test", rest @ ..] if !rest.contains(&"--help") => test::test(rest),
        ["demo"] => demo::demo(demo::Display::IfThereIsOne),
        ["demo", "--headless"] => demo::demo(demo::Display::Never),
        ["desktop", program, rest @ ..] => {
            env::run(std::process::Command::new(program).args(rest), test::TEST_BOUND)
        }
        ["simulate", rest @ ..] if !rest.contains(&"--help") => simulate::simulate(rest, simulate::BY_HAND),
        ["fuzz", rest @ ..] if !rest.contains(&"--help") => fuzz::fuzz(rest),
        [env::KEEP, rest @ ..] => return env::keep(rest),
        [desktop::INSIDE, rest @ ..] => return desktop::inside(rest),
        []
        | ["help" | "--help" | "-h"]
        | ["setup" | "test" | "demo" | "simulate" | "fuzz", "--help" | "-h"] => {
            println!("{}", help());
            Ok(())
        }
        _ => Err(format!("`cargo xtask {}` is not a command.\n\n{}", words.join(" "), help())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = String::from(
        "cargo xtask setup               install what this project needs (Debian, Ubuntu), or say what is missing\n\
         cargo xtask demo                open the demo app beside a local OTPless; without a display, play a whole\n\
         \u{20}                               life in it and leave screenshots and a transcript in target/demo\n\
         cargo xtask demo --headless     the latter, also where there is a display\n\
         cargo xtask test                every check, the quickest to fail first\n\
         cargo xtask test --only STEP    one step (may be given several times)\n\
         cargo xtask test --from SEED    the same, with a simulation that begins at this seed and not at a fresh one;\n\
         \u{20}                               with --seeds N it plays so many months\n\
         cargo xtask test --strict       the same, and what cannot be checked here is an error: without a network the\n\
         \u{20}                               advisories are not\n\
         cargo xtask simulate --seeds N  that many months in the life of sessions, from a fresh seed (it is printed) or,\n\
         \u{20}                               with --from SEED, from that one\n\
         cargo xtask simulate --seed S   one of them again, and what happened in it\n\
         cargo xtask simulate --crash-points N  short lives, N times over, in which a process is killed, or stopped for longer\n\
         \u{20}                               than any timeout, at each of their steps, in turn\n\
         cargo xtask fuzz --minutes N    each fuzz target for that long, with the nightly compiler (10 minutes if not said);\n\
         \u{20}                               targets may be named: cargo xtask fuzz --minutes 1 jwt claims\n\
         cargo xtask desktop COMMAND     run a command with a display, a session bus and a keychain to throw away,\n\
         \u{20}                               for instance: cargo xtask desktop cargo test --workspace --test suite keychain\n\n\
         Steps:\n",
    );
    for step in test::STEPS {
        text.push_str(&format!("    {:<14} {}\n", step.name, step.about));
    }
    text
}

/// The workspace's root folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}
