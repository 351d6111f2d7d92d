//! What happened, in numbers.

use std::{collections::BTreeMap, fmt};

/// Counts of one run, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) months: u64,
    pub(crate) sign_ins: u64,
    pub(crate) starts: u64,
    pub(crate) kills: u64,
    pub(crate) freezes: u64,
    pub(crate) sleeps: u64,
    pub(crate) clock_changes: u64,
    pub(crate) restarts: u64,
    pub(crate) steps: u64,
    pub(crate) store_calls: u64,
    pub(crate) requests: u64,
    pub(crate) exchanges: u64,
    /// Calls to the session API of the process that made most of them in one hour.
    pub(crate) busiest_hour: usize,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) ends: BTreeMap<String, u64>,
    pub(crate) losses: BTreeMap<&'static str, u64>,
    /// Sessions that no keychain took, and that were over with their process, as they had said.
    pub(crate) memory_only: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.months += other.months;
        self.sign_ins += other.sign_ins;
        self.starts += other.starts;
        self.kills += other.kills;
        self.freezes += other.freezes;
        self.sleeps += other.sleeps;
        self.clock_changes += other.clock_changes;
        self.restarts += other.restarts;
        self.steps += other.steps;
        self.store_calls += other.store_calls;
        self.requests += other.requests;
        self.exchanges += other.exchanges;
        self.busiest_hour = self.busiest_hour.max(other.busiest_hour);
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (name, count) in &other.ends {
            *self.ends.entry(name.clone()).or_default() += count;
        }
        self.memory_only += other.memory_only;
        for (name, count) in &other.losses {
            *self.losses.entry(name).or_default() += count;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row =
            |f: &mut fmt::Formatter<'_>, name: &str, count: u64| writeln!(f, "  {name:<52} {count:>12}");
        row(f, "session-months", self.months)?;
        row(f, "sign-ins", self.sign_ins)?;
        row(f, "process starts", self.starts)?;
        row(f, "steps of the engine, each publication judged", self.steps)?;
        row(f, "calls to the keychain", self.store_calls)?;
        row(f, "requests", self.requests)?;
        row(f, "refreshes the service has answered", self.exchanges)?;
        row(f, "session API calls in a process's busiest hour", self.busiest_hour as u64)?;
        row(f, "sessions in memory only to the end, as they said", self.memory_only)?;
        writeln!(f, "faults")?;
        row(f, "processes killed", self.kills)?;
        row(f, "processes frozen", self.freezes)?;
        row(f, "machine slept", self.sleeps)?;
        row(f, "clock set", self.clock_changes)?;
        row(f, "machine started anew", self.restarts)?;
        for (name, count) in &self.faults {
            row(f, name, *count)?;
        }
        writeln!(f, "ends, by reason shown")?;
        for (name, count) in &self.ends {
            row(f, name, *count)?;
        }
        writeln!(f, "sessions lost, by cause")?;
        if self.losses.is_empty() {
            row(f, "none", 0)?;
        }
        for (name, count) in &self.losses {
            row(f, name, *count)?;
        }
        Ok(())
    }
}
