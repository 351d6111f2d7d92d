//! What is asked of the service, and how often.

use std::time::Duration;

use otpless_local::InProcessAnswer;
use serde_json::Value;
use tauri_plugin_otpless::{Timestamp, engine::Response};

use super::{
    EXCHANGE_INTERVAL, Exchange, MOST_CALLS_AN_HOUR, MOST_KEY_FETCHES_AN_HOUR, MOST_OF_ANYBODY, Oracle,
    SETTLE,
};
use crate::{network::Call, world::World};

impl Oracle {
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
        // Where a clock is set that the machine has nothing to compare to, a sleep may hide in that.
        let notices = world.scenario.unset_clock || !world.scenario.clock_is_set;
        let by_itself = kind != "keys" || seen.signing_in == 0;
        if let Some(woke) =
            self.woke_up.filter(|at| notices && by_itself && seen.started < *at && now < *at + SETTLE)
        {
            let after = now - woke;
            wrong
                .push(format!("{process} calls {kind} {after:?} after a sleep: the network has not settled"));
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
}
