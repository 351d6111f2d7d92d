//! What can be set, in code or by environment variables.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use reqwest::Url;
use zeroize::Zeroizing;

/// Where OTPless's v1 lives.
pub const DEFAULT_UPSTREAM: &str = "https://user-auth.otpless.app";

const DEFAULT_PORT: u16 = 8788;

/// The relay's settings. `Debug` shows neither the client id nor the secret.
#[derive(Clone)]
pub struct Settings {
    pub(crate) client_id: Zeroizing<String>,
    pub(crate) client_secret: Zeroizing<String>,
    pub(crate) upstream: String,
    pub(crate) upstream_time: Duration,
    pub(crate) bind: SocketAddr,
    pub(crate) burst: u32,
    pub(crate) per_minute: u32,
    pub(crate) behind_proxy: bool,
}

impl Settings {
    /// The defaults, with the client id and secret of the OTPless dashboard.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: Zeroizing::new(client_id.into()),
            client_secret: Zeroizing::new(client_secret.into()),
            upstream: DEFAULT_UPSTREAM.to_owned(),
            upstream_time: Duration::from_secs(30),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            burst: 30,
            per_minute: 60,
            behind_proxy: false,
        }
    }

    /// Base URL of v1; [`DEFAULT_UPSTREAM`]. https, or http on a loopback address.
    #[must_use]
    pub fn upstream(mut self, url: impl Into<String>) -> Self {
        self.upstream = url.into();
        self
    }

    /// How long OTPless may take for an answer; 30 s, as long as the app waits. Afterwards the client gets a 504. Less loses
    /// sessions: an answer that is not waited for may hold the only refresh token that is still good.
    #[must_use]
    pub fn upstream_time(mut self, time: Duration) -> Self {
        self.upstream_time = time;
        self
    }

    /// Where to listen; a free port of 127.0.0.1. Tokens travel there: other machines come through TLS or not at all.
    #[must_use]
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// How many calls a client address may make at once, and how many a minute from then on; 30 and 60. An app whose
    /// session is well makes about 13 an hour; an office behind one address makes as many as it has people.
    #[must_use]
    pub fn rate(mut self, burst: u32, per_minute: u32) -> Self {
        self.burst = burst;
        self.per_minute = per_minute;
        self
    }

    /// Whether a proxy of yours stands before the relay. Then the client's address is the last in `X-Forwarded-For`, which
    /// that proxy has added; without one, clients could write there what they like.
    #[must_use]
    pub fn behind_proxy(mut self, behind: bool) -> Self {
        self.behind_proxy = behind;
        self
    }

    /// The settings of the environment. `variable` answers what a variable holds.
    ///
    /// # Errors
    ///
    /// When a variable is missing or impossible; the message names it.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &str| {
            variable(name).ok_or_else(|| {
                SettingsError(format!("{name} is not set: copy it from the OTPless dashboard"))
            })
        };
        let settings = Self::new(required("OTPLESS_CLIENT_ID")?, required("OTPLESS_CLIENT_SECRET")?);
        let defaults = settings.clone();
        let host = read("RELAY_HOST", &variable, IpAddr::V4(Ipv4Addr::LOCALHOST))?;
        let port = read("RELAY_PORT", &variable, DEFAULT_PORT)?;
        let settings = settings
            .upstream(variable("RELAY_UPSTREAM").unwrap_or(defaults.upstream))
            .bind(SocketAddr::from((host, port)))
            .rate(
                read("RELAY_BURST", &variable, defaults.burst)?,
                read("RELAY_PER_MINUTE", &variable, defaults.per_minute)?,
            )
            .behind_proxy(read("RELAY_BEHIND_PROXY", &variable, false)?);
        settings.checked_upstream()?;
        Ok(settings)
    }

    pub(crate) fn checked_upstream(&self) -> Result<Url, SettingsError> {
        let refused = |why: &str| SettingsError(format!("the upstream URL {why}"));
        for (what, value) in [("client id", &self.client_id), ("client secret", &self.client_secret)] {
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(SettingsError(format!(
                    "the {what} is empty or has characters no header can carry"
                )));
            }
        }
        if self.burst == 0 || self.per_minute == 0 {
            return Err(SettingsError("a rate of 0 would answer nobody".to_owned()));
        }
        let url = Url::parse(&self.upstream).map_err(|_| refused("is not a URL"))?;
        let local = match url.host_str() {
            Some("localhost") => true,
            Some(host) => {
                host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            None => return Err(refused("names no host")),
        };
        if !(url.scheme() == "https" || url.scheme() == "http" && local) {
            return Err(refused(
                "is neither https nor http on a loopback address; the client secret travels there",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(refused("carries a user name, a password or a query"));
        }
        Ok(url)
    }
}

fn read<T: FromStr>(
    name: &str,
    variable: &impl Fn(&str) -> Option<String>,
    default: T,
) -> Result<T, SettingsError> {
    match variable(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| SettingsError(format!("{name} cannot be {value:?}"))),
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("upstream", &self.upstream)
            .field("bind", &self.bind)
            .field("burst", &self.burst)
            .field("per_minute", &self.per_minute)
            .field("behind_proxy", &self.behind_proxy)
            .finish_non_exhaustive()
    }
}

/// Why settings were refused; the message names the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub(crate) String);
