//! Which server the settings name, and that they name one only.

use reqwest::Url;

use super::{DEFAULT_API_URL, Mode, RelayHeaders, refused, setting};
use crate::error::Result;

/// Whom the session API is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// v4 at this address.
    Direct(Url),
    /// v1 through the relay at this address, with these headers.
    Relay(Url, RelayHeaders),
}

impl Server {
    pub(super) fn from_config(
        mode: Option<Mode>,
        api_url: Option<&str>,
        relay_url: Option<&str>,
        relay_headers: Option<RelayHeaders>,
    ) -> Result<Self> {
        match mode.unwrap_or_default() {
            Mode::Direct if relay_url.is_some() => {
                Err(refused("relayUrl", "is of no use without \"mode\": \"relay\""))
            }
            Mode::Direct if relay_headers.is_some() => Err(refused(
                "relayHeaders",
                "is of no use without \"mode\": \"relay\"; OTPless takes no other headers than its own",
            )),
            Mode::Direct => Ok(Self::Direct(setting("apiUrl", api_url.unwrap_or(DEFAULT_API_URL))?)),
            Mode::Relay if api_url.is_some() => Err(refused(
                "apiUrl",
                "is of no use with \"mode\": \"relay\": the app talks to relayUrl, and the relay to OTPless",
            )),
            Mode::Relay => {
                let Some(relay_url) = relay_url else {
                    return Err(refused(
                        "relayUrl",
                        "is missing: with \"mode\": \"relay\" it is the address of your own backend",
                    ));
                };
                let headers = relay_headers.unwrap_or_default();
                headers.check().map_err(|why| refused("relayHeaders", &why))?;
                Ok(Self::Relay(setting("relayUrl", relay_url)?, headers))
            }
        }
    }
}
