//! What must hold after every step, decided by what really happened, which the engine cannot see.

mod at_the_end;
mod calls;
mod happenings;
mod shown;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use tauri_plugin_otpless::{SessionStatus, Timestamp, engine::Policy};

use crate::world::World;

/// Clocks agree within this: `Date` has whole seconds, and the engine takes less than 5 s for none.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// Activity is noted no more often than this (`ACTIVITY_GRANULARITY`).
const ACTIVITY_SLACK: Duration = Duration::from_secs(15);

/// The loop looks at least this often while the machine is awake (`MAX_SLEEP`), and what is published may be so old.
const LOOK_SLACK: Duration = Duration::from_secs(65);

/// After a sleep the network gets as long to come back (`SETTLE` in `src/session/sleep.rs`).
const SETTLE: Duration = Duration::from_secs(3);

/// OTPless's tolerance for `exp`.
const LEEWAY: Duration = Duration::from_secs(60);

/// Most revocations that the keychain holds (`MAX_REVOCATIONS` in `src/store/outbox.rs`).
const MOST_NOTED: usize = 16;

/// Most calls to the session API in an hour: the budget's capacity and what it grows by (`src/session/budget.rs`).
const MOST_CALLS_AN_HOUR: usize = 30 + 180;

/// Most key fetches in an hour: one in five seconds while they fail (`KEY_RETRY_COOLDOWN` in `src/jwt/jwks.rs`).
const MOST_KEY_FETCHES_AN_HOUR: usize = 3600 / 5 + 1;

/// The longest `Retry-After` that is believed of an answer that may be a proxy's (`MAX_ANONYMOUS_RETRY_AFTER`).
const MOST_OF_ANYBODY: Duration = Duration::from_secs(5 * 60);

/// Rule 5: the same token is not offered again sooner.
const EXCHANGE_INTERVAL: Duration = Duration::from_secs(59);

/// Why a session is lost that nobody ended.
pub(crate) const DIED_BEFORE_WRITE: &str = "the server rotated and the process died before the write";
pub(crate) const ANSWER_LOST: &str = "the server rotated and the network lost its answer";

/// A keychain that works takes what it is given within this: a queue of a few calls, of 20 ms each.
const STORED_AT_ONCE: Duration = Duration::from_secs(1);

/// A keychain that has worked for so long, in a process that has run for so long, has been tried again.
const STORED_BY_NOW: Duration = Duration::from_secs(60 * 60);

/// Enough of a user's id to tell users apart.
pub(crate) fn short(user: &str) -> &str {
    user.get(..9).unwrap_or(user)
}

/// One sign-in, as it really is.
#[derive(Debug)]
struct Truth {
    session_id: String,
    began: Timestamp,
    /// When it was first seen, in a process or in the keychain.
    seen_at: Option<Duration>,
    /// The same by true time: its keys had to be fetched and its entry written since it began, and it counts from here or
    /// from there.
    accepted: Timestamp,
    last_active: Timestamp,
    /// Whether the process that noted it did not know the time.
    noted_in_doubt: bool,
    ended: bool,
    logout_called: bool,
    /// Ended in every process that starts from now on.
    final_since: Option<Duration>,
    replaced: bool,
    verdict: bool,
    damaged: bool,
    ever_stored: bool,
    /// Whether the keychain knows, or has every reason to, that it is over and the service must be told.
    owed: bool,
    clock_moved: bool,
    exchanges: Vec<Exchange>,
    refresh_expires: Timestamp,
}

/// A refresh that the service has answered.
#[derive(Debug)]
struct Exchange {
    process: String,
    new_token: String,
    /// When, while the machine was awake.
    delivered: Option<Duration>,
    /// Whether the network has lost the answer.
    lost: bool,
    stored: bool,
    died: bool,
}

/// One process, as the oracle has seen it.
#[derive(Debug, Default)]
struct Seen {
    alive: bool,
    shows: Option<String>,
    status: Option<SessionStatus>,
    /// What it showed as over, and whether as damaged, which another process may have and write anew. The rest must not come back.
    over: HashMap<String, bool>,
    time_known: bool,
    /// Whether the service has told it the time since the clock was last set.
    was_told_time: bool,
    /// When, while the machine was awake, the service first told it the time.
    told_time_at: Option<Duration>,
    /// Whether it ever was not: what it has decided then may be carried out later.
    was_in_doubt: bool,
    calls: VecDeque<Duration>,
    key_fetches: VecDeque<Duration>,
    in_flight: HashSet<String>,
    /// Until when, by true time, the service has asked it not to make calls of a kind (`Retry-After`).
    asked_to_wait: HashMap<&'static str, Timestamp>,
    last_offer: Option<(String, Duration)>,
    /// How many sign-ins are under way in it: their keys are fetched for somebody who waits.
    signing_in: usize,
    started: Duration,
    died: Option<Duration>,
    /// When it last began to run: it was started, or went on after it had stood still.
    woke: Duration,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    policy: Policy,
    truths: BTreeMap<String, Truth>,
    users_by_session: HashMap<String, String>,
    users_by_refresh_token: HashMap<String, String>,
    /// Session tokens the service has issued: whose, and until when.
    issued: HashMap<String, (String, Timestamp)>,
    seen: BTreeMap<String, Seen>,
    last_jump: Option<Duration>,
    /// When, by the time that it is awake, the machine woke up last.
    woke_up: Option<Duration>,
    /// Whether a process was told the time since the machine was started, and has told the others: whoever starts now knows it.
    time_is_shared: bool,
    pub(crate) violations: Vec<String>,
}

impl Oracle {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            truths: BTreeMap::new(),
            users_by_session: HashMap::new(),
            users_by_refresh_token: HashMap::new(),
            issued: HashMap::new(),
            seen: BTreeMap::new(),
            last_jump: None,
            woke_up: None,
            time_is_shared: false,
            violations: Vec::new(),
        }
    }

    pub(crate) fn violated(&mut self, world: &World, what: String) {
        world.tell(|| format!("VIOLATION: {what}"));
        if self.violations.len() < 5 {
            self.violations.push(what);
        }
    }
}
