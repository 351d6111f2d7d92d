//! What is to be played.

use crate::{
    user::crash::{LIVES, Life},
    world::{Play, Sabotage},
};

/// See [`Arguments`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// So many months.
    Months(u64),
    /// Every life at each of its steps, so many times.
    CrashPoints(u64),
    /// One life at one of its steps.
    CrashPoint(Life, u32),
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) first: u64,
    pub(crate) what: What,
    pub(crate) how: Play,
}

fn usage() -> String {
    let sabotages: Vec<_> = Sabotage::ALL.iter().map(|(name, _)| *name).collect();
    let lives: Vec<_> = LIVES.iter().map(|life| life.name).collect();
    format!(
        "usage: --seeds N [--from SEED] | --seed SEED | --crash-points ROUNDS [--from SEED] | --life {} --step K --seed \
         SEED, with [--sabotage {}]",
        lives.join("|"),
        sabotages.join("|")
    )
}

impl Arguments {
    pub(crate) fn read(words: &[String]) -> Result<Self, String> {
        let mut read =
            Self { first: fastrand::u64(..1 << 40), what: What::Months(2_000), how: Play::default() };
        let (mut life, mut step) = (None, None);
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(format!("`{}` needs a value; {}", pair[0], usage())) };
            let number = || value.parse::<u64>().map_err(|_| format!("`{value}` is no number; {}", usage()));
            let unknown = |kind: &str| format!("`{value}` is no {kind}; {}", usage());
            match name.as_str() {
                // What shows nothing is not ok.
                "--seeds" | "--crash-points" if number() == Ok(0) => {
                    return Err(format!("nothing is played; {}", usage()));
                }
                "--seeds" => read.what = What::Months(number()?),
                "--crash-points" => read.what = What::CrashPoints(number()?),
                "--from" => read.first = number()?,
                "--seed" => (read.first, read.what, read.how.traced) = (number()?, What::Months(1), true),
                "--life" => life = Some(Life::named(value).ok_or_else(|| unknown("life"))?),
                "--step" => step = Some(value.parse().map_err(|_| unknown("step"))?),
                "--sabotage" => {
                    read.how.sabotage = Some(Sabotage::named(value).ok_or_else(|| unknown("sabotage"))?);
                }
                _ => return Err(format!("`{name}` is not known; {}", usage())),
            }
        }
        match (life, step) {
            (Some(life), Some(step)) if read.how.traced => read.what = What::CrashPoint(life, step),
            (None, None) => {}
            _ => return Err(format!("a life, a step and a seed belong together; {}", usage())),
        }
        Ok(read)
    }
}
