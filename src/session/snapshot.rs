//! What the world may know of a session: no token, no session id.

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, error::Error};

/// Where the session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionStatus {
    /// Not known yet: the keychain has not answered. Not the same as signed out.
    #[default]
    Restoring,
    /// There is a verified session token that is valid now.
    Active,
    /// The session exists, but its token has expired or cannot be verified yet (offline, server trouble, no key).
    Stale,
    /// Nobody is signed in.
    SignedOut,
}

/// Where the session is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Storage {
    /// In the operating system's keychain: it survives a restart.
    #[default]
    Keychain,
    /// In memory only, because the keychain refused it. It is stored as soon as the keychain works again.
    Ephemeral,
    /// The keychain does not answer, so it is not known whether there is a session.
    Unavailable,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum EndReason {
    /// The user signed out, in this window, another one or another process.
    Logout,
    /// Nobody did anything for longer than the inactivity timeout.
    Inactive,
    /// The maximum lifetime was reached.
    Lifetime,
    /// OTPless said the session is over: revoked, most likely from the dashboard.
    Revoked,
    /// The refresh token expired before it could be used.
    Expired,
    /// Another sign-in took its place.
    Replaced,
    /// What the keychain held could not be read.
    StoreCorrupt,
    /// A token turned out not to be genuine.
    InvalidToken,
}

/// Who the user is, as far as the verified session token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserClaims {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

/// The session as apps and pages see it. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Where it stands.
    pub status: SessionStatus,
    /// Goes up with every change; a greater one is newer.
    pub revision: u64,
    /// Where it is kept.
    pub storage: Storage,
    /// OTPless's id of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// When the session token expires. It is renewed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the refresh token expires. It is replaced with every refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at: Option<Timestamp>,
    /// When the user signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the user last did something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_at: Option<Timestamp>,
    /// When the session ends unless the user does something. Absent without an inactivity timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactivity_deadline: Option<Timestamp>,
    /// When the session ends whatever happens. Absent without a maximum lifetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_deadline: Option<Timestamp>,
    /// Set while the inactivity warning stands: when the session will end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiring_at: Option<Timestamp>,
    /// Who the user is, as far as the verified token says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<UserClaims>,
    /// Why the last session ended, until the next begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
}

/// How an exchange with the server went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// When it ended, milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// Whether it succeeded.
    pub ok: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Counts since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Refreshes that brought a token.
    pub refreshes: u64,
    /// Refreshes that did not.
    pub refresh_failures: u64,
    /// `authenticate` calls, asked for or by heartbeat.
    pub heartbeats: u64,
    /// Revocations OTPless has confirmed.
    pub revocations_delivered: u64,
    /// Calls to the session API in all.
    pub requests: u64,
}

/// What a developer wants to know when a session does not behave. No secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostics {
    /// Which keychain.
    pub backend: String,
    /// Where the session is kept.
    pub storage: Storage,
    /// Why it is not in the keychain, or what the keychain last refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_error: Option<String>,
    /// When the background task looks next at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_wake_at: Option<Timestamp>,
    /// When the token is due for renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_refresh_at: Option<Timestamp>,
    /// When the plugin was last told to look around at once: a window got the focus, the system resumed the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_look_at: Option<Timestamp>,
    /// How the last refresh went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refresh: Option<Exchange>,
    /// How the last `authenticate` went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_verify: Option<Exchange>,
    /// How the last fetch of OTPless's keys went that a stored session needed to be verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_key_fetch: Option<Exchange>,
    /// How far the server's clock is ahead of this machine's, in milliseconds; 0 while under 5 s.
    pub clock_skew_ms: i64,
    /// Ended sessions OTPless could not be told about yet.
    pub pending_revocations: usize,
    /// Counts since the process started.
    pub counters: Counters,
}
