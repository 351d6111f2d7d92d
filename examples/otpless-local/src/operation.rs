//! The names of the calls, for faults, gates and the log.

use serde::{Deserialize, Serialize};

/// One kind of call. In JSON in kebab case: `"authenticate"`, `"get-new-session-token"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// `POST /v4/session/authenticate`
    Authenticate,
    /// `POST /v4/session/refresh`
    Refresh,
    /// `DELETE /v4/session/<opaque id>`
    Delete,
    /// `GET /.well-known/jwks`
    Jwks,
    /// `GET /.well-known/openid-configuration`
    OpenidConfiguration,
    /// `POST /v1/sessions/validate-session`
    ValidateSession,
    /// `POST /v1/sessions/get-new-session-token`
    GetNewSessionToken,
    /// `POST /v1/sessions/get-session-details`
    GetSessionDetails,
    /// `POST /v1/sessions/revoke-session`
    RevokeSession,
    /// The sign-in script asks for a one-time code.
    Initiate,
    /// The sign-in script hands in a one-time code.
    Verify,
    /// `GET /v4/headless.js`
    Script,
    /// A call that does not exist here; answered 404.
    Unknown,
    /// Every call of v4, v1, JWKS and discovery, and unknown ones; not the sign-in script and its calls, so that an
    /// unwell API does not take sign-in down with it. Only to match with: no logged request has it.
    Any,
}

impl Operation {
    /// Whether `self`, as a filter, means `operation`.
    #[must_use]
    pub fn matches(self, operation: Self) -> bool {
        self == operation
            || (self == Self::Any && !matches!(operation, Self::Initiate | Self::Verify | Self::Script))
    }
}
