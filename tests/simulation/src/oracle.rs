//! What must hold after every step, decided by what really happened, which the engine cannot see.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use otpless_local::{InProcessAnswer, Issued, SessionState};
use serde_json::Value;
use tauri_plugin_otpless::{
    EndReason, Session, SessionStatus, Storage, Timestamp,
    engine::{Policy, Response, Slot},
};

use crate::{keychain::Mood, network::Call, world::World};

/// Clocks agree within this: `Date` has whole seconds, and the engine takes less than 5 s for none.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// Activity is noted no more often than this (`ACTIVITY_GRANULARITY`).
const ACTIVITY_SLACK: Duration = Duration::from_secs(15);

/// The loop looks at least this often while the machine is awake (`MAX_SLEEP`), and what is published may be so old.
const LOOK_SLACK: Duration = Duration::from_secs(65);

/// After a sleep the network gets as long to come back (`SETTLE` in `src/session/task.rs`).
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

/// A keychain that has worked for so long, in a process that has run for so long, has been tried again.
const STORED_BY_NOW: Duration = Duration::from_secs(60 * 60);

/// Enough of a user's id to tell users apart.
pub(crate) fn short(user: &str) -> &str {
    user.get(..9).unwrap_or(user)
}

/// Whether it is a key set with keys in it.
fn brings_keys(body: &[u8]) -> bool {
    let set: Value = serde_json::from_slice(body).unwrap_or_default();
    set.get("keys").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty())
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
    /// Whether it has had the issuer's keys from the issuer.
    has_keys: bool,
    /// When, while the machine was awake, it has first shown something after a night without anybody (`quiet_night`).
    noticed: Option<Duration>,
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
    /// Since when the machine is awake after a sleep before which nothing was under way, and nobody has done anything since.
    quiet_night: Option<Duration>,
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
            quiet_night: None,
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

    // What happens in the world.

    pub(crate) fn process_started(&mut self, process: &str, world: &World) {
        let seen = Seen {
            alive: true,
            time_known: world.clock_error_ms() == 0 || self.time_is_shared,
            was_in_doubt: world.clock_error_ms() != 0 && !self.time_is_shared,
            started: world.awake(),
            woke: world.awake(),
            ..Seen::default()
        };
        self.seen.insert(process.to_owned(), seen);
    }

    pub(crate) fn process_died(&mut self, process: &str, world: &World) {
        if self.keeps_to_itself(process, world) {
            self.violated(world, format!("{process} dies with tokens that the keychain would have taken"));
        }
        if let Some(seen) = self.seen.get_mut(process) {
            seen.alive = false;
            seen.died = Some(world.awake());
            seen.in_flight.clear();
        }
        for exchange in self.truths.values_mut().flat_map(|truth| &mut truth.exchanges) {
            exchange.died |= exchange.process == process;
        }
    }

    /// Whether the only good tokens of a session are in the memory of `process`, although there was time to store them.
    fn keeps_to_itself(&self, process: &str, world: &World) -> bool {
        let long_ago = |at: Duration| at + STORED_BY_NOW <= world.awake();
        let ran = self.seen.get(process).is_some_and(|seen| long_ago(seen.woke));
        ran && world.moods.well_since().is_some_and(long_ago)
            && self.truths.values().any(|truth| {
                let open = !truth.ended && !truth.replaced && !truth.logout_called && !truth.verdict;
                let last = truth.exchanges.last().filter(|last| last.process == process && !last.stored);
                open && last.and_then(|last| last.delivered).is_some_and(long_ago)
            })
    }

    pub(crate) fn woke(&mut self, process: &str, world: &World) {
        if let Some(seen) = self.seen.get_mut(process) {
            seen.woke = world.awake();
        }
    }

    pub(crate) fn machine_slept(&mut self, world: &World) {
        self.last_jump = Some(world.awake());
        if !world.scenario.unset_clock {
            // It cannot be told from a clock that was set: what the service has said of the time is in doubt again.
            for seen in self.seen.values_mut() {
                seen.was_told_time = false;
            }
        }
    }

    /// Whether `process` can verify what it is given.
    pub(crate) fn has_keys(&self, process: &str) -> bool {
        self.seen.get(process).is_some_and(|seen| seen.has_keys)
    }

    /// The machine wakes up from a sleep before which nothing was under way.
    pub(crate) fn quiet_night(&mut self, world: &World) {
        self.quiet_night = Some(world.awake());
        for seen in self.seen.values_mut() {
            seen.noticed = None;
        }
    }

    /// Somebody does something again.
    pub(crate) fn somebody_acts(&mut self) {
        self.quiet_night = None;
    }

    /// Its processes are dead.
    pub(crate) fn machine_was_restarted(&mut self) {
        self.time_is_shared = false;
    }

    pub(crate) fn clock_was_set(&mut self, world: &World) {
        self.last_jump = Some(world.awake());
        for truth in self.truths.values_mut() {
            truth.clock_moved = true;
        }
        for seen in self.seen.values_mut() {
            seen.was_told_time = false;
        }
        if world.scenario.unset_clock {
            // Whoever knows what time it is keeps knowing it.
            return;
        }
        for seen in self.seen.values_mut() {
            seen.time_known = false;
            seen.was_in_doubt = true;
        }
    }

    /// Somebody brings a sign-in to a process, of which the service had the tokens `issued_at` that time.
    pub(crate) fn sign_in_begins(&mut self, issued: &Issued, issued_at: Timestamp, world: &World) {
        let now = world.true_now();
        let user = issued.user_id.clone();
        self.users_by_session.insert(issued.session_id.clone(), user.clone());
        self.users_by_refresh_token.insert(issued.refresh_token.clone(), user.clone());
        self.issued
            .insert(issued.session_token.clone(), (user.clone(), issued_at + world.scenario.session_token));
        self.truths.insert(
            user,
            Truth {
                session_id: issued.session_id.clone(),
                began: now,
                seen_at: None,
                accepted: now,
                last_active: now,
                noted_in_doubt: false,
                ended: false,
                logout_called: false,
                final_since: None,
                replaced: false,
                verdict: false,
                damaged: false,
                ever_stored: false,
                owed: false,
                clock_moved: world.clock_error_ms() != 0,
                exchanges: Vec::new(),
                refresh_expires: issued_at + world.scenario.refresh_token,
            },
        );
    }

    /// It was not taken: nobody will miss it, and the sessions before it go on.
    pub(crate) fn sign_in_failed(&mut self, issued: &Issued) {
        if let Some(truth) = self.truths.get_mut(&issued.user_id) {
            truth.ended = true;
            truth.logout_called = true;
        }
    }

    /// Its process died before it said whether it had taken it.
    pub(crate) fn sign_in_unknown(&mut self, issued: &Issued) {
        if let Some(truth) = self.truths.get_mut(&issued.user_id)
            && !truth.ever_stored
        {
            truth.logout_called = true;
        }
    }

    /// A session is there for the first time: it replaces those that began before.
    fn appeared(&mut self, user: &str, world: &World) {
        let Some(truth) = self.truths.get_mut(user).filter(|truth| truth.seen_at.is_none()) else { return };
        truth.seen_at = Some(world.awake());
        truth.accepted = world.true_now();
        let began = truth.began;
        for (_, other) in
            self.truths.iter_mut().filter(|(other, truth)| *other != user && truth.began <= began)
        {
            other.replaced = true;
        }
    }

    pub(crate) fn activity(&mut self, process: &str, at: Timestamp) {
        let Some(seen) = self.seen.get(process) else { return };
        if let Some(truth) = seen.shows.as_ref().and_then(|user| self.truths.get_mut(user)) {
            truth.last_active = truth.last_active.max(at);
            // Whoever the service has not told the time believes that it is no earlier than what another has noted.
            truth.noted_in_doubt = !seen.time_known || (truth.noted_in_doubt && !seen.was_told_time);
        }
    }

    pub(crate) fn logout_begins(&mut self) {
        for truth in self.truths.values_mut() {
            truth.logout_called = true;
        }
    }

    /// From here on nothing that was there when it began may be seen in this process, nor in one that starts later.
    pub(crate) fn logout_ends(&mut self, process: &str, before: &[String], world: &World) {
        for user in before {
            if let Some(truth) = self.truths.get_mut(user) {
                truth.ended = true;
                truth.final_since.get_or_insert(world.awake());
            }
            if let Some(seen) = self.seen.get_mut(process) {
                seen.over.insert(user.clone(), false);
            }
        }
    }

    /// Whose session `call` is about.
    fn user_of(&self, call: &Call) -> Option<String> {
        match call.refresh_token() {
            Some(old) => self.users_by_refresh_token.get(&old).cloned(),
            None => call.session_id().and_then(|id| self.users_by_session.get(&id).cloned()),
        }
    }

    /// The id of that session.
    pub(crate) fn session_of(&self, call: &Call) -> Option<String> {
        Some(self.truths.get(&self.user_of(call)?)?.session_id.clone())
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.truths.keys().cloned().collect()
    }

    /// What the keychain holds in `slot` is spoilt.
    pub(crate) fn damaged(&mut self, slot: Slot) {
        for truth in self.truths.values_mut() {
            match slot {
                Slot::Session => truth.damaged = true,
                // Nobody can read any more whose revocation it was to keep.
                Slot::Revocations => truth.owed = false,
            }
        }
    }

    /// The keychain has taken a list of revocations.
    pub(crate) fn noted(&mut self, bytes: &[u8]) {
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let is_full = self.truths.values().filter(|truth| holds(&truth.session_id)).count() >= MOST_NOTED;
        for truth in self.truths.values_mut() {
            // What a full list has not was delivered, or was the oldest of too many.
            truth.owed = holds(&truth.session_id) || (truth.owed && !is_full);
        }
    }

    pub(crate) fn wrote(&mut self, bytes: &[u8], world: &World) {
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        for truth in self.truths.values_mut() {
            truth.ever_stored |= holds(&truth.session_id);
        }
        for truth in self.truths.values_mut().filter(|truth| !truth.ended) {
            for exchange in truth.exchanges.iter_mut().filter(|exchange| !exchange.stored) {
                exchange.stored = holds(&exchange.new_token);
            }
        }
        let there =
            self.truths.iter().find(|(_, truth)| holds(&truth.session_id)).map(|(user, _)| user.clone());
        if let Some(user) = there {
            self.appeared(&user, world);
        }
    }

    /// An entry is gone: by a process that never showed it, because its deadline had passed when it was found, or by one
    /// whose clock is wrong and that the service has not told the time yet.
    pub(crate) fn erased(&mut self, process: &str, bytes: &[u8], world: &World) {
        let in_doubt = self.seen.get(process).is_some_and(|seen| seen.was_in_doubt);
        let now = world.true_now();
        for truth in self.truths.values_mut() {
            let id = truth.session_id.as_bytes();
            let idle = now.saturating_since(truth.last_active) + CLOCK_SLACK + ACTIVITY_SLACK;
            let age = now.saturating_since(truth.began) + CLOCK_SLACK;
            // Whoever knows the time finds idle what another, that does not, takes for used just now.
            let overdue = (self.policy.inactivity_timeout)
                .is_some_and(|timeout| idle >= timeout || truth.noted_in_doubt)
                || self.policy.max_lifetime.is_some_and(|max| age >= max);
            let expired = now + CLOCK_SLACK >= truth.refresh_expires;
            if bytes.windows(id.len()).any(|part| part == id) {
                truth.ended |= in_doubt || overdue || expired;
                // It says that it has noted the revocation, and has not.
                truth.owed &= world.moods.now() != Mood::Forgetful;
            }
        }
    }

    // Calls.

    pub(crate) fn sent(&mut self, process: &str, token: Option<String>, kind: &'static str, world: &World) {
        let now = world.awake();
        let hour = Duration::from_secs(3600);
        let jumped_since =
            |then: Duration, last_jump: Option<Duration>| last_jump.is_some_and(|at| at >= then);
        let mut wrong = Vec::new();
        let elsewhere = token.as_ref().is_some_and(|token| {
            self.seen.iter().any(|(p, seen)| p != process && seen.in_flight.contains(token))
        });
        let Some(seen) = self.seen.get_mut(process) else { return };
        let early = |until: &&Timestamp| world.true_now() < **until;
        if let Some(until) = seen.asked_to_wait.get(kind).filter(early) {
            let by = until.saturating_since(world.true_now());
            wrong.push(format!("{process} calls {kind} {by:?} before the service asked it to"));
        }
        if let Some(noticed) =
            seen.noticed.filter(|at| self.quiet_night.is_some() && kind != "keys" && now < *at + SETTLE)
        {
            wrong.push(format!(
                "{process} calls {kind} {:?} after it woke up: the network has not settled",
                now - noticed
            ));
        }
        let calls = if kind == "keys" { &mut seen.key_fetches } else { &mut seen.calls };
        calls.push_back(now);
        while calls.front().is_some_and(|at| *at + hour <= now) {
            calls.pop_front();
        }
        if seen.key_fetches.len() > MOST_KEY_FETCHES_AN_HOUR {
            wrong.push(format!("{process} fetched keys {} times within an hour", seen.key_fetches.len()));
        }
        if kind != "keys" {
            let mut report = world.report();
            report.busiest_hour = report.busiest_hour.max(seen.calls.len());
            if seen.calls.len() > MOST_CALLS_AN_HOUR {
                wrong.push(format!("{process} made {} calls within an hour", seen.calls.len()));
            }
        }
        if let Some(token) = token {
            if elsewhere {
                wrong.push(format!("{process} offers a token that another process has under way"));
            }
            if !seen.in_flight.insert(token.clone()) {
                wrong.push(format!("{process} has two exchanges of one token under way"));
            }
            if let Some((before, at)) = &seen.last_offer
                && *before == token
                && now < *at + EXCHANGE_INTERVAL
                && !jumped_since(*at, self.last_jump)
            {
                wrong.push(format!("{process} offers the same token again after {:?}", now - *at));
            }
            seen.last_offer = Some((token, now));
        }
        for what in wrong {
            self.violated(world, what);
        }
    }

    pub(crate) fn answered(&mut self, process: &str, call: &Call, answer: &InProcessAnswer, world: &World) {
        if answer.status != 200 {
            return;
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let now = world.true_now();
        let Some(jwt) = text("sessionTokenJWT") else { return };
        let Some(user) = self.user_of(call) else { return };
        self.issued.entry(jwt).or_insert((user.clone(), now + world.scenario.session_token));
        if let Some(new_token) = text("refreshToken") {
            world.report().exchanges += 1;
            self.users_by_refresh_token.insert(new_token.clone(), user.clone());
            if let Some(truth) = self.truths.get_mut(&user) {
                if !truth.exchanges.iter().any(|exchange| exchange.new_token == new_token) {
                    truth.refresh_expires = now + world.scenario.refresh_token;
                }
                let died = self.seen.get(process).is_none_or(|seen| !seen.alive);
                truth.exchanges.push(Exchange {
                    process: process.to_owned(),
                    new_token,
                    delivered: None,
                    lost: false,
                    stored: false,
                    died,
                });
            }
        }
    }

    /// An answer has come, so soon after the question or not that it tells what time it is.
    pub(crate) fn received(
        &mut self,
        process: &str,
        call: &Call,
        response: Option<&Response>,
        is_fresh: bool,
        world: &World,
    ) {
        if let Some(seen) = self.seen.get_mut(process) {
            if let Some(token) = call.refresh_token() {
                seen.in_flight.remove(&token);
            }
            let was_told = is_fresh && response.is_some_and(|response| response.date.is_some());
            seen.time_known |= was_told;
            seen.was_told_time |= was_told;
            if was_told {
                seen.told_time_at.get_or_insert(world.awake());
            }
            seen.has_keys |= call.kind() == "keys"
                && response.is_some_and(|response| response.status == 200 && brings_keys(&response.body));
            if let Some(wait) = response.and_then(|response| response.retry_after) {
                // Of an answer without OTPless's codes, as a key set's are, no more is believed.
                let most = if call.kind() == "keys" { MOST_OF_ANYBODY } else { Duration::MAX };
                let until = world.true_now() + wait.min(most);
                seen.asked_to_wait.insert(call.kind(), until);
            }
        }
        if call.refresh_token().is_some() {
            // Unless this is it (below).
            let exchanges = self.truths.values_mut().flat_map(|truth| &mut truth.exchanges);
            for exchange in exchanges.filter(|e| e.process == process && e.delivered.is_none()) {
                exchange.lost = true;
            }
        }
        let Some(response) = response else { return };
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let Some(truth) = self.user_of(call).and_then(|user| self.truths.get_mut(&user)) else { return };
        if matches!(text("errorCode"), Some("7414" | "7415")) {
            truth.verdict = true;
            world.tell(|| "it is a verdict".to_owned());
        }
        if let Some(new_token) = text("refreshToken") {
            for exchange in truth.exchanges.iter_mut().filter(|e| e.process == process) {
                if exchange.new_token == new_token {
                    exchange.delivered.get_or_insert(world.awake());
                    exchange.lost = false;
                }
            }
        }
    }

    // What a process shows.

    /// Something was published.
    pub(crate) fn observe(&mut self, process: &str, session: &Session, world: &World) {
        self.check(process, session, LOOK_SLACK, world);
        if let Some(woke) = self.quiet_night
            && let Some(seen) = self.seen.get_mut(process).filter(|seen| seen.woke < woke)
        {
            seen.noticed.get_or_insert(world.awake());
        }
        let Some(seen) = self.seen.get(process).filter(|seen| seen.time_known) else { return };
        if session.status != SessionStatus::Active {
            return;
        }
        let now = world.true_now();
        // Its token is the one of the user's that expires when the session says (C12); to the second only if it knows the
        // time to the second.
        let shown = session.expires_at.map(|at| at.shifted(-world.clock_error_ms()));
        let is_shown = |until: Timestamp| {
            let apart = |shown: Timestamp| until.saturating_since(shown).max(shown.saturating_since(until));
            !seen.was_told_time || shown.is_some_and(|shown| apart(shown) <= 2 * CLOCK_SLACK)
        };
        let good = self.issued.values().any(|(user, until)| {
            session.user_id.as_ref() == Some(user) && is_shown(*until) && now < *until + LEEWAY + CLOCK_SLACK
        });
        if !good {
            let what =
                format!("{process} shows a session as active whose token is not good, until {shown:?}");
            self.violated(world, what);
        }
    }

    /// Nobody looked: a process finds out by itself that a deadline has passed, once it has run for as long as its loop
    /// may sleep (C10).
    pub(crate) fn glanced(&mut self, process: &str, session: &Session, world: &World) {
        let Some(seen) = self.seen.get(process) else { return };
        let since = self.last_jump.unwrap_or_default().max(seen.woke);
        if world.awake() < since + LOOK_SLACK {
            return;
        }
        if let Some(user) = &session.user_id {
            for what in self.beyond_deadlines(process, user, LOOK_SLACK, world) {
                self.violated(world, format!("by itself, {what}"));
            }
        }
    }

    /// Which deadlines have passed of the session that `process` shows, by more than `slack`.
    fn beyond_deadlines(&self, process: &str, user: &str, slack: Duration, world: &World) -> Vec<String> {
        let in_doubt = self.seen.values().any(|seen| seen.alive && !seen.time_known);
        let (Some(seen), Some(truth)) = (self.seen.get(process), self.truths.get(user)) else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        if seen.time_known {
            let now = world.true_now();
            let slack = slack + CLOCK_SLACK;
            if self.policy.max_lifetime.is_some_and(|max| now > truth.accepted + max + slack) {
                wrong.push(format!("{process} shows a session beyond its maximum lifetime"));
            }
            let slack = slack + ACTIVITY_SLACK;
            // Whoever does not know the time tells the others of activity by the wrong one.
            if !in_doubt
                && !truth.noted_in_doubt
                && (self.policy.inactivity_timeout)
                    .is_some_and(|timeout| now > truth.last_active + timeout + slack)
            {
                wrong.push(format!("{process} shows a session beyond the inactivity timeout"));
            }
        }
        wrong
    }

    /// Somebody looked.
    pub(crate) fn looked(&mut self, process: &str, session: &Session, token: Option<&str>, world: &World) {
        self.check(process, session, Duration::ZERO, world);
        let shows = session.user_id.as_deref();
        if session.status == SessionStatus::Active && token.is_none() {
            self.violated(world, format!("{process} shows a session as active and has no token for it"));
            return;
        }
        let Some(token) = token else { return };
        let known = self.seen.get(process).is_some_and(|seen| seen.time_known);
        match self.issued.get(token) {
            None => self.violated(world, format!("{process} serves a token that the service has not issued")),
            Some((user, until)) => {
                let over = world.true_now() >= *until + LEEWAY + CLOCK_SLACK;
                if shows.is_some_and(|shows| shows != user) {
                    self.violated(world, format!("{process} serves somebody else's token"));
                } else if over && known {
                    self.violated(world, format!("{process} serves a token that has expired"));
                }
            }
        }
    }

    fn check(&mut self, process: &str, session: &Session, slack: Duration, world: &World) {
        if let Some(user) = &session.user_id {
            self.appeared(user, world);
        }
        let Some(seen) = self.seen.get(process) else { return };
        // It has run on since.
        self.time_is_shared |=
            world.scenario.unset_clock && seen.told_time_at.is_some_and(|at| at < world.awake());
        let (before, was, knows_time) = (seen.shows.clone(), seen.status, seen.time_known);
        let shows = session.user_id.clone();
        let mut wrong = Vec::new();
        if let Some(user) = &shows {
            match self.truths.get(user) {
                None => wrong.push(format!("{process} shows a session that never began")),
                Some(truth) => {
                    let started = seen.started;
                    let was_over = seen.over.get(user) == Some(&false);
                    if was_over || truth.final_since.is_some_and(|at| at < started) {
                        wrong.push(format!("{process} shows a session again that was over"));
                    }
                }
            }
            wrong.extend(self.beyond_deadlines(process, user, slack, world));
            wrong.extend(self.says_where_it_is(process, user, session.storage).err());
        }
        if session.status == SessionStatus::SignedOut
            && let Some(user) = before.clone()
        {
            wrong.extend(self.justify(process, &user, session.end_reason, world).err());
            self.ended(process, &user, session.end_reason, world);
            if let Some(truth) = self.truths.get_mut(&user) {
                truth.owed |= world.moods.now() == Mood::Well;
            }
        }
        if let (Some(user), Some(next)) = (&before, &shows)
            && user != next
        {
            wrong.extend(self.justify(process, user, Some(EndReason::Replaced), world).err());
            self.ended(process, user, Some(EndReason::Replaced), world);
        }
        let by_deadline = matches!(session.end_reason, Some(EndReason::Inactive | EndReason::Lifetime));
        if before.is_none() && by_deadline && !knows_time {
            // It has found a session and ended it at once, by the wrong time: for the others as well.
            for truth in self.truths.values_mut().filter(|truth| truth.ever_stored) {
                truth.ended = true;
            }
        }
        if session.status == SessionStatus::SignedOut
            && before.is_none()
            && matches!(was, None | Some(SessionStatus::Restoring))
        {
            wrong.extend(self.restored_nothing(process, session.end_reason, world).err());
        }
        if let Some(seen) = self.seen.get_mut(process) {
            seen.shows = shows;
            seen.status = Some(session.status);
        }
        for what in wrong {
            self.violated(world, what);
        }
    }

    /// A session that would be gone with its process says so (requirement A3).
    fn says_where_it_is(&self, process: &str, user: &str, storage: Storage) -> Result<(), String> {
        let never_stored = self.truths.get(user).is_some_and(|truth| !truth.ever_stored);
        if never_stored && storage == Storage::Keychain {
            return Err(format!("{process} says that the keychain has a session that it never had"));
        }
        Ok(())
    }

    fn ended(&mut self, process: &str, user: &str, reason: Option<EndReason>, world: &World) {
        if let Some(truth) = self.truths.get_mut(user) {
            truth.ended = true;
            truth.final_since.get_or_insert(world.awake());
        }
        if let Some(seen) = self.seen.get_mut(process) {
            let damaged = reason == Some(EndReason::StoreCorrupt);
            seen.over.entry(user.to_owned()).and_modify(|known| *known &= damaged).or_insert(damaged);
        }
    }

    /// Whether the end of `user`'s session has the reason that is shown.
    fn justify(
        &mut self,
        process: &str,
        user: &str,
        reason: Option<EndReason>,
        world: &World,
    ) -> Result<(), String> {
        // A process that the service has not told the time since somebody set the clock notes what it notes by the wrong one. It may
        // have ended a session that it has just found, and have been killed before it showed so.
        let appeared = self.truths.get(user).and_then(|truth| truth.seen_at);
        let in_doubt = self.seen.values().any(|seen| {
            let was_there =
                seen.alive || seen.died.is_some_and(|at| appeared.is_some_and(|since| at >= since));
            was_there && !seen.time_known
        });
        let began: Vec<_> =
            (self.truths.iter()).filter(|(other, _)| *other != user).map(|(_, truth)| truth.began).collect();
        let Some(truth) = self.truths.get_mut(user) else { return Ok(()) };
        let now = world.true_now();
        let ended_elsewhere = truth.ended;
        // Whoever has a clock that nobody sets is not misled by one that was, once it knows the time.
        let clock_moved = truth.clock_moved && !world.scenario.unset_clock;
        let idle = now.saturating_since(truth.last_active) + CLOCK_SLACK + ACTIVITY_SLACK;
        let age = now.saturating_since(truth.began) + CLOCK_SLACK;
        let state = world.service().session_state(&truth.session_id);
        *world.report().ends.entry(reason.map_or("none".to_owned(), |r| format!("{r:?}"))).or_default() += 1;
        let lost = (truth.exchanges.iter().rev()).find(|exchange| !exchange.stored).and_then(|exchange| {
            match exchange.delivered {
                None if exchange.lost || !exchange.died => Some(ANSWER_LOST),
                _ => exchange.died.then_some(DIED_BEFORE_WRITE),
            }
        });
        let holds = match reason {
            // What is shown may be why the one ended that had taken its place.
            _ if truth.replaced
                || ended_elsewhere
                || truth.verdict && state != Some(SessionState::Active) =>
            {
                true
            }
            Some(EndReason::Logout) => truth.logout_called,
            // Which of two began later is told by clocks, and some begin together.
            Some(EndReason::Replaced) => {
                began.iter().any(|other| truth.clock_moved || *other + CLOCK_SLACK >= truth.began)
            }
            Some(EndReason::Inactive) => {
                clock_moved
                    || in_doubt
                    || truth.noted_in_doubt
                    || self.policy.inactivity_timeout.is_some_and(|timeout| idle >= timeout)
            }
            Some(EndReason::Lifetime) => {
                clock_moved || in_doubt || self.policy.max_lifetime.is_some_and(|max| age >= max)
            }
            Some(EndReason::Expired) if now + CLOCK_SLACK >= truth.refresh_expires => true,
            // What was damaged may have been another process's newer tokens.
            Some(EndReason::Revoked | EndReason::Expired) if truth.damaged => true,
            // The service has the session, and what the device holds of it is refused or has expired: it was lost.
            Some(EndReason::Revoked | EndReason::Expired) => {
                if let Some(cause) = lost {
                    *world.report().losses.entry(cause).or_default() += 1;
                    world.tell(|| format!("LOST: {cause}"));
                }
                lost.is_some()
            }
            Some(EndReason::StoreCorrupt | EndReason::InvalidToken) => truth.damaged,
            Some(_) | None => false,
        };
        if holds {
            Ok(())
        } else {
            Err(format!(
                "{process} ended a session as {reason:?}, which is not why (the service has it as {state:?})"
            ))
        }
    }

    /// A process started and found nobody signed in.
    fn restored_nothing(
        &mut self,
        process: &str,
        reason: Option<EndReason>,
        world: &World,
    ) -> Result<(), String> {
        let started = self.seen.get(process).map(|seen| seen.started).unwrap_or_default();
        let shown = |user| self.seen.values().any(|seen| seen.alive && seen.shows.as_ref() == Some(user));
        let lost: Vec<_> = (self.truths.iter())
            .filter(|(user, truth)| {
                let open = !truth.ended && !truth.replaced && !truth.logout_called;
                // With a reason it was found and ended at once, whoever else shows it.
                let found = truth.ever_stored && reason.is_some() || !shown(*user);
                truth.seen_at.is_some_and(|at| at < started) && open && found
            })
            .map(|(user, _)| (user.clone(), shown(user)))
            .collect();
        for (user, is_shown) in lost {
            let Some(truth) = self.truths.get_mut(&user) else { continue };
            if is_shown && reason == Some(EndReason::StoreCorrupt) {
                return Err(format!("{process} ended a session as damaged which another process has"));
            }
            if !truth.ever_stored {
                // No keychain took it, and it never said otherwise (requirement A3, `says_where_it_is`).
                world.report().memory_only += 1;
            } else if reason.is_some() {
                self.justify(process, &user, reason, world)?;
            } else {
                return Err(format!("{process} found nobody signed in, and nobody had signed out"));
            }
            self.ended(process, &user, reason, world);
        }
        Ok(())
    }

    /// An hour after everything has been put right.
    pub(crate) fn all_is_well(&mut self, process: &str, session: &Session, world: &World) {
        let mut wrong = Vec::new();
        match session.status {
            SessionStatus::Active => {}
            SessionStatus::SignedOut => {
                let open = |truth: &Truth| {
                    truth.ever_stored && !truth.ended && !truth.replaced && !truth.logout_called
                };
                if self.truths.values().any(open) {
                    wrong.push(format!(
                        "all is well, and {process} shows nobody, although somebody is signed in"
                    ));
                }
            }
            status => wrong.push(format!("all is well, and {process} is {status:?}")),
        }
        // The keychain has worked for long: what is kept in memory only was forgotten (rule 11).
        if session.status != SessionStatus::SignedOut && session.storage != Storage::Keychain {
            wrong.push(format!("all is well, and {process} keeps its session in memory only"));
        }
        for (user, session_id) in self.owed() {
            if world.service().session_state(&session_id) == Some(SessionState::Active) {
                let truth = self.truths.get(&user);
                world.tell(|| {
                    let known = truth.map(|t| (t.logout_called, t.replaced, t.verdict, t.ever_stored));
                    format!(
                        "{} is owed a revocation (logout, replaced, verdict, stored: {known:?})",
                        short(&user)
                    )
                });
                wrong.push(format!("{process} is done, and the service still has a session that is over"));
            }
        }
        for what in wrong {
            self.violated(world, what);
        }
    }

    /// The sessions that are over and that the service should not have any more.
    fn owed(&self) -> Vec<(String, String)> {
        let shown: HashSet<_> =
            self.seen.values().filter(|s| s.alive).filter_map(|s| s.shows.clone()).collect();
        (self.truths.iter())
            .filter(|(user, truth)| {
                // What is damaged does not say any more which session it was.
                truth.ended && truth.owed && truth.ever_stored && !truth.damaged && !shown.contains(*user)
            })
            .map(|(user, truth)| (user.clone(), truth.session_id.clone()))
            .collect()
    }
}
