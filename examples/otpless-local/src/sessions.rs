//! Sessions as the server sees them: who, since when, in which state, and which tokens they hold.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    answer::Refusal,
    clock::{iso8601, seconds_to_ms},
    keys::{Keys, random_hex},
    settings::{Rotation, Settings},
};

/// Who signs in. With the same phone number, or without one the same email address, it is the same user again; with
/// neither it is a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SignIn {
    /// With country code, digits only, as OTPless spells it: `919876543210`.
    pub phone: Option<String>,
    /// The `name` claim.
    pub name: Option<String>,
    /// The `email` claim.
    pub email: Option<String>,
}

/// What a sign-in hands to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// `MO-` and 32 hex characters.
    pub user_id: String,
    /// The opaque session id, 32 hex characters.
    pub session_id: String,
    /// The session JWT.
    pub session_token: String,
    /// The refresh JWT.
    pub refresh_token: String,
}

impl Issued {
    /// As the web SDK and v1 spell it.
    #[must_use]
    pub fn web(&self) -> Value {
        json!({
            "success": true,
            "sessionId": self.session_id,
            "sessionToken": self.session_token,
            "refreshToken": self.refresh_token,
        })
    }

    /// As the mobile SDKs and v4 spell it.
    #[must_use]
    pub fn mobile(&self) -> Value {
        json!({
            "sessionToken": self.session_id,
            "sessionTokenJWT": self.session_token,
            "refreshToken": self.refresh_token,
        })
    }
}

/// The state of a session that is present. One that was deleted, or never was, has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// In use.
    Active,
    /// Revoked, at the dashboard or through v1.
    Revoked,
    /// Its refresh token expired, or it reached its maximum lifetime.
    Expired,
    /// It had no call for the inactivity timeout.
    Inactive,
}

/// What the operations need to know of the world around.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) now_ms: i64,
    pub(crate) settings: &'a Settings,
    pub(crate) keys: &'a Keys,
}

impl World<'_> {
    fn now_seconds(self) -> i64 {
        self.now_ms.div_euclid(1000)
    }
}

#[derive(Clone, Debug, Default)]
struct Token {
    jwt: String,
    /// Seconds since the epoch.
    issued_at: i64,
    expires_at: i64,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) who: SignIn,
    pub(crate) started_at: i64,
    pub(crate) last_active_at: i64,
    pub(crate) state: SessionState,
    session_token: Token,
    refresh_token: Token,
    /// Used refresh tokens and when each was used.
    spent: HashMap<String, i64>,
    payloads: HashSet<String>,
}

impl Session {
    pub(crate) fn issued(&self) -> Issued {
        Issued {
            user_id: self.user_id.clone(),
            session_id: self.id.clone(),
            session_token: self.session_token.jwt.clone(),
            refresh_token: self.refresh_token.jwt.clone(),
        }
    }

    /// When the session is over if nothing more happens but activity, in milliseconds since the epoch.
    pub(crate) fn expires_at(&self, settings: &Settings) -> i64 {
        let refresh = self.refresh_token.expires_at.saturating_mul(1000);
        match settings.max_lifetime_seconds {
            Some(lifetime) => refresh.min(self.started_at.saturating_add(seconds_to_ms(lifetime))),
            None => refresh,
        }
    }

    /// Ends the session if its time is up. An end is for good, even if the clock is moved back afterwards.
    fn settle(&mut self, world: World<'_>) -> SessionState {
        if self.state != SessionState::Active {
            return self.state;
        }
        let expires = self.expires_at(world.settings);
        let inactive = (world.settings.inactivity_seconds)
            .map_or(i64::MAX, |seconds| self.last_active_at.saturating_add(seconds_to_ms(seconds)));
        if world.now_ms >= expires.min(inactive) {
            self.state = if inactive < expires { SessionState::Inactive } else { SessionState::Expired };
        }
        self.state
    }

    pub(crate) fn claims(&self, world: World<'_>, lifetime_seconds: u64) -> Value {
        let issued_at = world.now_seconds();
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), self.id.clone().into());
        claims.insert("iss".to_owned(), world.settings.issuer.clone().into());
        claims.insert("sessionId".to_owned(), self.id.clone().into());
        claims.insert("userId".to_owned(), self.user_id.clone().into());
        claims.insert("iat".to_owned(), issued_at.into());
        let lifetime = i64::try_from(lifetime_seconds).unwrap_or(i64::MAX);
        claims.insert("exp".to_owned(), issued_at.saturating_add(lifetime).into());
        for (name, value) in [
            ("aud", &world.settings.aud),
            ("name", &self.who.name),
            ("email", &self.who.email),
            ("phone_number", &self.who.phone),
        ] {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value.clone().into());
            }
        }
        Value::Object(claims)
    }

    fn issue(&mut self, world: World<'_>, lifetime_seconds: u64) -> Token {
        let claims = self.claims(world, lifetime_seconds);
        let mut payload = claims.to_string();
        // RS256 is deterministic: a token issued in the same second with the same claims would be the same token, and
        // a rotated refresh token the spent one. White space after the object tells them apart and says nothing.
        while !self.payloads.insert(payload.clone()) {
            payload.push(' ');
        }
        let time = |name: &str| claims[name].as_i64().unwrap_or_default();
        Token { jwt: world.keys.sign(&payload), issued_at: time("iat"), expires_at: time("exp") }
    }

    pub(crate) fn identities(&self) -> Vec<Value> {
        let identity = |kind: &str, value: &String| {
            let mut identity = json!({
                "identityType": kind,
                "identityValue": value,
                "channel": "OTP",
                "methods": ["OTP"],
                "verified": true,
                "verifiedAt": iso8601(self.started_at),
            });
            if let Some(name) = &self.who.name {
                identity["name"] = name.clone().into();
            }
            identity
        };
        let phone = self.who.phone.iter().map(|phone| identity("MOBILE", phone));
        phone.chain(self.who.email.iter().map(|email| identity("EMAIL", email))).collect()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: Vec<Session>,
    users: HashMap<String, String>,
    pub(crate) replays: usize,
}

impl Sessions {
    pub(crate) fn sign_in(&mut self, world: World<'_>, who: SignIn) -> &Session {
        let new_user = || format!("MO-{}", random_hex(16));
        let user_id = match who.phone.as_ref().or(who.email.as_ref()) {
            Some(identity) => self.users.entry(identity.clone()).or_insert_with(new_user).clone(),
            None => new_user(),
        };
        let mut session = Session {
            id: random_hex(16),
            user_id,
            who,
            started_at: world.now_ms,
            last_active_at: world.now_ms,
            state: SessionState::Active,
            session_token: Token::default(),
            refresh_token: Token::default(),
            spent: HashMap::new(),
            payloads: HashSet::new(),
        };
        session.session_token = session.issue(world, world.settings.session_token_seconds);
        session.refresh_token = session.issue(world, world.settings.refresh_token_seconds);
        self.all.push(session);
        &self.all[self.all.len() - 1]
    }

    /// All sessions in the order of their sign-in, each in the state it has now.
    pub(crate) fn settled(&mut self, world: World<'_>) -> &[Session] {
        for session in &mut self.all {
            session.settle(world);
        }
        &self.all
    }

    pub(crate) fn find(&mut self, world: World<'_>, id: &str) -> Option<&mut Session> {
        let session = self.all.iter_mut().find(|session| session.id == id)?;
        session.settle(world);
        Some(session)
    }

    fn active(&mut self, world: World<'_>, id: &str) -> Result<&mut Session, Refusal> {
        let session = self.find(world, id).ok_or(Refusal::NotPresent)?;
        if session.state == SessionState::Active { Ok(session) } else { Err(Refusal::NotActive) }
    }

    /// v4 authenticate: counts as activity; answers a session token that is at least half fresh.
    pub(crate) fn authenticate(&mut self, world: World<'_>, id: &str, jwt: &str) -> Result<String, Refusal> {
        let session = self.active(world, id)?;
        if owner_of(world, jwt)? != id {
            return Err(Refusal::Invalid("sessionTokenJWT is not a token of this session"));
        }
        session.last_active_at = world.now_ms;
        let token = &session.session_token;
        let half_life = token.issued_at + (token.expires_at - token.issued_at) / 2;
        if world.now_seconds() > half_life {
            session.session_token = session.issue(world, world.settings.session_token_seconds);
        }
        Ok(session.session_token.jwt.clone())
    }

    /// Both versions' exchange of a refresh token.
    pub(crate) fn refresh(&mut self, world: World<'_>, token: &str) -> Result<Issued, Refusal> {
        let session = (self.all.iter_mut())
            .find(|session| session.refresh_token.jwt == token || session.spent.contains_key(token))
            .ok_or(Refusal::NotPresent)?;
        if session.settle(world) != SessionState::Active {
            return Err(Refusal::NotActive);
        }
        if let Some(&spent_at) = session.spent.get(token) {
            let answered_again = match world.settings.rotation {
                Rotation::Strict => false,
                Rotation::Grace => {
                    world.now_ms <= spent_at.saturating_add(seconds_to_ms(world.settings.grace_seconds))
                }
                Rotation::None => true,
            };
            if !answered_again {
                self.replays += 1;
                return Err(Refusal::NotPresent);
            }
        } else {
            session.session_token = session.issue(world, world.settings.session_token_seconds);
            if world.settings.rotation != Rotation::None {
                let next = session.issue(world, world.settings.refresh_token_seconds);
                let spent = std::mem::replace(&mut session.refresh_token, next);
                session.spent.insert(spent.jwt, world.now_ms);
            }
        }
        if world.settings.refresh_is_activity {
            session.last_active_at = world.now_ms;
        }
        Ok(session.issued())
    }

    /// v4 delete, which is logout: afterwards the session is not present.
    pub(crate) fn delete(&mut self, world: World<'_>, id: &str) -> Result<(), Refusal> {
        self.active(world, id)?;
        self.all.retain(|session| session.id != id);
        Ok(())
    }

    /// The active session v1 means by `sessionToken`: the opaque id or a session JWT.
    pub(crate) fn by_session_token(
        &mut self,
        world: World<'_>,
        token: &str,
    ) -> Result<&mut Session, Refusal> {
        let id = if token.contains('.') { owner_of(world, token)? } else { token.to_owned() };
        self.active(world, &id)
    }

    /// Revokes the active ones of the sessions that `which` picks; says how many.
    pub(crate) fn revoke(&mut self, world: World<'_>, which: impl Fn(&Session) -> bool) -> usize {
        let mut revoked = 0;
        for session in self.all.iter_mut().filter(|session| which(session)) {
            if session.settle(world) == SessionState::Active {
                session.state = SessionState::Revoked;
                revoked += 1;
            }
        }
        revoked
    }
}

/// The session a JWT belongs to. An expired one proves nothing any more: its session is not in active state until it
/// is refreshed.
fn owner_of(world: World<'_>, jwt: &str) -> Result<String, Refusal> {
    let invalid = Refusal::Invalid("the session token is none of ours");
    let claims = world.keys.claims(jwt).ok_or(invalid)?;
    let expires_at = claims.get("exp").and_then(Value::as_i64).ok_or(invalid)?;
    if world.now_seconds() >= expires_at {
        return Err(Refusal::NotActive);
    }
    claims.get("sub").and_then(Value::as_str).map(str::to_owned).ok_or(invalid)
}
