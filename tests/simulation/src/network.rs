//! The network between a process and the service: it is slow, reorders, cuts before and after the work was done, and puts
//! other people's answers into the place of the service's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fastrand::Rng;
use otpless_local::{InProcessAnswer, SignIn};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    BoxFuture, Result, Timestamp,
    engine::{Request, Response, Transport, Unreachable},
};
use tokio::{sync::oneshot, time::timeout};
use zeroize::Zeroizing;

use crate::{
    process::Process,
    world::{Sabotage, Weather, World, pick},
};

/// The bounds of the real client (`src/api/http.rs`).
const CALL_TICKS: u32 = 30;
const TICK: Duration = Duration::from_secs(1);
const DATE_IS_FRESH: Duration = Duration::from_secs(5);

/// How often [`Sabotage::Hammering`] repeats a call.
const MANY: usize = 1_000;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    Fails(Unreachable),
    /// The request is lost.
    Hangs,
    /// The work is done and its answer is lost.
    AnswerIsLost,
    /// The work is done and the connection breaks before the answer is complete.
    AnswerIsCut,
    /// The work is done, and what arrives passes for complete and is half of the answer.
    AnswerIsTorn,
    /// Somebody else answers, as the service might, and the service hears nothing.
    Lies(Lie),
    /// Somebody else answers, and the service hears nothing.
    Instead(&'static str, u16, &'static str, Option<u64>),
}

/// Tokens that are none of this session, or no good, in an answer of the right shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Well signed, and of somebody else who has just signed in.
    AnothersTokens,
    /// Well signed, and over for a day.
    ExpiredTokens,
    /// Well signed and of this session, and the service knows nothing of them. Not a fault, but the end of all trust.
    NeverIssued,
    /// Of this session, and signed by nobody knows whom.
    ForgedTokens,
    /// What the service has answered to an earlier refresh of this session.
    AnEarlierAnswer,
}

impl Lie {
    fn name(self) -> &'static str {
        match self {
            Self::AnothersTokens => "somebody else's tokens",
            Self::ExpiredTokens => "expired tokens",
            Self::NeverIssued => "tokens that were never issued",
            Self::ForgedTokens => "forged tokens",
            Self::AnEarlierAnswer => "an earlier answer",
        }
    }

    /// The answer to a `call`, if there are tokens in such a one.
    fn told(self, call: &Call, world: &World) -> Option<InProcessAnswer> {
        let session_id = world.oracle().session_of(call)?;
        let day = Duration::from_secs(24 * 3600).as_secs();
        let service = world.service();
        let body = match self {
            Self::AnEarlierAnswer if call.kind() == "refresh" => {
                return Some(InProcessAnswer { status: 200, body: world.an_answer_to(&session_id)? });
            }
            Self::AnEarlierAnswer => return None,
            Self::AnothersTokens => service.sign_in(SignIn::default()).mobile(),
            Self::ExpiredTokens | Self::NeverIssued | Self::ForgedTokens => {
                let claims = service.claims(&session_id)?;
                let sign = |name: &str| {
                    let mut claims = claims.clone();
                    // Their ids tell the two apart.
                    claims["jti"] = name.into();
                    if self == Self::ForgedTokens {
                        return service.mint_with_unknown_key(claims, Value::Null);
                    }
                    if self == Self::ExpiredTokens {
                        for moment in ["iat", "exp"] {
                            claims[moment] = (claims[moment].as_u64().unwrap_or_default() - 2 * day).into();
                        }
                    }
                    service.mint(claims, Value::Null)
                };
                json!({ "sessionToken": session_id, "sessionTokenJWT": sign("one"), "refreshToken": sign("two") })
            }
        };
        Some(InProcessAnswer { status: 200, body: body.to_string().into_bytes() })
    }
}

const LIMITED: &str = r#"{"message":"Unexpected Error","errorCode":"7020","description":"slow down"}"#;

/// The app's id is wrong, or switched off at the service.
const UNAUTHORIZED: &str = r#"{"message":"UnAuthorized request, check your appId","errorCode":"401","description":"UnAuthorized request, check your appId"}"#;
const MALFORMED: &str =
    r#"{"message":"Unexpected Error","errorCode":"7101","description":"parameters missing or invalid"}"#;

impl Fate {
    const REFUSED: Self = Self::Instead("a 401 for the app's id", 401, UNAUTHORIZED, None);

    const NOTHING_DONE: Self = Self::Instead("nothing done", 200, "{}", None);

    /// For as long as an engine believes.
    const ASKED_TO_WAIT: Self = Self::Instead("a 429", 429, LIMITED, Some(3600));

    fn draw(rng: &mut Rng, weather: Weather) -> Self {
        const UNREACHABLE: [Unreachable; 5] = [
            Unreachable::Dns,
            Unreachable::CannotConnect,
            Unreachable::Offline,
            Unreachable::Tls,
            Unreachable::ConnectionLost,
        ];
        const PORTAL: &str = "<html>Please accept our terms</html>";
        const UNWELL: &str = r#"{"message":"Something went wrong. Please try again!"}"#;
        let unreachable = |rng: &mut Rng| Self::Fails(UNREACHABLE[rng.usize(..UNREACHABLE.len())]);
        let unwell = |rng: &mut Rng| {
            pick(
                rng,
                &[
                    (4, Self::Instead("a 5xx", 500, UNWELL, None)),
                    (3, Self::Instead("a 5xx", 502, "<html>Bad gateway</html>", None)),
                    (3, Self::Instead("a 5xx", 503, UNWELL, Some(120))),
                    (1, Self::Instead("a 408", 408, "", None)),
                    (1, Self::Instead("a 425", 425, "", None)),
                ],
            )
            .clone()
        };
        match weather {
            Weather::Offline => unreachable(rng),
            Weather::SwitchedOff => match rng.u32(..20) {
                0 => unreachable(rng),
                _ => Self::REFUSED,
            },
            Weather::ServerDown => match rng.u32(..10) {
                0 => Self::Hangs,
                1 => unreachable(rng),
                _ => unwell(rng),
            },
            Weather::Fine => match rng.u32(..1000) {
                0 => unreachable(rng),
                1 => unwell(rng),
                _ => Self::Arrives,
            },
            Weather::Flaky => match rng.u32(..100) {
                ..30 => Self::Arrives,
                30..50 => unreachable(rng),
                50..60 => Self::Hangs,
                60..63 => Self::AnswerIsLost,
                63..65 => Self::AnswerIsCut,
                65 => Self::AnswerIsTorn,
                66..80 => unwell(rng),
                _ => pick(
                    rng,
                    &[
                        (3, Self::Instead("a captive portal", 200, PORTAL, None)),
                        (1, Self::Instead("a redirect", 302, "", None)),
                        (2, Self::Instead("an empty object", 200, "{}", None)),
                        (1, Self::Instead("an empty object", 200, r#"{"keys":[]}"#, None)),
                        (2, Self::Instead("a 429", 429, LIMITED, Some(300))),
                        (1, Self::ASKED_TO_WAIT),
                        (1, Self::Instead("a 401 without a code", 401, "", None)),
                        (1, Self::REFUSED),
                        (1, Self::Instead("a 400 with 7101", 400, MALFORMED, None)),
                        (1, Self::Instead("a 400 without a code", 400, "[]", None)),
                        (1, Self::Lies(Lie::AnothersTokens)),
                        (1, Self::Lies(Lie::ExpiredTokens)),
                        (1, Self::Lies(Lie::ForgedTokens)),
                        (1, Self::Lies(Lie::AnEarlierAnswer)),
                        (
                            1,
                            Self::Instead(
                                "foreign tokens",
                                200,
                                r#"{"sessionToken":"00","sessionTokenJWT":"a.b.c","refreshToken":"d.e.f"}"#,
                                None,
                            ),
                        ),
                    ],
                )
                .clone(),
            },
        }
    }

    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Arrives => None,
            Self::Fails(_) => Some("unreachable"),
            Self::Hangs => Some("a request lost"),
            Self::AnswerIsLost => Some("an answer lost"),
            Self::AnswerIsCut => Some("an answer cut"),
            Self::AnswerIsTorn => Some("half of an answer"),
            Self::Lies(lie) => Some(lie.name()),
            Self::Instead(name, ..) => Some(name),
        }
    }
}

/// The network as one process reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    process: Arc<Process>,
    world: Arc<World>,
}

impl Network {
    pub(crate) fn new(process: &Arc<Process>, world: &Arc<World>) -> Self {
        Self { process: process.clone(), world: world.clone() }
    }

    async fn carry(&self, request: &Request) -> Result<Response> {
        let (process, world) = (&self.process, &self.world);
        let call = Call::new(request);
        world.tell(|| format!("{} sends {} {}", process.name(), call.method, call.kind()));
        world.report().requests += 1;
        world.oracle().sent(process.name(), call.refresh_token(), call.kind(), world);
        if call.kind() == "refresh" {
            world.refresh_sent.notify_one();
        }
        let weather = world.weather();
        let is_calm = world.scenario.calm && weather == Weather::Fine;
        let fate = match world.sabotage {
            Some(Sabotage::EndlessWaits) if call.kind() == "refresh" => Fate::ASKED_TO_WAIT,
            Some(Sabotage::StolenKey) if call.kind() == "refresh" => Fate::Lies(Lie::NeverIssued),
            Some(Sabotage::RevokesNothing) if call.kind() == "revoke" => Fate::NOTHING_DONE,
            _ if is_calm => Fate::Arrives,
            _ => world.draw(|rng| Fate::draw(rng, weather)),
        };
        if let Some(name) = fate.name() {
            *world.report().faults.entry(name).or_default() += 1;
        }
        let slow = !is_calm && world.percent(if weather == Weather::Flaky { 20 } else { 1 });
        let longest = Duration::from_millis(if slow { 25_000 } else { 400 });
        let way = || world.between(Duration::from_millis(5), longest);
        let (there, back) = (way(), way());
        let (asked, asked_at) = (world.awake(), world.wall());
        let (arrived, answer) = oneshot::channel();
        // Not the process's own: what has been sent is on its way, whatever becomes of the sender.
        tokio::spawn({
            let (world, process, call, fate) =
                (world.clone(), process.name().to_owned(), call.clone(), fate.clone());
            async move {
                tokio::time::sleep(there).await;
                let answer = match fate {
                    Fate::Hangs => {
                        std::future::pending::<()>().await;
                        return;
                    }
                    Fate::Fails(why) => Err(why.into()),
                    Fate::Instead(_, status, body, retry_after) => {
                        Ok(response(status, body.as_bytes().to_vec(), None, retry_after))
                    }
                    Fate::Lies(lie) => match lie.told(&call, &world) {
                        Some(lie) => Ok(response(lie.status, lie.body, Some(world.date()), None)),
                        None => Err(Unreachable::ConnectionLost.into()),
                    },
                    Fate::Arrives | Fate::AnswerIsLost | Fate::AnswerIsCut | Fate::AnswerIsTorn => {
                        let mut answer = call.answered_by(&world);
                        world.tell(|| format!("the service answers {process}: {}", answer.status));
                        world.oracle().answered(&process, &call, &answer, &world);
                        if call.kind() == "refresh" && answer.status == 200 {
                            world.remember_answer(&call, &answer.body);
                        }
                        let date = world.date();
                        match fate {
                            Fate::AnswerIsLost => {
                                std::future::pending::<()>().await;
                                return;
                            }
                            Fate::AnswerIsCut => Err(Unreachable::ConnectionLost.into()),
                            Fate::AnswerIsTorn => {
                                answer.body.truncate(answer.body.len() / 2);
                                Ok(response(answer.status, answer.body, Some(date), None))
                            }
                            _ => Ok(response(answer.status, answer.body, Some(date), None)),
                        }
                    }
                };
                tokio::time::sleep(back).await;
                let _ = arrived.send(answer);
            }
        });
        // In ticks, like the real client: what is there already counts even if the process was frozen for longer.
        let mut answer = answer;
        let mut outcome = Err(Unreachable::Timeout.into());
        for _ in 0..CALL_TICKS {
            if let Ok(answered) = timeout(TICK, &mut answer).await {
                outcome = answered.unwrap_or_else(|_| Err(Unreachable::ConnectionLost.into()));
                break;
            }
        }
        let answer = outcome;
        let by_wall = world.wall().as_millis() - asked_at.as_millis();
        let fresh = world.awake().saturating_sub(asked) < DATE_IS_FRESH
            && (0..DATE_IS_FRESH.as_millis() as i64).contains(&by_wall);
        world.tell(|| {
            format!("{} has {} back: {:?}", process.name(), call.kind(), answer.as_ref().map(|r| r.status))
        });
        world.oracle().received(process.name(), &call, answer.as_ref().ok(), fresh, world);
        if world.sabotage == Some(Sabotage::DeafToWaits) {
            return answer.map(|response| Response { retry_after: None, ..response });
        }
        answer
    }
}

impl Transport for Network {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        Box::pin(async move {
            let mut answer = self.carry(&request).await;
            if self.world.sabotage == Some(Sabotage::Hammering) && !request.url.path().ends_with("/refresh") {
                for _ in 0..MANY {
                    if answer.is_ok() {
                        break;
                    }
                    answer = self.carry(&request).await;
                }
            }
            answer
        })
    }
}

fn response(status: u16, body: Vec<u8>, date: Option<Timestamp>, retry_after: Option<u64>) -> Response {
    Response { status, body: Zeroizing::new(body), date, retry_after: retry_after.map(Duration::from_secs) }
}

/// A call as it is on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Call {
    fn new(request: &Request) -> Self {
        Self {
            method: request.method.as_str().to_owned(),
            path: request.url.path().to_owned(),
            headers: (request.headers.iter())
                .map(|(name, value)| {
                    (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
                })
                .collect(),
            body: request.body.as_ref().map(|body| body.to_vec()).unwrap_or_default(),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match (self.method.as_str(), self.path.as_str()) {
            ("GET", _) => "keys",
            ("DELETE", _) => "revoke",
            (_, path) if path.ends_with("/refresh") => "refresh",
            _ => "authenticate",
        }
    }

    fn field(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get(name)?.as_str()?.to_owned())
    }

    /// The refresh token that is to be spent.
    pub(crate) fn refresh_token(&self) -> Option<String> {
        self.field("refreshToken")
    }

    /// The session id of an authenticate or a revocation.
    pub(crate) fn session_id(&self) -> Option<String> {
        match self.kind() {
            "revoke" => self.path.rsplit('/').next().map(str::to_owned),
            _ => self.field("sessionToken"),
        }
    }

    fn answered_by(&self, world: &World) -> InProcessAnswer {
        world.service().answer(&self.method, &self.path, self.headers.clone(), &self.body)
    }
}
