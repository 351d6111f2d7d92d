//! Everything that goes wrong between a client and a service, on demand.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use axum::http::header;

use crate::{
    answer::{Answer, Refusal},
    operation::Operation,
};

/// One way to fail. Unless it says otherwise, the fault comes *instead of* the work: the server's sessions stay as
/// they are.
///
/// In JSON by its name in kebab case: `"server-error-500"`; with its values where it has some:
/// `{"rate-limited": {"code": "7022", "retryAfter": 5}}`, `{"status": [503, "busy"]}`, `{"delay": 1500}`,
/// `{"redirect": [307, "http://127.0.0.1:1/"]}`, `{"huge": 10000000}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// This status and this body, sent as JSON whether it is some or not.
    Status(u16, String),
    /// 429 with one of OTPless's codes.
    #[serde(rename_all = "camelCase")]
    RateLimited {
        /// `7020`, `7022`, `7023` or `7024`.
        code: String,
        /// The `Retry-After` header, in seconds; none: no header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 500 with OTPless's message.
    #[serde(rename = "server-error-500", alias = "server-error500")]
    ServerError500,
    /// 502 with a proxy's HTML page.
    #[serde(rename = "bad-gateway-502-html", alias = "bad-gateway502-html")]
    BadGateway502Html,
    /// 200 with the log-in page of somebody's network.
    #[serde(rename = "captive-portal-200-html", alias = "captive-portal200-html")]
    CaptivePortal200Html,
    /// 200 with `{}`: right in form, without the fields.
    #[serde(rename = "empty-object-200", alias = "empty-object200")]
    EmptyObject200,
    /// 200 with a `Content-Length` longer than what comes before the connection closes.
    CutOffBody,
    /// The connection is reset (TCP RST) without an answer.
    ConnectionReset,
    /// No answer, until the faults are cleared, the client gives up or ten minutes are over; then the connection
    /// closes.
    Hang,
    /// The work is done, the answer comes this many milliseconds late.
    Delay(u64),
    /// 401 without an `errorCode`.
    #[serde(rename = "unauthorized-401-no-code", alias = "unauthorized401-no-code")]
    Unauthorized401NoCode,
    /// 400 with 7414: session not present.
    #[serde(rename = "not-present-7414", alias = "not-present7414")]
    NotPresent7414,
    /// 401 with 7415: session is not in active state.
    #[serde(rename = "not-active-7415", alias = "not-active7415")]
    NotActive7415,
    /// 400 with 7101: parameters missing or invalid.
    #[serde(rename = "invalid-7101", alias = "invalid7101")]
    Invalid7101,
    /// A redirect with this status to this location.
    Redirect(u16, String),
    /// 200 with JSON of at least this many bytes, 64 MiB at most.
    Huge(usize),
    /// The work *is* done — tokens rotate, a session is deleted — and the connection closes without an answer.
    ProcessedThenDropped,
}

/// What a fault makes of a call.
#[derive(Debug)]
pub(crate) enum Effect {
    /// This answer, and no work.
    Answer(Answer),
    CutOff(Answer),
    Reset,
    Hang,
    /// The work and then the answer.
    Work,
    WorkThenDrop,
}

impl Fault {
    /// The name it has in JSON.
    #[must_use]
    pub fn name(&self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            Ok(Value::Object(tagged)) => tagged.into_iter().next().map(|(name, _)| name).unwrap_or_default(),
            _ => String::new(),
        }
    }

    pub(crate) fn effect(&self) -> Effect {
        let answer = match self {
            Self::Status(status, body) => Answer::new(*status, "application/json", body.clone().into_bytes()),
            Self::RateLimited { code, retry_after } => {
                let body = json!({
                    "message": "Too many requests",
                    "errorCode": code,
                    "description": "Too many requests, please try again later",
                });
                let answer = Answer::json(429, &body);
                match retry_after {
                    Some(seconds) => answer.with_header(header::RETRY_AFTER, seconds.to_string()),
                    None => answer,
                }
            }
            Self::ServerError500 => {
                Answer::json(500, &json!({ "message": "Something went wrong. Please try again!" }))
            }
            Self::BadGateway502Html => Answer::html(502, BAD_GATEWAY),
            Self::CaptivePortal200Html => Answer::html(200, CAPTIVE_PORTAL),
            Self::EmptyObject200 => Answer::ok(&json!({})),
            Self::CutOffBody => {
                return Effect::CutOff(Answer::new(200, "application/json", CUT_OFF.as_bytes().to_vec()));
            }
            Self::ConnectionReset => return Effect::Reset,
            Self::Hang => return Effect::Hang,
            Self::Delay(_) => return Effect::Work,
            Self::Unauthorized401NoCode => {
                Answer::json(401, &json!({ "message": "UnAuthorized request, check your appId" }))
            }
            Self::NotPresent7414 => Refusal::NotPresent.into(),
            Self::NotActive7415 => Refusal::NotActive.into(),
            Self::Invalid7101 => Refusal::Invalid("Parameters missing or invalid").into(),
            Self::Redirect(status, location) => {
                Answer::new(*status, "text/plain", Vec::new()).with_header(header::LOCATION, location.clone())
            }
            Self::Huge(bytes) => {
                let filler = "a".repeat((*bytes).min(64 * 1024 * 1024));
                Answer::ok(&json!({ "filler": filler }))
            }
            Self::ProcessedThenDropped => return Effect::WorkThenDrop,
        };
        Effect::Answer(answer)
    }
}

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
const CAPTIVE_PORTAL: &str = "<!doctype html><html><head><title>Welcome to our Wi-Fi</title></head>\
    <body><form method=\"post\"><button>Accept the terms</button></form></body></html>";
const CUT_OFF: &str = "{\"sessionTokenJWT\": \"eyJraWQiOiJ";

/// A fault that waits for its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Planned {
    pub(crate) operation: Operation,
    pub(crate) fault: Fault,
    /// How much later than at once the answer, or what stands for it, comes.
    pub(crate) delay_ms: u64,
    /// How many calls it still meets.
    pub(crate) remaining: usize,
}

/// The planned faults, first planned first met.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Planned>);

impl Faults {
    pub(crate) fn plan(&mut self, planned: Planned) {
        if planned.remaining > 0 {
            self.0.push(planned);
        }
    }

    pub(crate) fn take(&mut self, operation: Operation) -> Option<Planned> {
        let index = self.0.iter().position(|planned| planned.operation.matches(operation))?;
        let planned = &mut self.0[index];
        planned.remaining -= 1;
        let taken = planned.clone();
        if taken.remaining == 0 {
            self.0.remove(index);
        }
        Some(taken)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn waiting(&self) -> &[Planned] {
        &self.0
    }
}
