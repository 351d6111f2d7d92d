//! Signing in with a one-time code, as the sign-in script needs it. The paths are our own: the real script's are not
//! documented. So are the refusals, all of them 7101, "parameters missing or invalid".

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Refusal},
    call::Call,
    clock::iso8601,
    keys::random_code,
    operation::Operation,
    sessions::{Session, Sessions, SignIn, World},
};

/// How long a one-time code is good for.
const CODE_LIFETIME_MS: i64 = 5 * 60 * 1000;
/// After so many wrong codes even the right one is refused.
const MAX_WRONG: u32 = 3;
/// E.164 allows 15 digits; shorter than this is no phone number anywhere.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 6..=15;

/// A one-time code that is good to sign in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentCode {
    /// With country code, digits only.
    pub phone: String,
    /// Six digits.
    pub code: String,
    /// When it was "sent", in milliseconds since the epoch.
    pub at: i64,
}

#[derive(Debug)]
struct Pending {
    sent: SentCode,
    wrong: u32,
}

/// The codes that are good, the newest first. A new one for a phone replaces the one before.
#[derive(Debug, Default)]
pub(crate) struct Codes(Vec<Pending>);

impl Codes {
    pub(crate) fn good(&mut self, now_ms: i64) -> Vec<SentCode> {
        self.0.retain(|pending| now_ms < pending.sent.at.saturating_add(CODE_LIFETIME_MS));
        self.0.iter().map(|pending| pending.sent.clone()).collect()
    }

    fn send(&mut self, phone: String, now_ms: i64) {
        self.0.retain(|pending| pending.sent.phone != phone);
        let sent = SentCode { phone, code: random_code(), at: now_ms };
        self.0.insert(0, Pending { sent, wrong: 0 });
    }

    fn redeem(&mut self, phone: &str, code: &str, now_ms: i64) -> Result<(), Refusal> {
        self.good(now_ms);
        let none = Refusal::Invalid("There is no code for this number, or it is used up; ask for a new one");
        let index = self.0.iter().position(|pending| pending.sent.phone == phone).ok_or(none)?;
        let pending = &mut self.0[index];
        if pending.sent.code == code {
            self.0.remove(index);
            return Ok(());
        }
        pending.wrong += 1;
        if pending.wrong >= MAX_WRONG {
            self.0.remove(index);
            return Err(Refusal::Invalid("The code is wrong for the third time; ask for a new one"));
        }
        Err(Refusal::Invalid("The code is wrong"))
    }
}

pub(crate) fn answer(
    operation: Operation,
    codes: &mut Codes,
    sessions: &mut Sessions,
    world: World<'_>,
    call: &Call,
) -> Result<Answer, Refusal> {
    match call.text("appId") {
        Some(app_id) if app_id == world.settings.app_id => {}
        Some(_) => return Err(Refusal::UnknownApp),
        None => return Err(Refusal::Invalid("The app id is missing: the script tag needs data-appid")),
    }
    if call.text("channel") != Some("PHONE") {
        return Err(Refusal::Invalid("The channel must be PHONE: the local OTPless knows no other"));
    }
    let phone = phone(call)?;
    match operation {
        Operation::Initiate => {
            codes.send(phone, world.now_ms);
            Ok(Answer::ok(&json!({ "channel": "PHONE" })))
        }
        Operation::Verify => {
            let code = call.text("otp").ok_or(Refusal::Invalid("The one-time code is missing"))?;
            codes.redeem(&phone, code.trim(), world.now_ms)?;
            let who = SignIn { phone: Some(phone), ..SignIn::default() };
            Ok(Answer::ok(&one_tap(sessions.sign_in(world, who), world.now_ms)))
        }
        _ => Err(Refusal::NoSuchCall),
    }
}

/// The country code and the number as one string of digits, as in `identityValue`.
fn phone(call: &Call) -> Result<String, Refusal> {
    let invalid = Refusal::Invalid("The phone number is missing or none; give it with its country code");
    let digits = |name: &str| -> Result<String, Refusal> {
        let text = call.text(name).ok_or(invalid)?;
        let allowed = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')');
        if !text.chars().all(allowed) {
            return Err(invalid);
        }
        Ok(text.chars().filter(char::is_ascii_digit).collect())
    };
    let phone = digits("countryCode")? + &digits("phone")?;
    if PHONE_DIGITS.contains(&phone.len()) { Ok(phone) } else { Err(invalid) }
}

/// The `response` of the `ONETAP` event.
fn one_tap(session: &Session, now_ms: i64) -> Value {
    let issued = session.issued();
    json!({
        "status": "SUCCESS",
        "token": crate::keys::random_hex(16),
        "userId": issued.user_id,
        "timestamp": iso8601(now_ms),
        "identities": session.identities(),
        "sessionInfo": {
            "sessionId": issued.session_id,
            "sessionToken": issued.session_token,
            "refreshToken": issued.refresh_token,
        },
    })
}
