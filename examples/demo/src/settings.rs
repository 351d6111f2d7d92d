//! What the environment says about the demo.

use std::{num::NonZeroU64, time::Duration};

use tauri::Url;

/// The real service: its sign-in script is there, and the plugin's own defaults lead to its API.
const REAL_SERVICE: &str = "https://otpless.com";

const LOCAL_SERVICE: &str = "http://127.0.0.1:8787";
const LOCAL_APP_ID: &str = "DEMOAPP00000000000001";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Without a slash at its end.
    pub(crate) service: String,
    pub(crate) app_id: String,
    /// The relay's address, if the app is to talk to one; the plugin judges it.
    pub(crate) relay: Option<String>,
    pub(crate) inactivity_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    /// Whether the keychain is locked when the app starts, in a rehearsal.
    #[cfg(debug_assertions)]
    pub(crate) keychain_locked: bool,
}

impl Settings {
    /// Reads the variables through `variable`; the error is for the person who set them.
    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let seconds = |name: &str| set(name).map(|value| seconds(name, &value)).transpose();

        let service = service(set("OTPLESS_DEMO_SERVICE").as_deref().unwrap_or(LOCAL_SERVICE))?;
        let app_id = match set("OTPLESS_DEMO_APP_ID") {
            Some(app_id) => app_id,
            None if service == REAL_SERVICE => {
                return Err(format!(
                    "OTPLESS_DEMO_APP_ID is not set: {REAL_SERVICE} needs the app id of your OTPless dashboard"
                ));
            }
            None => LOCAL_APP_ID.to_owned(),
        };
        Ok(Self {
            service,
            app_id,
            relay: set("OTPLESS_DEMO_RELAY"),
            inactivity_timeout: seconds("OTPLESS_DEMO_INACTIVITY")?,
            max_lifetime: seconds("OTPLESS_DEMO_MAX_LIFETIME")?,
            #[cfg(debug_assertions)]
            keychain_locked: set("OTPLESS_DEMO_KEYCHAIN")
                .map(|value| locked(&value))
                .transpose()?
                .unwrap_or(false),
        })
    }

    /// A real session's clock and keychain are not played with, and a release build could not.
    pub(crate) fn may_rehearse(&self) -> bool {
        cfg!(debug_assertions) && self.is_local()
    }

    pub(crate) fn is_local(&self) -> bool {
        self.service != REAL_SERVICE
    }
}

/// Only what the page's content security policy lets through; anything else would fail later and less clearly.
fn service(value: &str) -> Result<String, String> {
    let trimmed = value.trim_end_matches('/');
    let local = Url::parse(trimmed).is_ok_and(|url| {
        url.scheme() == "http"
            && url.host_str() == Some("127.0.0.1")
            && url.origin().ascii_serialization() == trimmed
    });
    if local || trimmed == REAL_SERVICE {
        Ok(trimmed.to_owned())
    } else {
        Err(format!(
            "OTPLESS_DEMO_SERVICE is {value:?}: it must be {REAL_SERVICE} or the address of a local OTPless, such as \
             {LOCAL_SERVICE}"
        ))
    }
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let seconds: NonZeroU64 = value
        .parse()
        .map_err(|_| format!("{name} is {value:?}: it must be a whole number of seconds from 1 up"))?;
    Ok(Duration::from_secs(seconds.get()))
}

#[cfg(debug_assertions)]
fn locked(value: &str) -> Result<bool, String> {
    match value {
        "locked" => Ok(true),
        other => Err(format!("OTPLESS_DEMO_KEYCHAIN is {other:?}: all it can be is \"locked\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_variables_the_demo_uses_the_local_otpless() {
        let settings = settings(&[]).unwrap();
        assert_eq!(
            settings,
            Settings {
                service: "http://127.0.0.1:8787".into(),
                app_id: "DEMOAPP00000000000001".into(),
                relay: None,
                inactivity_timeout: None,
                max_lifetime: None,
                #[cfg(debug_assertions)]
                keychain_locked: false,
            }
        );
        assert!(settings.is_local());
    }

    #[test]
    fn every_variable_counts() {
        let settings = settings(&[
            ("OTPLESS_DEMO_SERVICE", "http://127.0.0.1:4000/"),
            ("OTPLESS_DEMO_APP_ID", "ANOTHERAPP"),
            ("OTPLESS_DEMO_RELAY", "http://127.0.0.1:8788"),
            ("OTPLESS_DEMO_INACTIVITY", "20"),
            ("OTPLESS_DEMO_MAX_LIFETIME", "60"),
        ])
        .unwrap();
        assert_eq!(
            settings,
            Settings {
                service: "http://127.0.0.1:4000".into(),
                app_id: "ANOTHERAPP".into(),
                relay: Some("http://127.0.0.1:8788".into()),
                inactivity_timeout: Some(Duration::from_secs(20)),
                max_lifetime: Some(Duration::from_secs(60)),
                #[cfg(debug_assertions)]
                keychain_locked: false,
            }
        );
    }

    #[test]
    fn the_real_service_needs_an_app_id_of_ones_own() {
        let problem = settings(&[("OTPLESS_DEMO_SERVICE", "https://otpless.com")]).unwrap_err();
        assert!(problem.contains("OTPLESS_DEMO_APP_ID"), "{problem}");
        let real =
            settings(&[("OTPLESS_DEMO_SERVICE", "https://otpless.com"), ("OTPLESS_DEMO_APP_ID", "MINE")])
                .unwrap();
        assert!(!real.is_local());
        assert!(!real.may_rehearse(), "a real session is not played with");
    }

    #[test]
    fn e5_a_rehearsal_takes_a_debug_build_and_the_local_otpless() {
        assert_eq!(settings(&[]).unwrap().may_rehearse(), cfg!(debug_assertions));
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_keychain_that_starts_locked_is_asked_for_by_that_word_only() {
        assert!(settings(&[("OTPLESS_DEMO_KEYCHAIN", "locked")]).unwrap().keychain_locked);
        let problem = settings(&[("OTPLESS_DEMO_KEYCHAIN", "yes")]).unwrap_err();
        assert!(problem.contains("OTPLESS_DEMO_KEYCHAIN") && problem.contains("yes"), "{problem}");
    }

    #[test]
    fn a_service_that_the_page_may_not_reach_is_refused_by_name() {
        for bad in [
            "http://localhost:8787",
            "http://192.168.0.1:8787",
            "https://127.0.0.1:8787",
            "http://127.0.0.1:8787/v4",
            "http://somebody@127.0.0.1:8787",
            "http://otpless.com",
            "otpless",
        ] {
            let problem = settings(&[("OTPLESS_DEMO_SERVICE", bad)]).unwrap_err();
            assert!(problem.contains("OTPLESS_DEMO_SERVICE") && problem.contains(bad), "{problem}");
        }
    }

    #[test]
    fn a_time_that_is_no_number_of_seconds_is_refused_by_name() {
        for name in ["OTPLESS_DEMO_INACTIVITY", "OTPLESS_DEMO_MAX_LIFETIME"] {
            for bad in ["0", "-1", "1.5", "ten", "60s"] {
                let problem = settings(&[(name, bad)]).unwrap_err();
                assert!(problem.contains(name) && problem.contains(bad), "{problem}");
            }
        }
    }
}
